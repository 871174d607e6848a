package main

import (
	"bytes"
	"crypto/tls"
	"slices"
	"sync/atomic"

	"github.com/muster-mqtt/muster/internal/metrics"
)

// serverCertificate is what a listener shows, and may be replaced while it
// listens. The tickets by which devices resume their TLS sessions are sealed by
// other keys and outlive it: who resumes is not shown a certificate.
type serverCertificate struct {
	listener metrics.Listener
	pair     atomic.Pointer[tls.Certificate]
}

// show replaces the certificate for the handshakes that begin from now on, and
// reports whether it is another.
func (s *serverCertificate) show(pair tls.Certificate, m *metrics.Metrics) (another bool) {
	old := s.pair.Swap(&pair)
	m.CertificateExpires(s.listener, pair.Leaf.NotAfter)
	return old == nil || !slices.EqualFunc(old.Certificate, pair.Certificate, bytes.Equal)
}

func (s *serverCertificate) tls() *tls.Config {
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.pair.Load(), nil },
		MinVersion:     tls.VersionTLS12,
	}
}
