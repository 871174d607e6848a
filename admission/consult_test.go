package admission_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
)

// oracle answers by a function, and keeps what it was asked.
type oracle struct {
	say   func(q admission.Question) admission.Answer
	asked []admission.Question
}

func (o *oracle) ask(_ context.Context, q admission.Question) admission.Answer {
	o.asked = append(o.asked, q)
	return o.say(q)
}

// always is an oracle's only answer.
func always(s admission.AnswerStatus) func(admission.Question) admission.Answer {
	return func(admission.Question) admission.Answer { return admission.Answer{Status: s} }
}

func newOracle(t *testing.T) (*fixture, *oracle) {
	o := &oracle{say: always(admission.AnswerGood)}
	return newFixture(t, func(c *admission.Config) { c.Ask = o.ask }), o
}

// staple inspects a connection that staples a response.
func (f *fixture) staple(l *mint.Leaf, der string) *admission.Candidate {
	cs := tls.ConnectionState{PeerCertificates: []*x509.Certificate{l.Cert}}
	if der != "" {
		cs.OCSPResponse = []byte(der)
	}
	return f.gate.Inspect(f.t.Context(), cs, "192.0.2.1:4711")
}

// bring is a CONNECT with a response.
func (f *fixture) bring(c *admission.Candidate, der string) admission.Decision {
	c.Brought = []byte(der)
	return f.gate.Connect(f.t.Context(), c).Decision
}

// byWhat answers by what was brought, as a responder's word; nobody can be asked.
func byWhat(q admission.Question) admission.Answer {
	switch string(q.Brought) {
	case "good":
		return admission.Answer{Status: admission.AnswerGood}
	case "revoked":
		return admission.Answer{Status: admission.AnswerRevoked}
	case "held":
		return admission.Answer{Status: admission.AnswerRevoked, Hold: true}
	case "":
		return admission.Answer{Status: admission.AnswerUnavailable, Detail: "http://ocsp: refused"}
	}
	if q.Offline {
		return admission.Answer{Detail: "what it brought is forged"}
	}
	return admission.Answer{Status: admission.AnswerUnavailable, Detail: "what it brought is forged; http://ocsp: refused"}
}

// TestBrought stapled in TLS or in CONNECT: each counts once, and only where
// asking has not told.
func TestBrought(t *testing.T) {
	for _, tc := range []struct {
		staple, property string
		reason           muster.Reason
		asked            string // with what, in order
		detail           string
	}{
		{"", "", muster.ReasonRevocationUnknown, "()", "http://ocsp: refused"},
		{"good", "", "", "(good)", ""},
		{"good", "revoked", "", "(good)", ""}, // nothing is left to ask
		{"", "good", "", "() offline(good)", ""},
		{"forged", "good", "", "(forged) offline(good)", ""},
		{"revoked", "good", muster.ReasonRevoked, "(revoked)", ""},
		{"", "revoked", muster.ReasonRevoked, "() offline(revoked)", ""},
		{"", "held", muster.ReasonRevoked, "() offline(held)", ""},
		{"", "forged", muster.ReasonRevocationUnknown, "() offline(forged)", "http://ocsp: refused; what it brought is forged"},
		{"forged", "", muster.ReasonRevocationUnknown, "(forged)", "what it brought is forged; http://ocsp: refused"},
	} {
		f, o := newOracle(t)
		l := leafOf(t, f.authority(withOCSP(muster.OCSPHard)), nil)
		expect(t, "registered", f.connect(l).Decision, admission.Admit, "")
		o.asked, o.say = nil, byWhat
		c := f.staple(l, tc.staple)
		var d admission.Decision
		if tc.property == "" {
			d = f.gate.Connect(t.Context(), c).Decision
		} else {
			d = f.bring(c, tc.property)
		}
		what := tc.staple + " and " + tc.property
		verdict := admission.Admit
		if tc.reason != "" {
			verdict = admission.Refuse
		}
		expect(t, what, d, verdict, tc.reason)
		var asked []string
		for _, q := range o.asked {
			asked = append(asked, map[bool]string{true: "offline"}[q.Offline]+"("+string(q.Brought)+")")
		}
		if got := strings.Join(asked, " "); got != tc.asked {
			t.Errorf("%s: asked %s, want %s", what, got, tc.asked)
		}
		if tc.detail != "" && !strings.Contains(d.Detail, "("+tc.detail+")") {
			t.Errorf("%s: detail %q, want %q", what, d.Detail, tc.detail)
		}
		want := muster.Active
		if tc.reason == muster.ReasonRevoked && tc.property != "held" {
			want = muster.Revoked
		}
		if got := f.status(accountA, l); got != want {
			t.Errorf("%s: the record is %s, want %s", what, got, want)
		}
		if c.Brought != nil {
			t.Errorf("%s: what was brought is kept", what)
		}
	}
}

// TestBroughtByAStranger: it registers by what it brought, and a revoked one does
// not.
func TestBroughtByAStranger(t *testing.T) {
	f, o := newOracle(t)
	o.say = byWhat
	a := f.authority(withOCSP(muster.OCSPSoft))
	expect(t, "good", f.bring(f.staple(leafOf(t, a, nil), ""), "good"), admission.Admit, "")
	revoked := leafOf(t, a, nil)
	expect(t, "revoked", f.bring(f.staple(revoked, ""), "revoked"), admission.Refuse, muster.ReasonRevoked)
	if got := f.status(accountA, revoked); got != "" {
		t.Errorf("a revoked stranger was registered as %s", got)
	}
	// Nobody looks at what those bring who are refused anyway, nor where OCSP is off.
	o.asked = nil
	f.setStatus(accountA, idOf(a.Cert), muster.Inactive)
	expect(t, "authority inactive", f.bring(f.staple(leafOf(t, a, nil), "good"), "good"), admission.Refuse, muster.ReasonAuthorityInactive)
	expect(t, "off", f.bring(f.staple(leafOf(t, f.authority(withTemplate(activating)), nil), "good"), "revoked"), admission.Admit, "")
	if len(o.asked) != 0 {
		t.Errorf("asked %d times", len(o.asked))
	}
}

// unwritable is a registry that cannot record a revocation.
type unwritable struct{ admission.Registry }

func (unwritable) Revoke(context.Context, string, string) error {
	return errors.New("the disk is full")
}

// TestRevocationThatCannotBeRecorded counts all the same, in every moment.
func TestRevocationThatCannotBeRecorded(t *testing.T) {
	o := &oracle{say: always(admission.AnswerGood)}
	f := newFixture(t, func(c *admission.Config) { c.Ask, c.Registry = o.ask, unwritable{c.Registry} })
	l := leafOf(t, f.authority(withOCSP(muster.OCSPSoft)), nil)
	live := f.staple(l, "")
	expect(t, "good", f.gate.Connect(t.Context(), live).Decision, admission.Admit, "")
	o.say = always(admission.AnswerRevoked)
	c := f.staple(l, "")
	expect(t, "Inspect", c.Decision, admission.Refuse, muster.ReasonInternalError)
	expect(t, "Connect", f.gate.Connect(t.Context(), c).Decision, admission.Refuse, muster.ReasonRevoked)
	f.recheck(live, true, admission.Refuse, muster.ReasonRevoked)
}

func (f *fixture) recheck(c *admission.Candidate, asked bool, v admission.Verdict, r muster.Reason) {
	f.t.Helper()
	d, judged := f.gate.Recheck(f.t.Context(), c)
	if judged != asked {
		f.t.Errorf("asked: %v, want %v", judged, asked)
	}
	if asked {
		expect(f.t, "Recheck", d, v, r)
	}
}

func (f *fixture) supervise(a *mint.Authority, mode muster.OCSPMode) {
	f.t.Helper()
	_, err := f.store.SetOCSP(f.t.Context(), accountA, idOf(a.Cert), registry.OCSPUpdate{Mode: &mode})
	must(f.t, err)
}

// TestRecheck of a connection that stays open while the world changes. Standing
// goes by what Recheck found out last.
func TestRecheck(t *testing.T) {
	f, o := newOracle(t)
	a := f.authority(withOCSP(muster.OCSPSoft))
	l := leafOf(t, a, nil)
	c := f.staple(l, "")
	expect(t, "connected", f.gate.Connect(t.Context(), c).Decision, admission.Admit, "")
	standing := func(v admission.Verdict, r muster.Reason) {
		t.Helper()
		expect(t, "Standing", f.gate.Standing(t.Context(), c), v, r)
	}
	f.recheck(c, true, admission.Admit, "")

	// Soft keeps whom nobody can be asked about; hard, from when that was tried.
	o.say = always(admission.AnswerUnavailable)
	f.recheck(c, true, admission.Admit, "")
	f.supervise(a, muster.OCSPHard)
	standing(admission.Admit, "")
	f.recheck(c, true, admission.Refuse, muster.ReasonRevocationUnknown)
	standing(admission.Refuse, muster.ReasonRevocationUnknown)
	o.say = always(admission.AnswerGood)
	f.recheck(c, true, admission.Admit, "")
	standing(admission.Admit, "")

	// That this server is busy is no answer, neither for hard nor for Standing.
	o.say = always(admission.AnswerBusy)
	f.recheck(c, false, admission.Admit, "")
	standing(admission.Admit, "")
	expect(t, "connects while the server is busy", f.connect(l).Decision, admission.Refuse, muster.ReasonBusy)

	// On hold it goes, and comes back; the record stays.
	o.say = func(admission.Question) admission.Answer {
		return admission.Answer{Status: admission.AnswerRevoked, Hold: true}
	}
	f.recheck(c, true, admission.Refuse, muster.ReasonRevoked)
	expect(t, "on hold", f.connect(l).Decision, admission.Refuse, muster.ReasonRevoked)
	if got := f.status(accountA, l); got != muster.Active {
		t.Errorf("on hold the record is %s", got)
	}
	o.say = always(admission.AnswerGood)
	expect(t, "lifted", f.connect(l).Decision, admission.Admit, "")
	f.recheck(c, true, admission.Admit, "")

	// Off asks nobody and forgets the last answer; on again asks.
	o.say = always(admission.AnswerUnavailable)
	f.recheck(c, true, admission.Refuse, muster.ReasonRevocationUnknown)
	f.supervise(a, muster.OCSPOff)
	asked := len(o.asked)
	f.recheck(c, false, admission.Admit, "")
	standing(admission.Admit, "")
	f.recheck(c, false, admission.Admit, "")
	if len(o.asked) != asked {
		t.Error("asked, though it is off")
	}
	f.supervise(a, muster.OCSPHard)
	o.say = always(admission.AnswerRevoked)
	f.recheck(c, true, admission.Refuse, muster.ReasonRevoked)
	if got := f.status(accountA, l); got != muster.Revoked {
		t.Errorf("revoked, the record is %s", got)
	}
	asked = len(o.asked)
	f.recheck(c, false, admission.Refuse, "") // its record says so already
	if len(o.asked) != asked {
		t.Error("asked about a record that is REVOKED")
	}
}

// TestRecheckLeavesAlone what it has nothing to say about.
func TestRecheckLeavesAlone(t *testing.T) {
	f, o := newOracle(t)
	off := f.staple(leafOf(t, f.authority(withTemplate(activating)), nil), "")
	expect(t, "off", f.gate.Connect(t.Context(), off).Decision, admission.Admit, "")
	f.recheck(off, false, admission.Admit, "")

	hard := f.staple(leafOf(t, f.authority(withOCSP(muster.OCSPHard)), nil), "")
	expect(t, "hard", f.gate.Connect(t.Context(), hard).Decision, admission.Admit, "")
	ctx, stop := context.WithCancel(t.Context())
	o.say = func(admission.Question) admission.Answer { // the server stops while it is asked
		stop()
		return admission.Answer{Status: admission.AnswerUnavailable}
	}
	if _, judged := f.gate.Recheck(ctx, hard); judged {
		t.Error("judged by an answer that nobody waited for")
	}
	expect(t, "afterwards", f.gate.Standing(t.Context(), hard), admission.Admit, "")
}

// TestRecheckOfWhatMoved ends, though the issuer that the connection knew of has
// other settings than the one that its record names by now.
func TestRecheckOfWhatMoved(t *testing.T) {
	f, o := newOracle(t)
	c := f.staple(leafOf(t, f.authority(withOCSP(muster.OCSPHard)), nil), "")
	expect(t, "connected", f.gate.Connect(t.Context(), c).Decision, admission.Admit, "")
	c.Facts.Record.AuthorityID = idOf(f.authority(withOCSP(muster.OCSPSoft)).Cert)
	asked := len(o.asked)
	f.recheck(c, true, admission.Admit, "")
	if n := len(o.asked) - asked; n != 1 {
		t.Errorf("asked %d times", n)
	}
	c.Account = accountB
	f.recheck(c, false, admission.Admit, "")
}

// TestRefusalOfALiveConnection is explained by what it was closed for, not by
// what let it in.
func TestRefusalOfALiveConnection(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(f *fixture, o *oracle, l *mint.Leaf, c *admission.Candidate) admission.Decision
		mend   string
	}{
		"put on hold": {func(f *fixture, o *oracle, _ *mint.Leaf, c *admission.Candidate) admission.Decision {
			o.say = func(admission.Question) admission.Answer {
				return admission.Answer{Status: admission.AnswerRevoked, Hold: true}
			}
			d, _ := f.gate.Recheck(f.t.Context(), c)
			return d
		}, "certificateHold"},
		"deactivated": {func(f *fixture, _ *oracle, l *mint.Leaf, c *admission.Candidate) admission.Decision {
			_, err := f.store.UpdateCertificateStatus(f.t.Context(), accountA, idOf(l.Cert), muster.Inactive)
			must(f.t, err)
			return f.gate.Standing(f.t.Context(), c)
		}, "activate it"},
	} {
		t.Run(name, func(t *testing.T) {
			f, o := newOracle(t)
			l := leafOf(t, f.authority(withOCSP(muster.OCSPHard)), nil)
			c := f.inspect(l, "")
			expect(t, "connect", f.gate.Connect(t.Context(), c).Decision, admission.Admit, "")
			d := tc.change(f, o, l, c)
			f.gate.Refused(c, d, "sensor")
			var facts admission.Facts
			r := f.memory.Recall(idOf(l.Cert))[0]
			must(t, json.Unmarshal(r.Facts, &facts))
			if again := admission.Decide(facts); again.Reason != d.Reason || d.Verdict != admission.Refuse {
				t.Errorf("refused for %s, and the facts say %s %s", d.Reason, again.Verdict, again.Reason)
			}
			if m := admission.Mend(r.Reason, facts); !strings.Contains(m, tc.mend) {
				t.Errorf("the mend is %q", m)
			}
		})
	}
}

// TestRecheckByTheNewest settings, also if they change while it asks.
func TestRecheckByTheNewest(t *testing.T) {
	f, o := newOracle(t)
	a := f.authority(withOCSP(muster.OCSPHard))
	c := f.staple(leafOf(t, a, nil), "")
	expect(t, "good", f.gate.Connect(t.Context(), c).Decision, admission.Admit, "")
	o.say = func(q admission.Question) admission.Answer {
		if q.Settings.Mode == muster.OCSPHard {
			f.supervise(a, muster.OCSPSoft)
		}
		return admission.Answer{Status: admission.AnswerUnavailable}
	}
	f.recheck(c, true, admission.Admit, "")
}

// TestFactsNameTheResponder for explain, and what failed.
func TestFactsNameTheResponder(t *testing.T) {
	f, o := newOracle(t)
	l := leafOf(t, f.authority(withOCSP(muster.OCSPHard)), nil)
	o.say = func(admission.Question) admission.Answer {
		return admission.Answer{Status: admission.AnswerGood, Responder: "https://ocsp.example.test/"}
	}
	facts, err := f.gate.Inquire(t.Context(), []*x509.Certificate{l.Cert}, "")
	must(t, err)
	if saw := admission.Explain(facts)[12].Saw; !strings.Contains(saw, "good, from https://ocsp.example.test/") {
		t.Errorf("good: %q", saw)
	}
	o.say = func(admission.Question) admission.Answer {
		return admission.Answer{Status: admission.AnswerUnavailable, Responder: "https://ocsp.example.test/", Detail: strings.Repeat("x", 1000)}
	}
	out := f.connect(l)
	expect(t, "unavailable", out.Decision, admission.Refuse, muster.ReasonRevocationUnknown)
	if len(out.Detail) > 600 || !strings.Contains(out.Detail, "xxx") {
		t.Errorf("detail of %d characters", len(out.Detail))
	}
}
