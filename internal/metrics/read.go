package metrics

import "github.com/prometheus/client_golang/prometheus"

// reading is a metric whose value is not kept here: each scrape asks for it.
type reading struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func reads(kind prometheus.ValueType, name, help string, labels ...string) reading {
	return reading{prometheus.NewDesc(name, help, labels, nil), kind}
}

// emit tells a scrape one series; labels are the values of the labels.
type emit func(r reading, value float64, labels ...string)

// readings is a collector that asks for all its metrics at once, so that they
// tell of one moment.
type readings struct {
	of  []reading
	ask func(emit)
}

func (r readings) Describe(ch chan<- *prometheus.Desc) {
	for _, one := range r.of {
		ch <- one.desc
	}
}

func (r readings) Collect(ch chan<- prometheus.Metric) {
	r.ask(func(one reading, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(one.desc, one.kind, value, labels...)
	})
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
