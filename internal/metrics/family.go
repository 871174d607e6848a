package metrics

import "github.com/prometheus/client_golang/prometheus"

// other is the value of a label for every word that is not on its list.
const other = "other"

// family is a metric with one label of type W whose words are known from the
// start. It is not written to after it was made, and so needs no lock.
type family[W ~string, M any] struct {
	known map[W]M
	other M // counts every other word
}

func (f family[W, M]) of(word W) M {
	if m, ok := f.known[word]; ok {
		return m
	}
	return f.other
}

func newFamily[W ~string, M any](series func(...string) M, words []W) family[W, M] {
	f := family[W, M]{known: make(map[W]M, len(words)), other: series(other)}
	for _, word := range words {
		f.known[word] = series(string(word))
	}
	return f
}

func counters[W ~string](r *prometheus.Registry, name, help, label string, words []W) family[W, prometheus.Counter] {
	vec := register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label}))
	return newFamily(vec.WithLabelValues, words)
}

func histograms[W ~string](r *prometheus.Registry, name, help, label string, buckets []float64, words []W) family[W, prometheus.Observer] {
	vec := register(r, prometheus.NewHistogramVec(
		prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{label}))
	return newFamily(vec.WithLabelValues, words)
}

func counter(r *prometheus.Registry, name, help string) prometheus.Counter {
	return register(r, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
}

func gauge(r *prometheus.Registry, name, help string) prometheus.Gauge {
	return register(r, prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help}))
}

func histogram(r *prometheus.Registry, name, help string, buckets []float64) prometheus.Histogram {
	return register(r, prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}))
}

// register panics when two instruments of this package have one name.
func register[C prometheus.Collector](r *prometheus.Registry, c C) C {
	r.MustRegister(c)
	return c
}

// slow are the buckets of what waits for disks, clocks and other people's
// servers: half a millisecond to 16 seconds, past the deadlines of ten.
func slow() []float64 { return prometheus.ExponentialBuckets(0.0005, 2, 16) }

// quick are the buckets of what should be over at once: 50 microseconds to
// 1.6 seconds.
func quick() []float64 { return prometheus.ExponentialBuckets(0.00005, 2, 16) }
