package broker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/broker"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
)

// recheck has live connections asked about again until the test ends.
func (f *fixture) recheck(every time.Duration) {
	f.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { f.broker.Recheck(ctx, every) })
	f.t.Cleanup(func() { stop(); running.Wait() })
}

// supervise sets the OCSP mode of an authority.
func (f *fixture) supervise(a *mint.Authority, mode muster.OCSPMode) {
	f.t.Helper()
	_, err := f.store.SetOCSP(f.t.Context(), account, muster.Fingerprint(a.Cert.Raw), registry.OCSPUpdate{Mode: &mode})
	must(f.t, err)
}

func (f *fixture) supervised(mode muster.OCSPMode) *mint.Authority {
	f.t.Helper()
	f.policy("all", allowAll)
	return f.authority("factory", templateWithoutThing, muster.Tag{Key: muster.TagOCSP, Value: string(mode)})
}

func TestRecheckCloses(t *testing.T) {
	for name, tc := range map[string]struct {
		answer admission.Answer
		code   byte
		reason muster.Reason
		record muster.Status
	}{
		"revoked":     {admission.Answer{Status: admission.AnswerRevoked}, 0x98, muster.ReasonRevoked, muster.Revoked},
		"on hold":     {admission.Answer{Status: admission.AnswerRevoked, Hold: true}, 0x98, muster.ReasonRevoked, muster.Active},
		"unknown":     {admission.Answer{Status: admission.AnswerUnknown}, 0x80, muster.ReasonRevocationUnknown, muster.Active},
		"unavailable": {admission.Answer{Status: admission.AnswerUnavailable, Detail: "refused"}, 0x80, muster.ReasonRevocationUnknown, muster.Active},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, options{})
			a := f.supervised(muster.OCSPHard)
			l, other := f.leaf(a, "sensor"), f.leaf(a, "other")
			first, second := f.admitted(l, "sensor"), f.admitted(l, "sensor-2")
			f.admitted(other, "other")
			f.recheck(20 * time.Millisecond)
			f.setAnswer(l, tc.answer)
			for _, c := range []*client{first, second} {
				d := c.closed(t)
				if d == nil || d.ReasonCode != tc.code || d.Properties.ReasonString[:len(tc.reason)] != string(tc.reason) {
					t.Errorf("closed with %+v, want 0x%02X %s", d, tc.code, tc.reason)
				}
			}
			f.seen.wait(t, "kicked "+string(tc.reason), func(n int) bool { return n == 2 })
			f.seen.wait(t, "rechecked "+string(tc.reason), func(n int) bool { return n > 0 })
			if c, err := f.store.Certificate(t.Context(), account, id(l)); err != nil || c.Status != tc.record {
				t.Errorf("the record is %s, %v; want %s", c.Status, err, tc.record)
			}
			// The other stays, and so does a device whose hold was lifted.
			before := f.seen.count("rechecked ")
			f.seen.wait(t, "rechecked ", func(n int) bool { return n > before+2 })
			f.setAnswer(l, admission.Answer{Status: admission.AnswerGood})
			if tc.record == muster.Active {
				f.admitted(l, "sensor")
			} else {
				f.refused(l, "sensor", 0x8A, muster.ReasonRevoked)
			}
		})
	}
}

// TestRecheckKeeps a device that is ACTIVE and that soft cannot ask about.
func TestRecheckKeeps(t *testing.T) {
	f := newFixture(t, options{})
	l := f.leaf(f.supervised(muster.OCSPSoft), "sensor")
	c := f.admitted(l, "sensor")
	f.setAnswer(l, admission.Answer{Status: admission.AnswerUnavailable})
	f.recheck(10 * time.Millisecond)
	f.seen.wait(t, "rechecked ", func(n int) bool { return n >= 3 })
	if code, err := c.publish(t, &paho.Publish{Topic: "news", QoS: 1}); err != nil || code >= 0x80 {
		t.Errorf("publish: 0x%02X %v", code, err)
	}
}

// gatekeeper answers one question at a time when it is told to, and counts how
// many wait.
type gatekeeper struct {
	mu      sync.Mutex
	waiting int
	most    int
	asked   int
	open    bool          // answers good at once
	enough  int           // how many shall wait together
	reached chan struct{} // closed then
	once    sync.Once
	release chan struct{}
}

func newGatekeeper(enough int) *gatekeeper {
	return &gatekeeper{open: true, enough: enough, reached: make(chan struct{}), release: make(chan struct{})}
}

func (k *gatekeeper) shut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open = false
}

func (k *gatekeeper) ask(context.Context, admission.Question) admission.Answer {
	k.mu.Lock()
	k.asked++
	open := k.open
	if !open {
		k.waiting++
		k.most = max(k.most, k.waiting)
		if k.waiting == k.enough {
			k.once.Do(func() { close(k.reached) })
		}
	}
	k.mu.Unlock()
	if open {
		return admission.Answer{Status: admission.AnswerGood}
	}
	<-k.release
	k.mu.Lock()
	k.waiting--
	k.mu.Unlock()
	return admission.Answer{Status: admission.AnswerUnavailable}
}

// TestNewSettingsReachLiveConnections: they are asked about before they are
// judged, sixteen at a time, and meanwhile a revocation of another is not held
// up, nor is a change of a policy.
func TestNewSettingsReachLiveConnections(t *testing.T) {
	const devices = 40
	k := newGatekeeper(16)
	f := newFixture(t, options{gate: func(c *admission.Config) { c.Ask = k.ask }})
	a := f.supervised(muster.OCSPOff)
	var clients []*client
	for i := range devices {
		name := fmt.Sprintf("sensor-%d", i)
		clients = append(clients, f.admitted(f.leaf(a, name), name))
	}
	other := f.registered("other", "all")
	bystander := f.admitted(other, "other")
	if k.asked != 0 {
		t.Fatalf("asked %d times while it is off", k.asked)
	}

	k.shut()
	f.supervise(a, muster.OCSPHard)
	<-k.reached
	_, err := f.store.UpdateCertificateStatus(t.Context(), account, id(other), muster.Revoked)
	must(t, err)
	bystander.closed(t)
	for _, c := range clients {
		if len(c.gone) > 0 {
			t.Error("closed before anybody was asked")
		}
	}
	close(k.release)
	for _, c := range clients {
		if d := c.closed(t); d == nil || d.ReasonCode != 0x80 {
			t.Errorf("closed with %+v", d)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.most != 16 {
		t.Errorf("%d were asked about at once, want 16", k.most)
	}
}

// TestRecheckIsSpread asks about connections over the interval, each once, in
// the order in which they came.
func TestRecheckIsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, every = 100, time.Minute
		b, sessions := newIdle(t, n)
		ctx, stop := context.WithTimeout(t.Context(), 10*every+every/2)
		defer stop()
		start := time.Now()
		b.Recheck(ctx, every)
		var seconds [60 * 11]int
		for i, s := range sessions {
			if len(s.at) < 9 || len(s.at) > 12 {
				t.Fatalf("connection %d was asked about %d times in ten and a half intervals", i, len(s.at))
			}
			for j, at := range s.at {
				seconds[int(at.Sub(start)/time.Second)]++
				if j > 0 && at.Sub(s.at[j-1]) > every*13/10 {
					t.Errorf("connection %d was not asked about for %v", i, at.Sub(s.at[j-1]))
				}
			}
		}
		if most := slices.Max(seconds[:]); most > 4 {
			t.Errorf("%d of %d in one second", most, n)
		}
	})
}

// idle is a session of a connection that does nothing.
type idle struct {
	mu    sync.Mutex
	at    []time.Time   // of Recheck
	told  []time.Time   // to Rejudge
	takes time.Duration // Rejudge
}

func newIdle(t *testing.T, n int) (*broker.Broker, []*idle) {
	t.Helper()
	var own []*idle
	var sessions []admission.Session
	for range n {
		s := &idle{}
		own, sessions = append(own, s), append(sessions, s)
	}
	return broker.NewIdle(newObserver(), sessions...), own
}

func (s *idle) Recheck(context.Context) (admission.Decision, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = append(s.at, time.Now())
	return admission.Decision{Verdict: admission.Admit}, true
}

func (s *idle) Rejudge(ctx context.Context, told time.Time) {
	if s.takes > 0 {
		select {
		case <-time.After(s.takes):
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, told)
}

func (*idle) Kick(muster.Reason, string) {}
func (*idle) End(bool)                   {}
