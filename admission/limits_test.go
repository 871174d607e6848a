package admission_test

import (
	"context"
	"crypto/x509"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
)

// turnedAway fails unless the latest refusal was remembered with this cause, and
// with a mend that names the key.
func (f *fixture) turnedAway(out admission.Outcome, l *mint.Leaf, reason muster.Reason, mend string) {
	f.t.Helper()
	expect(f.t, "turned away", out.Decision, admission.Refuse, reason)
	if !strings.Contains(out.Detail, "; connect again in ") {
		f.t.Errorf("it does not say when to come again: %s", out.Detail)
	}
	if out.Enrolled {
		f.t.Error("and registered")
	}
	c := f.inspect(l, "")
	if got := admission.Mend(c.Decision.Reason, c.Facts); !strings.Contains(got, mend) {
		f.t.Errorf("the mend does not name %s: %s", mend, got)
	}
}

// TestBusy turns away who is not known yet, before anybody is asked about it.
func TestBusy(t *testing.T) {
	f := newFixture(t, nil)
	f.answer = admission.Answer{Status: admission.AnswerGood}
	a := f.authority(withOCSP(muster.OCSPHard))
	known, stranger := leafOf(t, a, nil), leafOf(t, a, nil)
	expect(t, "at first", f.connect(known).Decision, admission.Admit, "")
	f.gate.SetBusy(func() bool { return true })
	asked := f.asked
	f.turnedAway(f.connect(stranger), stranger, muster.ReasonBusy, "random time")
	if f.asked != asked {
		t.Error("OCSP was asked about a device that is turned away")
	}
	if got := f.status(accountA, stranger); got != "" {
		t.Errorf("it is registered as %s", got)
	}
	expect(t, "known", f.connect(known).Decision, admission.Admit, "")
	disabled := f.authority(func(r *registry.AuthorityRegistration) { r.AutoRegistration = false })
	expect(t, "what is refused anyway", f.connect(leafOf(t, disabled, nil)).Decision, admission.Refuse, muster.ReasonAutoRegistrationDisabled)
	f.gate.SetBusy(func() bool { return false })
	expect(t, "later", f.connect(stranger).Decision, admission.Admit, "")
}

// TestConnectsPerAuthority: the devices of one authority share a rate, those of
// another have their own, and those without one have none. What is turned away
// asks nobody.
func TestConnectsPerAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no time passes
		f := newFixture(t, func(c *admission.Config) { c.Limits.ConnectsPerAuthority = 1 })
		f.answer = admission.Answer{Status: admission.AnswerGood}
		a, other := f.authority(withOCSP(muster.OCSPHard)), f.authority(withTemplate(activating))
		l := leafOf(t, a, nil)
		for range 2 {
			expect(t, "its due", f.connect(l).Decision, admission.Admit, "")
		}
		asked := f.asked
		f.turnedAway(f.connect(l), l, muster.ReasonTooManyConnections, "limits.connects_per_authority")
		if f.asked != asked {
			t.Error("OCSP was asked about a device that is turned away")
		}
		expect(t, "of another authority", f.connect(leafOf(t, other, nil)).Decision, admission.Admit, "")
		alone, err := mint.SelfSigned(mint.Request{})
		must(t, err)
		f.withoutCA(accountA, alone)
		for range 5 {
			expect(t, "without an authority", f.connect(alone).Decision, admission.Admit, "")
		}
		f.gate.SetLimits(admission.Limits{ConnectsPerAuthority: 100})
		time.Sleep(100 * time.Millisecond)
		for range 10 {
			expect(t, "at another rate", f.connect(l).Decision, admission.Admit, "")
		}
	})
}

// held stops whoever comes until it is told to go on.
type held struct{ came, goOn chan struct{} }

func newHeld() held { return held{make(chan struct{}), make(chan struct{})} }

func (h held) stop() {
	h.came <- struct{}{}
	<-h.goOn
}

// slowToEnrol is a registry that writes when it is told to.
type slowToEnrol struct {
	admission.Registry
	held
}

func (s slowToEnrol) Enrol(ctx context.Context, e muster.Enrolment) (muster.Enrolled, error) {
	s.stop()
	return s.Registry.Enrol(ctx, e)
}

// TestRegistrationsWhileAsking: while OCSP is asked about as many new devices as
// may be, others are turned away, and known ones are not.
func TestRegistrationsWhileAsking(t *testing.T) {
	var slow *mint.Leaf
	h := newHeld()
	f := newFixture(t, func(c *admission.Config) {
		c.Limits.Registrations = 1
		c.Ask = func(_ context.Context, q admission.Question) admission.Answer {
			if q.Leaf == slow.Cert {
				h.stop()
			}
			return admission.Answer{Status: admission.AnswerGood}
		}
	})
	a := f.authority(withOCSP(muster.OCSPHard))
	slow = leafOf(t, a, nil)
	known, other := leafOf(t, a, nil), leafOf(t, a, nil)
	expect(t, "a device", f.connect(known).Decision, admission.Admit, "")
	inspected := make(chan *admission.Candidate)
	go func() { inspected <- f.inspect(slow, "") }()
	<-h.came
	f.turnedAway(f.connect(other), other, muster.ReasonBusy, "limits.registrations")
	expect(t, "known", f.connect(known).Decision, admission.Admit, "")
	h.goOn <- struct{}{}
	expect(t, "who was asked about", f.gate.Connect(t.Context(), <-inspected).Decision, admission.Admit, "")
	expect(t, "later", f.connect(other).Decision, admission.Admit, "")
}

// TestRegistrationsOfOneAuthority: one whose responder is slow keeps no devices of
// others from registering, neither those that have to wait for an answer nor those
// about which nobody is asked.
func TestRegistrationsOfOneAuthority(t *testing.T) {
	slow := map[*x509.Certificate]bool{}
	h := newHeld()
	f := newFixture(t, func(c *admission.Config) {
		c.Limits.Registrations = 4
		c.Ask = func(_ context.Context, q admission.Question) admission.Answer {
			if slow[q.Leaf] {
				h.stop()
			}
			return admission.Answer{Status: admission.AnswerGood}
		}
	})
	stalled, hard := f.authority(withOCSP(muster.OCSPHard)), f.authority(withOCSP(muster.OCSPHard))
	off := f.authority(withTemplate(activating))
	leaves := []*mint.Leaf{leafOf(t, stalled, nil), leafOf(t, stalled, nil), leafOf(t, hard, nil), leafOf(t, hard, nil)}
	for _, l := range leaves {
		slow[l.Cert] = true
	}
	inspected := make(chan *admission.Candidate)
	hold := func(l *mint.Leaf) {
		go func() { inspected <- f.inspect(l, "") }()
		<-h.came
	}
	hold(leaves[0])
	hold(leaves[1])
	third := leafOf(t, stalled, nil)
	f.turnedAway(f.connect(third), third, muster.ReasonBusy, "limits.registrations")
	expect(t, "of another authority", f.connect(leafOf(t, hard, nil)).Decision, admission.Admit, "")
	hold(leaves[2])
	hold(leaves[3])
	expect(t, "nobody is asked about it", f.connect(leafOf(t, off, nil)).Decision, admission.Admit, "")
	for range leaves {
		h.goOn <- struct{}{}
		expect(t, "who was asked about", (<-inspected).Decision, admission.Register, "")
	}
	expect(t, "later", f.connect(third).Decision, admission.Admit, "")
}

// TestRegistrationsWhileWriting is the same of the registry.
func TestRegistrationsWhileWriting(t *testing.T) {
	h := newHeld()
	f := newFixture(t, func(c *admission.Config) {
		c.Limits.Registrations, c.Registry = 1, slowToEnrol{c.Registry, h}
	})
	a := f.authority(withTemplate(activating))
	first, other := leafOf(t, a, nil), leafOf(t, a, nil)
	connected := make(chan admission.Outcome)
	go func() { connected <- f.connect(first) }()
	<-h.came
	c := f.inspect(other, "")
	expect(t, "Inspect", c.Decision, admission.Register, "")
	out := f.gate.Connect(t.Context(), c)
	expect(t, "another", out.Decision, admission.Refuse, muster.ReasonBusy)
	if got := admission.Mend(out.Reason, c.Facts); !strings.Contains(got, "limits.registrations") {
		t.Errorf("the mend: %s", got)
	}
	h.goOn <- struct{}{}
	expect(t, "the first", (<-connected).Decision, admission.Admit, "")
	go func() { connected <- f.connect(other) }()
	<-h.came
	h.goOn <- struct{}{}
	expect(t, "later", (<-connected).Decision, admission.Admit, "")
}
