package ocsp

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// maxTransports is how many sets of private roots have connections ready.
	maxTransports = 64
	// idleTransport is how long one is kept that nobody uses.
	idleTransport = 10 * time.Minute
)

// transports has one http.Client for each set of roots, so that no connection
// that one set vouched for is used under another.
type transports struct {
	dialer *net.Dialer
	roots  *x509.CertPool // where no private roots are given
	now    func() time.Time

	mu   sync.Mutex // guards all below
	sets map[[sha256.Size]byte]*transport
}

type transport struct {
	client *http.Client
	users  int // guarded by transports.mu, as are all below
	used   time.Time
	gone   bool // dropped while in use
}

func newTransports(cfg Config, g guard) *transports {
	return &transports{
		dialer: &net.Dialer{Control: g.control},
		roots:  cfg.Roots,
		now:    cfg.Now,
		sets:   map[[sha256.Size]byte]*transport{},
	}
}

// take returns the client for the roots in that PEM text, "" for the default
// ones. Call release after use.
func (t *transports) take(rootsPEM string) (client *http.Client, release func(), err error) {
	key := sha256.Sum256([]byte(rootsPEM))
	t.mu.Lock()
	defer t.mu.Unlock()
	set := t.sets[key]
	if set == nil {
		roots := t.roots
		if rootsPEM != "" {
			if roots, err = parseRoots(rootsPEM); err != nil {
				return nil, nil, err
			}
		}
		t.makeRoom()
		set = &transport{client: t.newClient(roots)}
		t.sets[key] = set
	}
	set.users++
	return set.client, func() { t.release(set) }, nil
}

func (t *transports) release(set *transport) {
	t.mu.Lock()
	defer t.mu.Unlock()
	set.users--
	set.used = t.now()
	if set.gone && set.users == 0 {
		set.client.CloseIdleConnections()
	}
}

// makeRoom drops what is idle for long, and one more if that is not enough:
// the one not used for the longest time.
func (t *transports) makeRoom() {
	for key, set := range t.sets {
		if set.users == 0 && t.now().Sub(set.used) > idleTransport {
			t.drop(key, set)
		}
	}
	if len(t.sets) < maxTransports {
		return
	}
	var oldest [sha256.Size]byte
	var victim *transport
	for key, set := range t.sets {
		if victim == nil || set.before(victim) {
			oldest, victim = key, set
		}
	}
	t.drop(oldest, victim)
}

func (s *transport) before(other *transport) bool {
	if (s.users == 0) != (other.users == 0) {
		return s.users == 0
	}
	return s.used.Before(other.used)
}

func (t *transports) drop(key [sha256.Size]byte, set *transport) {
	delete(t.sets, key)
	set.gone = true
	set.client.CloseIdleConnections()
}

// close ends the idle connections of all.
func (t *transports) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, set := range t.sets {
		t.drop(key, set)
	}
}

// newClient returns a client that follows no redirect, reads no proxy from the
// environment and dials nothing that the guard refuses. It verifies the names
// of https responders, and asks nobody whether their certificates were
// revoked: that question would have no end.
func (t *transports) newClient(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // a proxy would dial for us, past the guard
			DialContext:            t.dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			DisableCompression:     true, // the bound on the body is one on what was sent
			MaxIdleConns:           64,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// parseRoots reads PEM text that must hold certificates and nothing else, for
// what is passed over is missed when it is needed.
func parseRoots(text string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	rest := []byte(text)
	for n := 1; ; n++ {
		block, after := pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("block %d is a %s, not a CERTIFICATE", n, block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", n, err)
		}
		pool.AddCert(c)
		rest = after
	}
	switch {
	case strings.TrimSpace(string(rest)) == "" && len(rest) < len(text):
		return pool, nil
	case len(rest) == len(text):
		return nil, errors.New("it holds no PEM block: -----BEGIN CERTIFICATE----- is missing")
	}
	return nil, errors.New("after the last certificate stands something that is no PEM block")
}
