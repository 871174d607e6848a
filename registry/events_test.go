package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
)

// told collects events, as one word each.
type told struct {
	mu     sync.Mutex
	events []muster.Event
}

func (o *told) tell(e muster.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, e)
}

// take returns what was told since the last time, in short.
func (o *told) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var words []string
	for _, e := range o.events {
		words = append(words, strings.TrimPrefix(fmt.Sprintf("%s:%s>%s%s", e.Type, e.PreviousStatus, e.Status, e.ThingName), "certificate."))
	}
	o.events = nil
	return strings.Join(words, " ")
}

func newToldFixture(t *testing.T) (*fixture, *told, *mint.Authority, muster.Authority) {
	t.Helper()
	o := &told{}
	f := newFixtureOn(t, memory.New(), registry.Config{Tell: o.tell})
	ca := f.mint("Events")
	return f, o, ca, f.authority(ca)
}

// TestEachChangeIsToldOnce, whoever makes it, and what changes nothing is not.
func TestEachChangeIsToldOnce(t *testing.T) {
	f, o, ca, a := newToldFixture(t)
	f.policy("device")
	ctx := t.Context()
	pending := f.leaf(ca, "pending")
	enrolment := muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: pending}
	id := fingerprint(t, pending)
	failing := enrolment
	failing.Failure = "no Country"
	running := enrolment
	running.Registration = thingNamed("lamp")
	active, inactive := muster.Active, muster.Inactive
	set := func(s muster.Status) func() {
		return func() { must(f.UpdateCertificateStatus(ctx, account, id, s))(f) }
	}
	enrol := func(e muster.Enrolment) func() { return func() { must(f.Enrol(ctx, e))(f) } }
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"a pending certificate", enrol(enrolment), "registered:>PENDING_ACTIVATION"},
		{"again", enrol(enrolment), ""},
		{"its template fails", enrol(failing), "provisioning_failed:>PENDING_ACTIVATION"},
		{"for the same cause", enrol(failing), ""},
		{"a policy for it", func() { f.ok(f.AttachPolicy(ctx, account, "device", muster.KindCertificate, id)) }, ""},
		{"its template runs", enrol(running), "provisioned:PENDING_ACTIVATION>ACTIVElamp"},
		{"again", enrol(running), ""},
		{"inactive", set(inactive), "status_changed:ACTIVE>INACTIVE"},
		{"again", set(inactive), ""},
		{"active", set(active), "status_changed:INACTIVE>ACTIVE"},
		{"revoked by its issuer", func() { f.ok(f.Revoke(ctx, account, id)) }, "status_changed:ACTIVE>REVOKED"},
		{"again", func() { f.ok(f.Revoke(ctx, account, id)) }, ""},
		{"not deleted", func() { f.is("attached", f.DeleteCertificate(ctx, account, id, true), muster.ErrInUse) }, ""},
		{"detached", func() { f.ok(f.DetachThing(ctx, account, "lamp", id)) }, ""},
		{"deleted", func() { f.ok(f.DeleteCertificate(ctx, account, id, true)) }, "deleted:REVOKED>"},
		{"by hand", func() { f.register(ca, "hand", muster.Inactive) }, "registered:>INACTIVE"},
		{"a first connect with a template", func() {
			e := running
			e.PEM = f.leaf(ca, "new")
			enrol(e)()
		}, "registered:>ACTIVE provisioned:>ACTIVElamp"},
		{"a first connect whose template fails", func() {
			e := failing
			e.PEM = f.leaf(ca, "bad")
			enrol(e)()
		}, "registered:>PENDING_ACTIVATION provisioning_failed:>PENDING_ACTIVATION"},
	} {
		step.do()
		if got := o.take(); got != step.want {
			t.Errorf("%s: told %q, want %q", step.name, got, step.want)
		}
	}
}

// TestEventsOfManyAtOnce: what is decided on in bulk, and what nobody decided
// on in time.
func TestEventsOfManyAtOnce(t *testing.T) {
	f, o, ca, a := newToldFixture(t)
	var ids []string
	for i := range 4 {
		ids = append(ids, f.enrol(a, ca, fmt.Sprint(i)).ID)
	}
	o.take()
	how := registry.Settlement{Status: muster.Active, DryRun: true}
	must(f.Settle(t.Context(), account, ids[:2], how))(f)
	if got := o.take(); got != "" {
		t.Errorf("a dry run tells %q", got)
	}
	how.DryRun = false
	must(f.Settle(t.Context(), account, ids[:2], how))(f)
	if got, want := o.take(), "status_changed:PENDING_ACTIVATION>ACTIVE status_changed:PENDING_ACTIVATION>ACTIVE"; got != want {
		t.Errorf("approving tells %q", got)
	}
	must(f.Settle(t.Context(), account, ids[2:3], registry.Settlement{Delete: true}))(f)
	if got, want := o.take(), "deleted:PENDING_ACTIVATION>"; got != want {
		t.Errorf("forgetting tells %q", got)
	}
	f.advance(31 * 24 * time.Hour)
	f.ok(f.Sweep(t.Context()))
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.ContainsFunc(o.events, func(e muster.Event) bool {
		return e.Type == muster.EventDeleted && e.CertificateID == ids[3] && e.AuthorityID == a.ID && e.Account == account &&
			e.Detail != "" && !e.Time.IsZero()
	}) || len(o.events) != 1 {
		t.Errorf("the sweep tells %+v", o.events)
	}
}

// TestEventsAreToldOnceAmongMany: a device that connects sixty-four times at once
// is registered once.
func TestEventsAreToldOnceAmongMany(t *testing.T) {
	f, o, ca, a := newToldFixture(t)
	e := muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: f.leaf(ca, "device"), Registration: thingNamed("device")}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() { _, _ = f.Enrol(t.Context(), e) })
	}
	wg.Wait()
	if got, want := o.take(), "registered:>ACTIVE provisioned:>ACTIVEdevice"; got != want {
		t.Errorf("told %q", got)
	}
}
