package e2e_test

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/testpki"
)

// deadResponder is where nobody listens.
const deadResponder = "http://127.0.0.1:1"

// tlsProxy speaks HTTPS for a responder that does not.
type tlsProxy struct {
	url  string
	root string // file of the private root that its certificate is of
	down atomic.Bool
}

func startTLSProxy(t *testing.T, r *responder) *tlsProxy {
	t.Helper()
	backend, err := url.Parse(r.url)
	if err != nil {
		t.Fatal(err)
	}
	quiet := log.New(io.Discard, "", 0)
	forward := &httputil.ReverseProxy{
		Rewrite:   func(pr *httputil.ProxyRequest) { pr.SetURL(backend) },
		Transport: &http.Transport{DisableKeepAlives: true}, // openssl answers one request a connection
		ErrorLog:  quiet,
	}
	p := &tlsProxy{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.down.Load() {
			panic(http.ErrAbortHandler) // the connection ends without a reply
		}
		forward.ServeHTTP(w, r)
	}))
	certificate, root := testpki.ServerCertificate(t)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.Config.ErrorLog = quiet
	server.StartTLS()
	t.Cleanup(server.Close)
	p.url, p.root = server.URL, writeFile(t, filepath.Join(t.TempDir(), "responder-root.pem"), root)
	return p
}

// startRechecking starts a server that asks again about live connections each
// second, with a fresh authority.
func startRechecking(t *testing.T) (*server, *authority) {
	t.Helper()
	s := newServer(t)
	s.configure(t, map[string]string{"recheck": "1s"})
	s.start(t)
	s.prepare(t)
	factory := newAuthority(t, "Factory CA")
	s.register(t, factory, provisioned())
	return s, factory
}

// TestOCSPOverHTTPS: openssl's responder behind a TLS proxy with a private root,
// set by muster ca set. A device that is revoked while it is connected is cut
// off when the answer about it is due again: openssl's are good for a minute.
func TestOCSPOverHTTPS(t *testing.T) {
	t.Parallel()
	s, factory := startRechecking(t)
	proxy := startTLSProxy(t, startResponder(t, factory, "-nmin", "1"))
	wrong := newAuthority(t, "Another root")
	good := factory.supervised(t, "good", goodSerial, deadResponder)
	set := func(args ...string) string {
		return s.succeeds(t, append([]string{"ca", "set", factory.id[:8]}, args...)...)
	}

	printed := set("--ocsp", "hard", "--responder", proxy.url, "--responder-ca", wrong.cert)
	for _, want := range []string{"OCSP              hard", "responder         " + proxy.url, wrong.id, "CN=Another root"} {
		if !strings.Contains(printed, want) || strings.Contains(printed, "BEGIN") {
			t.Errorf("muster ca set does not print %q:\n%s", want, printed)
		}
	}
	s.refuse(t, good, muster.ReasonRevocationUnknown)
	s.explained(t, good.cert, proxy.url, "certificate signed by unknown authority", "muster ca set "+factory.id)

	set("--responder-ca", proxy.root)
	live := s.subscribe(t, v5, good, "commands/good")
	s.explained(t, good.cert, "OCSP is hard, the answer: good, from "+proxy.url)
	s.refuse(t, factory.supervised(t, "stolen", revokedSerial, deadResponder), muster.ReasonRevoked)

	from := s.log.len()
	factory.writeIndex(t, goodSerial, revokedSerial)
	eventually(t, 90*time.Second, "the live connection is closed", func() bool {
		_, closed := s.log.find(from, func(l line) bool { return l.Event == "kicked" && l.Certificate == good.id })
		return closed
	})
	live.await(t, "Received DISCONNECT (152)") // 0x98
	s.wantStatus(t, good, "REVOKED")
	for series, atLeast := range map[string]float64{
		`muster_ocsp_rechecks_total{outcome="kept"}`: 10, `muster_kicked_total{reason="revoked"}`: 1,
		`muster_ocsp_failures_total{fault="tls"}`: 1, `muster_ocsp_answers_total{result="good",source="memory"}`: 10,
	} {
		if got := s.metric(t, series); got < atLeast {
			t.Errorf("%s is %v, want %v or more", series, got, atLeast)
		}
	}

	// A nonce goes by POST, and openssl gives it back.
	posted := s.metric(t, `muster_ocsp_requests_total{method="POST",result="good"}`)
	set("--nonce", "required")
	s.admit(t, v5, factory.supervised(t, "fresh", freshSerial, deadResponder))
	if got := s.metric(t, `muster_ocsp_requests_total{method="POST",result="good"}`); got != posted+1 {
		t.Errorf("%v requests by POST, want %v", got, posted+1)
	}
}

// TestNewOCSPSettingsReachLiveConnections: hard, while the responder is dead, and
// back.
func TestNewOCSPSettingsReachLiveConnections(t *testing.T) {
	t.Parallel()
	s, factory := startRechecking(t)
	c := factory.supervised(t, "sensor", goodSerial, deadResponder)
	live := s.subscribe(t, v5, c, "commands/sensor")
	from := s.log.len()
	s.succeeds(t, "ca", "set", factory.cert, "--ocsp", "hard")
	l := s.await(t, from, "the live connection is closed", func(l line) bool { return l.Event == "kicked" })
	if l.Certificate != c.id || l.Reason != string(muster.ReasonRevocationUnknown) {
		t.Errorf("closed was %s", l.text)
	}
	live.await(t, "Received DISCONNECT (128)") // 0x80: DISCONNECT knows no better
	s.succeeds(t, "ca", "set", factory.id, "--ocsp", "soft")
	s.admit(t, v3, c)
}

// TestOCSPBreaker: a responder that fails is left alone for a while, and asked
// again later; the metrics tell.
func TestOCSPBreaker(t *testing.T) {
	t.Parallel()
	s, factory := startRechecking(t)
	proxy := startTLSProxy(t, startResponder(t, factory))
	s.succeeds(t, "ca", "set", factory.id, "--ocsp", "hard", "--responder", proxy.url, "--responder-ca", proxy.root)
	proxy.down.Store(true)
	const open = `muster_ocsp_breakers_open`
	for i, name := range []string{"one", "two", "three", "four", "five"} {
		s.refuse(t, factory.supervised(t, name, 0x3000+i, deadResponder), muster.ReasonRevocationUnknown)
	}
	eventually(t, stopTimeout, "the breaker opens", func() bool { return s.metric(t, open) == 1 })
	good := factory.supervised(t, "good", goodSerial, deadResponder)
	s.refuse(t, good, muster.ReasonRevocationUnknown)
	if got := s.metric(t, `muster_ocsp_not_asked_total{cause="breaker_open"}`); got < 1 {
		t.Errorf("%v were not asked about for the breaker", got)
	}
	proxy.down.Store(false)
	eventually(t, time.Minute, "the responder is asked again", func() bool {
		return s.publish(t, v5, good, "hello").code == 0
	})
	if got := s.metric(t, open); got != 0 {
		t.Errorf("%v breakers are open", got)
	}
	if got := s.metric(t, `muster_ocsp_breaker_trips_total`); got < 1 {
		t.Errorf("%v trips", got)
	}
}
