package admission

import (
	"fmt"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
)

// TestRefusalsAreToldOnceAMinute: of one certificate and reason; those between
// are counted.
func TestRefusalsAreToldOnceAMinute(t *testing.T) {
	var told []muster.Event
	l := newTeller(func(e muster.Event) { told = append(told, e) })
	start := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	refusal := func(after time.Duration, id string, reason muster.Reason) muster.Refusal {
		return muster.Refusal{Time: start.Add(after), Account: "123456789012", CertificateID: id, Reason: reason, ClientID: "lamp"}
	}
	for _, step := range []struct {
		kind  muster.EventType
		r     muster.Refusal
		count int // of the event; 0: none
	}{
		{muster.EventRefused, refusal(0, "a", muster.ReasonRevoked), 1},
		{muster.EventRefused, refusal(time.Second, "a", muster.ReasonRevoked), 0},
		{muster.EventRefused, refusal(time.Second, "b", muster.ReasonRevoked), 1},
		{muster.EventRefused, refusal(2*time.Second, "a", muster.ReasonInactive), 1},
		{muster.EventClosed, refusal(2*time.Second, "a", muster.ReasonRevoked), 1},
		{muster.EventRefused, refusal(time.Minute-1, "a", muster.ReasonRevoked), 0},
		{muster.EventRefused, refusal(time.Minute, "a", muster.ReasonRevoked), 3},
		{muster.EventRefused, refusal(time.Minute+1, "a", muster.ReasonRevoked), 0},
		{muster.EventRefused, refusal(time.Hour, "a", muster.ReasonRevoked), 2},
	} {
		told = nil
		l.of(step.kind, step.r, muster.Revoked)
		switch {
		case step.count == 0 && len(told) == 0:
		case len(told) != 1 || told[0].Count != step.count || told[0].Type != step.kind || told[0].Reason != step.r.Reason ||
			told[0].CertificateID != step.r.CertificateID || told[0].ClientID != "lamp" || told[0].Status != muster.Revoked:
			t.Errorf("%+v told %+v, want one of %d", step.r, told, step.count)
		}
	}
}

// TestStrangersAreToldOfAtABoundedRate, and nobody else pays for them.
func TestStrangersAreToldOfAtABoundedRate(t *testing.T) {
	n := 0
	l := newTeller(func(muster.Event) { n++ })
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for i := range 10 * strangerBurst {
		l.of(muster.EventRefused, muster.Refusal{Time: now, CertificateID: fmt.Sprint(i)}, "")
	}
	if n != strangerBurst {
		t.Errorf("%d strangers were told of at once, want %d", n, strangerBurst)
	}
	l.of(muster.EventRefused, muster.Refusal{Time: now, Account: "123456789012", CertificateID: "known"}, "")
	if n != strangerBurst+1 {
		t.Error("a known device was not told of")
	}
	n = 0
	for i := range 3 * strangerEvents {
		l.of(muster.EventRefused, muster.Refusal{Time: now.Add(time.Second), CertificateID: fmt.Sprint("later", i)}, "")
	}
	if n != strangerEvents {
		t.Errorf("%d strangers were told of in the next second, want %d", n, strangerEvents)
	}
}

// TestCrowdsAreToldOfAtABoundedRate: devices that come again and again, more than
// are remembered, are not told of each time, or they would push out what else
// happened where events wait.
func TestCrowdsAreToldOfAtABoundedRate(t *testing.T) {
	n := 0
	l := newTeller(func(muster.Event) { n++ })
	start := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for round := range 10 { // once in six seconds, for a minute
		for i := range 2 * maxTold {
			l.of(muster.EventRefused, muster.Refusal{
				Time: start.Add(time.Duration(round) * 6 * time.Second), Account: "123456789012", CertificateID: fmt.Sprint(i),
			}, "")
		}
	}
	if most := maxTold + 10*crowdEvents; n < maxTold || n > most {
		t.Errorf("%d events in a minute, want %d to %d", n, maxTold, most)
	}
}

// TestStrangersAreCounted while it is not the time to tell of them.
func TestStrangersAreCounted(t *testing.T) {
	var last muster.Event
	l := newTeller(func(e muster.Event) { last = e })
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	of := func(id string) { l.of(muster.EventRefused, muster.Refusal{Time: now, CertificateID: id}, "") }
	of("a")
	now = now.Add(toldInterval)
	for i := range strangerBurst {
		of(fmt.Sprint("another ", i))
	}
	of("a") // it would be time, but the strangers' rate is used up
	now = now.Add(time.Second)
	of("a")
	if last.CertificateID != "a" || last.Count != 2 {
		t.Errorf("told %+v, want one of 2", last)
	}
}

func TestToldRefusalsAreBounded(t *testing.T) {
	l := newTeller(func(muster.Event) {})
	for i := range 3 * maxTold {
		l.of(muster.EventRefused, muster.Refusal{Account: "123456789012", CertificateID: fmt.Sprint(i)}, "")
	}
	if len(l.told) > maxTold {
		t.Errorf("%d are remembered", len(l.told))
	}
}
