package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
)

// heard is an event as a receiver gets it.
type heard struct {
	ID string `json:"id"`
	muster.Event
}

// receiver is a program that is told of events by HTTP. It takes no request that
// is not signed.
type receiver struct {
	*httptest.Server
	t      *testing.T
	secret string

	mu     sync.Mutex
	status int // of its answers
	seen   map[string]bool
	events []heard
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{t: t, secret: "an-example-key-of-32-characters!", status: http.StatusNoContent, seen: map[string]bool{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return // the server was killed
	}
	stamp, signature, _ := strings.Cut(q.Header.Get("Muster-Signature"), ",v1=")
	stamp = strings.TrimPrefix(stamp, "t=")
	mac := hmac.New(sha256.New, []byte(r.secret))
	fmt.Fprintf(mac, "%s.%s", stamp, body)
	at, err := strconv.ParseInt(stamp, 10, 64)
	if age := time.Since(time.Unix(at, 0)); err != nil || age < -time.Minute || age > time.Minute || signature != hex.EncodeToString(mac.Sum(nil)) {
		r.t.Errorf("the signature %q does not fit, %v", q.Header.Get("Muster-Signature"), err)
	}
	if q.Method != http.MethodPost || q.Header.Get("Content-Type") != "application/json" || !strings.HasPrefix(q.UserAgent(), "muster/") {
		r.t.Errorf("%s with %v", q.Method, q.Header)
	}
	if strings.Contains(string(body), "BEGIN") {
		r.t.Errorf("a certificate was sent: %s", body)
	}
	var sent struct{ Events []heard }
	if err := json.Unmarshal(body, &sent); err != nil {
		r.t.Errorf("%v in %s", err, body)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	w.WriteHeader(r.status)
	if r.status != http.StatusNoContent {
		return
	}
	for _, e := range sent.Events {
		if !r.seen[e.ID] {
			r.seen[e.ID] = true
			r.events = append(r.events, e)
		}
	}
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// await waits for the events of a certificate, and demands these, in any order:
// "type previous>status reason".
func (r *receiver) await(c *certificate, want ...string) {
	r.t.Helper()
	var got []string
	deadline := time.Now().Add(20 * time.Second)
	for len(got) < len(want) && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
		got = got[:0]
		r.mu.Lock()
		for _, e := range r.events {
			if e.CertificateID != c.id {
				continue
			}
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s>%s %s", e.Type, e.PreviousStatus, e.Status, e.Reason)))
			if age := time.Since(e.Time); age < -time.Second || age > time.Minute || e.ID == "" {
				r.t.Errorf("event %+v", e)
			}
		}
		r.mu.Unlock()
	}
	// A change and what it does to a connection are told by two that wait for
	// nobody. The order of changes is held by tests of the registry.
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		r.t.Errorf("of %s was heard\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = nil
}

// tell lets a server that does not run yet tell a receiver.
func (s *server) tell(t *testing.T, url, secret string) {
	t.Helper()
	s.configure(t, map[string]string{"url": url, "secret": writeFile(t, s.path("webhook.key"), secret+"\n")})
}

// TestWebhooks has devices register, be provisioned, be refused and be revoked,
// and a receiver that is told of it, also of what happens while it is ill.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	s := newServer(t)
	s.tell(t, r.URL+"/hook", r.secret)
	s.start(t)
	s.prepare(t)
	workshop, factory := newAuthority(t, "Workshop CA"), newAuthority(t, "Factory CA")
	s.register(t, workshop, object{})
	s.register(t, factory, provisioned())

	waiting := workshop.device(t, "waiting") // JITR
	s.refuse(t, waiting, muster.ReasonPendingActivation)
	r.await(waiting, "certificate.registered >PENDING_ACTIVATION", "device.refused >PENDING_ACTIVATION pending_activation")
	s.attach(t, "device", waiting)
	s.setStatus(t, waiting, "ACTIVE")
	s.admit(t, v5, waiting)
	r.await(waiting, "certificate.status_changed PENDING_ACTIVATION>ACTIVE")
	s.subscribe(t, v5, waiting, "commands/waiting")
	s.setStatus(t, waiting, "REVOKED")
	r.await(waiting, "certificate.status_changed ACTIVE>REVOKED", "device.closed >REVOKED revoked")
	s.refuse(t, waiting, muster.ReasonRevoked)
	r.await(waiting, "device.refused >REVOKED revoked")

	r.answer(http.StatusServiceUnavailable)
	from := s.log.len()
	made := factory.device(t, "made") // JITP
	s.admit(t, v3, made)
	s.await(t, from, "the receiver fails", func(l line) bool { return l.Event == "webhook_failing" })
	s.setStatus(t, made, "INACTIVE")
	r.answer(http.StatusNoContent)
	r.await(made, "certificate.registered >ACTIVE", "certificate.provisioned >ACTIVE", "certificate.status_changed ACTIVE>INACTIVE")
	s.await(t, from, "the receiver works", func(l line) bool { return l.Event == "webhook_works" })

	stranger := selfSigned(t, t.TempDir(), "stranger")
	if out := s.publish(t, v5, &stranger, "hello"); out.code == 0 {
		t.Error("a stranger was let in")
	}
	r.await(&stranger, "device.refused > untrusted_issuer")
	if n := s.metric(t, `muster_webhook_events_total{outcome="delivered"}`); n < 10 {
		t.Errorf("%v events were delivered, say the metrics", n)
	}
	s.await(t, 0, "a status changed", func(l line) bool { return l.Event == "status_changed" && l.Certificate == made.id })
	s.stop(t)
}
