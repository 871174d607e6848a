package broker_test

import (
	"context"
	"encoding/asn1"
	"encoding/base64"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"

	"github.com/eclipse/paho.golang/paho"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/hooks"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/internal/testpki"
	"github.com/muster-mqtt/muster/ocsp"
	"github.com/muster-mqtt/muster/registry"
)

// supervised is a broker that asks by OCSP for real, and a responder that does
// not answer: what devices bring is all there is.
type supervised struct {
	*fixture
	*testpki.Responder

	mu      sync.Mutex
	servers []*mqtt.Server
}

func newSupervised(t *testing.T) *supervised {
	t.Helper()
	client, err := ocsp.New(ocsp.Config{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	must(t, err)
	t.Cleanup(client.Close)
	s := &supervised{Responder: testpki.NewResponder(t)}
	words := map[ocsp.Status]admission.AnswerStatus{
		ocsp.Good: admission.AnswerGood, ocsp.Revoked: admission.AnswerRevoked, ocsp.Unavailable: admission.AnswerUnavailable,
	}
	s.fixture = newFixture(t, options{
		gate: func(c *admission.Config) {
			c.Ask = func(ctx context.Context, q admission.Question) admission.Answer {
				a := client.Check(ctx, ocsp.Question(q))
				return admission.Answer{Status: words[a.Status], Hold: a.Hold, Responder: a.Responder, Detail: a.Detail}
			}
		},
		hook: func(c *hooks.Config) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.servers = append(s.servers, c.Server)
		},
	})
	s.policy("all", allowAll)
	s.register(s.Authority, registry.AuthorityRegistration{
		Account: account, Registration: registrar(templateWithoutThing), Tags: []muster.Tag{{Key: muster.TagOCSP, Value: "hard"}},
	})
	s.Stop()
	return s
}

func (s *supervised) device() *mint.Leaf { return s.Issue(s.t, mint.Request{}) }

// forge is a response about a device.
func (s *supervised) forge(f testpki.Fault, l *mint.Leaf, status asn1.RawValue) []byte {
	s.t.Helper()
	der, err := testpki.Forge(f, s.Authority, l, status, time.Now())
	must(s.t, err)
	return der
}

// stapled connects with a response in TLS, property with one in CONNECT; each
// returns the reason string of a refusal, "" for none.
func (s *supervised) stapled(l *mint.Leaf, der []byte) string {
	s.t.Helper()
	conn, err := s.dialAs(device{Leaf: l, staple: der})
	must(s.t, err)
	c, err := connectOver(conn, "sensor", nil)
	return outcome(s.t, c, err)
}

func (s *supervised) property(l *mint.Leaf, values ...string) string {
	s.t.Helper()
	c, err := s.connect(l, "sensor", func(p *paho.Connect) {
		p.Properties = &paho.ConnectProperties{RequestProblemInfo: true}
		for _, v := range values {
			p.Properties.User.Add(hooks.BroughtProperty, v)
		}
		p.Properties.User.Add("plant", "7")
	})
	return outcome(s.t, c, err)
}

func outcome(t testing.TB, c *client, err error) string {
	t.Helper()
	switch {
	case err == nil:
		_ = c.Disconnect(&paho.Disconnect{})
		return ""
	case c == nil || c.ack == nil || c.ack.Properties == nil || c.ack.Properties.ReasonString == "":
		t.Fatalf("no CONNACK with a reason: %v", err)
	}
	return c.ack.Properties.ReasonString
}

// TestStapled: in TLS 1.3 a device may staple an answer, which counts where the
// responder is dead, and serves the next connects too.
func TestStapled(t *testing.T) {
	s := newSupervised(t)
	l := s.device()
	if says := s.stapled(l, nil); !strings.HasPrefix(says, "revocation_unknown") {
		t.Errorf("without one: %q", says)
	}
	for _, der := range [][]byte{s.forge(testpki.Delegate, l, testpki.Good()), nil} {
		if says := s.stapled(l, der); says != "" {
			t.Errorf("with %d bytes: %q", len(der), says)
		}
	}
	revoked, err := testpki.Revoked(time.Now(), 1)
	must(t, err)
	for _, l := range []*mint.Leaf{l, s.device()} {
		if says := s.stapled(l, s.forge(testpki.None, l, revoked)); !strings.HasPrefix(says, "revoked") {
			t.Errorf("revoked: %q", says)
		}
	}
}

// worthless are the ways in which an answer that a device brings proves nothing.
var worthless = []testpki.Fault{
	testpki.SelfVouched, testpki.SelfDelegated, testpki.Stale, testpki.Future, testpki.Stranger, testpki.BadSignature,
	testpki.WrongSerial, testpki.WrongKeyHash, testpki.DelegateNoEKU, testpki.SHA1Signature, testpki.Garbage,
}

func TestBroughtThatDoesNotCount(t *testing.T) {
	s := newSupervised(t)
	const want = "what the device brought does not count"
	for _, fault := range worthless {
		l := s.device()
		der := s.forge(fault, l, testpki.Good())
		if says := s.stapled(l, der); !strings.HasPrefix(says, "revocation_unknown") || !strings.Contains(says, want) {
			t.Errorf("stapled, %s: %q", fault, says)
		}
		if says := s.property(l, base64.StdEncoding.EncodeToString(der)); !strings.HasPrefix(says, "revocation_unknown") || !strings.Contains(says, want) {
			t.Errorf("in CONNECT, %s: %q", fault, says)
		}
	}
	l := s.device()
	honest := base64.StdEncoding.EncodeToString(s.forge(testpki.None, s.device(), testpki.Good()))
	for what, value := range map[string]string{"of another device": honest, "no base64": "it stands, I swear", "too long": strings.Repeat("QUFB", 30_000)} {
		if says := s.property(l, split(value, 60_000)...); !strings.Contains(says, want) {
			t.Errorf("%s: %q", what, says)
		}
	}
	if says := s.property(l, ""); !strings.HasPrefix(says, "revocation_unknown") || strings.Contains(says, want) {
		t.Errorf("nothing: %q", says)
	}
}

func split(s string, at int) (parts []string) {
	for len(s) > at {
		parts, s = append(parts, s[:at]), s[at:]
	}
	return append(parts, s)
}

// TestBroughtInConnect: so does one in CONNECT, in as many parts as it takes; and
// the server keeps nothing of it with the client.
func TestBroughtInConnect(t *testing.T) {
	s := newSupervised(t)
	l := s.device()
	if says := s.property(l, split(base64.StdEncoding.EncodeToString(s.forge(testpki.Delegate, l, testpki.Good())), 100)...); says != "" {
		t.Fatalf("refused: %q", says)
	}
	if says := s.property(l); says != "" {
		t.Errorf("the next time, without: %q", says)
	}
	c, err := s.connect(l, "keeper", func(p *paho.Connect) {
		p.Properties = &paho.ConnectProperties{RequestProblemInfo: true}
		p.Properties.User.Add(hooks.BroughtProperty, "QUFB").Add("plant", "7")
	})
	must(t, err)
	c.subscribe(t, "news")
	if _, err := c.publish(t, &paho.Publish{Topic: "news", QoS: 1}); err != nil {
		t.Fatal(err)
	}
	if p := c.next(t); len(p.Properties.User) != 0 {
		t.Errorf("a message carries %v", p.Properties.User)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, server := range s.servers {
		if cl, ok := server.Clients.Get("keeper"); ok {
			if user := cl.Properties.Props.User; len(user) != 1 || user[0].Key != "plant" {
				t.Errorf("the server keeps %v", user)
			}
		}
	}
	_ = c.Disconnect(&paho.Disconnect{})

	revoked, err := testpki.Revoked(time.Now(), 1)
	must(t, err)
	other := s.device()
	if says := s.property(other, base64.StdEncoding.EncodeToString(s.forge(testpki.None, other, revoked))); !strings.HasPrefix(says, "revoked") {
		t.Errorf("revoked: %q", says)
	}
}
