package metrics

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"
)

// Build tells which build runs: its version and that of Go. It may be called
// once.
func (m *Metrics) Build(version, goversion string) {
	info := reads(prometheus.GaugeValue, "muster_build_info", "1, with the version of the program and that of Go.", "version", "goversion")
	register(m.registry, readings{[]reading{info}, func(tell emit) { tell(info, 1, version, goversion) }})
}

// Check is the result of one check of readiness. Its name is a word of the
// program.
type Check struct {
	Name string
	OK   bool
}

// Readiness has each scrape run the checks of readiness. It may be called once.
func (m *Metrics) Readiness(now func() (ready bool, checks []Check)) {
	whole := reads(prometheus.GaugeValue, "muster_ready", "1 while the server is ready for devices, else 0.")
	one := reads(prometheus.GaugeValue, "muster_check_ok", "1 for each check of readiness that found nothing, 0 for the others.", "check")
	register(m.registry, readings{[]reading{whole, one}, func(tell emit) {
		ready, checks := now()
		tell(whole, truth(ready))
		for _, c := range checks {
			tell(one, truth(c.OK), c.Name)
		}
	}})
}

// DiskFree has each scrape ask how many bytes are free for this process where a
// folder lies. It may be called once for each folder.
func (m *Metrics) DiskFree(f Folder, free func() (bytes uint64, err error)) {
	register(m.registry, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "muster_disk_free_bytes",
		Help:        "Bytes that are free where a folder of the server lies.",
		ConstLabels: prometheus.Labels{"folder": string(f)},
	}, func() float64 {
		bytes, err := free()
		if err != nil {
			return math.NaN()
		}
		return float64(bytes)
	}))
}
