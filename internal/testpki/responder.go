// Package testpki is the hostile half of a public key infrastructure, for
// tests: an OCSP responder over real HTTP that tells the truth until it is
// told not to, and responses with faults that honest tools do not make. The
// certificates themselves come from package mint.
package testpki

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/muster-mqtt/muster/internal/mint"
)

// OversizedBody is how many bytes a responder with the fault Oversized sends.
const OversizedBody = 1 << 20

// Responder is an OCSP responder on a loopback port. It answers good about
// each certificate that it issued and that was not revoked since, and unknown
// about any other.
type Responder struct {
	URL       string // of the server, with the port
	RootPEM   string // the private root of an HTTPS server; else empty
	Authority *mint.Authority
	Now       func() time.Time // set it before the first request; time.Now at first

	server *httptest.Server
	closed chan struct{} // ends what Slow holds back
	came   chan struct{} // has an element once a request came

	mu       sync.Mutex // guards all below
	fault    Fault
	known    map[string]*mint.Leaf    // by serial number
	status   map[string]asn1.RawValue // by serial number; none: good
	requests int
	methods  []string
	gate     chan struct{} // while not nil, requests wait until it is closed
}

// NewResponder starts a responder for an authority of its own, which the test
// stops when it ends.
func NewResponder(tb testing.TB) *Responder {
	tb.Helper()
	r := newResponder(tb)
	r.server.Start()
	r.URL = r.server.URL
	return r
}

// NewTLSResponder starts one that speaks HTTPS, with a certificate for
// 127.0.0.1 and "localhost" that a private root signed: see RootPEM.
func NewTLSResponder(tb testing.TB) *Responder {
	tb.Helper()
	r := newResponder(tb)
	certificate, root := ServerCertificate(tb)
	r.server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	r.server.StartTLS()
	r.URL, r.RootPEM = r.server.URL, root
	return r
}

// ServerCertificate makes a certificate for 127.0.0.1 and "localhost", and
// returns it with the PEM of the private root that signed it.
func ServerCertificate(tb testing.TB) (tls.Certificate, string) {
	tb.Helper()
	root, err := mint.NewAuthority("Private root")
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := root.Issue(mint.Request{
		DNSNames: []string{"localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return leaf.TLS(), string(root.CertPEM())
}

func newResponder(tb testing.TB) *Responder {
	tb.Helper()
	a, err := mint.NewAuthority("Test authority")
	if err != nil {
		tb.Fatal(err)
	}
	r := &Responder{
		Authority: a,
		Now:       time.Now,
		closed:    make(chan struct{}),
		came:      make(chan struct{}, 1),
		known:     map[string]*mint.Leaf{},
		status:    map[string]asn1.RawValue{},
	}
	r.server = httptest.NewUnstartedServer(r)
	r.server.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that do not trust it are part of tests
	tb.Cleanup(func() {
		close(r.closed)
		r.server.Close()
	})
	return r
}

// Issue makes a certificate that names the responder's URL, unless the request
// names others, and that the responder knows.
func (r *Responder) Issue(tb testing.TB, req mint.Request) *mint.Leaf {
	tb.Helper()
	if req.OCSPServer == nil {
		req.OCSPServer = []string{r.URL}
	}
	leaf, err := r.Authority.Issue(req)
	if err != nil {
		tb.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[leaf.Cert.SerialNumber.String()] = leaf
	return leaf
}

// Revoke makes the responder say revoked, with a CRLReason of RFC 5280 §5.3.1
// (6 is certificateHold).
func (r *Responder) Revoke(tb testing.TB, c *x509.Certificate, reason int) {
	tb.Helper()
	status, err := Revoked(r.Now(), reason)
	if err != nil {
		tb.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status[c.SerialNumber.String()] = status
}

// Forget makes the responder say unknown.
func (r *Responder) Forget(c *x509.Certificate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status[c.SerialNumber.String()] = Unknown()
}

// Restore makes the responder say good again.
func (r *Responder) Restore(c *x509.Certificate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.status, c.SerialNumber.String())
}

// Fail gives all later replies a fault; None makes the responder honest again.
func (r *Responder) Fail(f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = f
}

// Hold keeps all later requests waiting until the function that it returns is
// called, once.
func (r *Responder) Hold() (release func()) {
	gate := make(chan struct{})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gate = gate
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.gate = nil
		close(gate)
	}
}

// Requests returns how many requests have come.
func (r *Responder) Requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

// Came has an element once a request has come since it was last read.
func (r *Responder) Came() <-chan struct{} { return r.came }

// Methods returns the methods of the requests that have come, in order.
func (r *Responder) Methods() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.methods)
}

// Stop closes the port, so that later connections are refused.
func (r *Responder) Stop() {
	r.server.CloseClientConnections()
	r.server.Listener.Close()
}

// ServeHTTP answers one request, as POST or as GET.
func (r *Responder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	asked, err := readRequest(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	r.requests++
	r.methods = append(r.methods, req.Method)
	fault, gate := r.fault, r.gate
	r.mu.Unlock()
	select {
	case r.came <- struct{}{}:
	default:
	}
	if gate != nil {
		r.wait(req, gate)
	}
	if fault == Redirect && req.URL.Query().Get("honest") != "" {
		fault = None
	}
	if instead, ok := onGet[fault]; ok {
		if fault = instead; req.Method == http.MethodPost {
			fault = None
		}
	}
	der, err := r.answer(fault, asked)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	r.write(w, req, fault, der)
}

// onGet are the faults that GET alone shows, and as what.
var onGet = map[Fault]Fault{GetRefused: methodRefused, GetPage: Garbage, GetReset: Reset, PostAlone: MalformedRequest}

const methodRefused Fault = "HTTP 405"

func (r *Responder) answer(fault Fault, asked request) ([]byte, error) {
	r.mu.Lock()
	leaf, known := r.known[asked.serial.String()]
	status, changed := r.status[asked.serial.String()]
	r.mu.Unlock()
	switch {
	case !known:
		leaf, status = &mint.Leaf{Cert: &x509.Certificate{SerialNumber: asked.serial}}, Unknown()
	case !changed:
		status = Good()
	}
	return forge(fault, r.Authority, leaf, status, r.Now(), asked.nonce)
}

// write applies the faults of the transport.
func (r *Responder) write(w http.ResponseWriter, req *http.Request, fault Fault, der []byte) {
	w.Header().Set("Content-Type", "application/ocsp-response")
	switch fault {
	case WrongContentType:
		w.Header().Set("Content-Type", "text/plain")
	case Redirect:
		w.Header().Set("Location", r.URL+"/?honest=1")
		w.WriteHeader(http.StatusTemporaryRedirect)
	case HTTP500:
		w.WriteHeader(http.StatusInternalServerError)
	case Busy:
		w.WriteHeader(http.StatusServiceUnavailable)
	case methodRefused:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case Reset:
		panic(http.ErrAbortHandler)
	case Slow:
		r.wait(req, nil)
	case SlowBody:
		w.Header().Set("Content-Length", fmt.Sprint(len(der)))
		w.Write(der[:len(der)/2])
		w.(http.Flusher).Flush()
		r.wait(req, nil)
		return
	case Oversized:
		der = append(der, make([]byte, OversizedBody)...)
	}
	w.Write(der)
}

// wait blocks until the gate opens, the client leaves or the test ends.
func (r *Responder) wait(req *http.Request, gate <-chan struct{}) {
	select {
	case <-gate:
	case <-req.Context().Done():
	case <-r.closed:
	}
}

// request is what a responder reads of one.
type request struct {
	serial *big.Int
	nonce  []byte // nil: none
}

func readRequest(req *http.Request) (request, error) {
	der, err := io.ReadAll(req.Body)
	if req.Method == http.MethodGet {
		der, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(req.URL.Path, "/"))
	}
	if err != nil {
		return request{}, fmt.Errorf("body: %w", err)
	}
	var outer struct {
		TBS struct {
			List       []struct{ ID CertID }
			Extensions []pkix.Extension `asn1:"explicit,tag:2,optional"`
		}
	}
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return request{}, fmt.Errorf("OCSP request: %w", err)
	}
	if len(outer.TBS.List) == 0 {
		return request{}, fmt.Errorf("OCSP request for no certificate")
	}
	read := request{serial: outer.TBS.List[0].ID.Serial}
	for _, e := range outer.TBS.Extensions {
		if !e.Id.Equal(oidNonce) {
			continue
		}
		if _, err := asn1.Unmarshal(e.Value, &read.nonce); err != nil {
			return request{}, fmt.Errorf("nonce: %w", err)
		}
	}
	return read, nil
}
