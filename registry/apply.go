package registry

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/muster-mqtt/muster"
)

// obstacle is why a registration cannot be applied: one clear sentence for the
// operator.
type obstacle struct {
	text string
	kind error // muster.ErrRegistration, or ErrConflict where OverrideSettings say FAIL
}

func (o *obstacle) Error() string { return o.text }
func (o *obstacle) Unwrap() error { return o.kind }

func obstructed(format string, args ...any) error {
	return &obstacle{fmt.Sprintf(format, args...), muster.ErrRegistration}
}

// application is a Registration with all that the transaction which applies it
// must not make itself.
type application struct {
	muster.Registration
	account string
	// origin is whose template it is, in the words of Thing.Authority; "" for an
	// operator, who may speak for any thing.
	origin  string
	thingID string
	made    map[string]muster.Policy // of the documents of the template, by name
	now     time.Time
}

// newApplication checks what a template made. An error of kind ErrInvalid is the
// caller's fault, an obstacle the template's.
func newApplication(account, origin string, r muster.Registration, now time.Time) (*application, error) {
	if r.Status != muster.Active && r.Status != muster.Inactive {
		return nil, fmt.Errorf("registration: status %q: want ACTIVE or INACTIVE: %w", r.Status, muster.ErrInvalid)
	}
	if err := checkOverrides(&r); err != nil {
		return nil, fmt.Errorf("registration: %w", err)
	}
	if err := checkMade(&r); err != nil {
		return nil, err
	}
	a := &application{Registration: r, account: account, origin: origin, thingID: randomUUID(), made: map[string]muster.Policy{}, now: now}
	for _, g := range r.Policies {
		if g.Document != "" {
			a.made[g.Name] = newPolicy(account, g.Name, g.Document, now)
		}
	}
	return a, nil
}

// checkMade looks for what a template made that no registry takes.
func checkMade(r *muster.Registration) error {
	if t := r.Thing; t != nil {
		if err := checkThing(muster.Thing{Name: t.Name, Type: t.Type, Attributes: t.Attributes, Billing: t.Billing}); err != nil {
			return obstructed("%v", err)
		}
	}
	documents := map[string]string{}
	for _, g := range r.Policies {
		if g.Document == "" {
			continue
		}
		if err := checkPolicy(g.Name, g.Document); err != nil {
			return obstructed("%v", err)
		}
		if other, ok := documents[g.Name]; ok && other != g.Document {
			return obstructed("the policy %q is given with two documents", g.Name)
		}
		documents[g.Name] = g.Document
	}
	return nil
}

// plan is what a registration is going to write beside the certificate.
type plan struct {
	thing    *muster.Thing // nil: none, or one that stays as it is
	version  uint64        // of the thing's document; 0: it is new
	policies []muster.Policy
	attached muster.Certificate // its Things and Policies after
}

// plan judges a registration before anything of it is written.
func (a *application) plan(t *tx, c *certificateTx) (p plan, err error) {
	p.attached = c.Certificate
	if a.Thing != nil {
		if err := a.planThing(t, &p); err != nil {
			return p, err
		}
		things, added := with(p.attached.Things, a.Thing.Name)
		if added && c.Exclusive {
			return p, obstructed("the certificate is attached to the thing %q exclusively, and to no other one", c.Things[0])
		}
		p.attached.Things = things
	}
	for _, g := range a.Policies {
		if err := a.planPolicy(t, &p, g); err != nil {
			return p, err
		}
		p.attached.Policies, _ = with(p.attached.Policies, g.Name)
	}
	if n := len(p.attached.Things); n > maxThings {
		return p, obstructed("%d things would be attached to the certificate, at most %d may", n, maxThings)
	}
	if n := len(p.attached.Policies); n > maxPolicies {
		return p, obstructed("%d policies would be attached to the certificate, at most %d may", n, maxPolicies)
	}
	return p, nil
}

func (a *application) planThing(t *tx, p *plan) error {
	want := a.Thing
	have, version, err := read[muster.Thing](t, KindThing, docID(KindThing, a.account, want.Name))
	if err == nil {
		return a.planOverride(t, p, have, version)
	}
	if !errors.Is(err, muster.ErrNotFound) {
		return err
	}
	thing := &muster.Thing{
		Account: a.account, Name: want.Name, ID: a.thingID, Type: want.Type, Groups: sortedNames(want.Groups),
		Attributes: want.Attributes, Billing: want.Billing, Authority: a.origin, Created: a.now, Revision: 1,
	}
	if reason := crowded(thing.Name, thing.Groups, 0); reason != "" {
		return obstructed("%s", reason)
	}
	if err := targets(t, thing, "made"); err != nil {
		return err
	}
	p.thing = thing
	return nil
}

// targets requires the type and groups of a thing that is made or changed.
func targets(t *tx, thing *muster.Thing, done string) error {
	switch err := checkThingTargets(t, thing); {
	case errors.Is(err, muster.ErrNotFound):
		return obstructed("the thing %q cannot be %s: %v; create it first", thing.Name, done, err)
	case errors.Is(err, muster.ErrInvalid):
		return obstructed("the thing %q cannot be %s: %v", thing.Name, done, err)
	default:
		return err
	}
}

func (a *application) planPolicy(t *tx, p *plan, g muster.RegistrationGrant) error {
	have, _, err := read[muster.Policy](t, KindPolicy, docID(KindPolicy, a.account, g.Name))
	if err != nil && !errors.Is(err, muster.ErrNotFound) {
		return err
	}
	made, given := a.made[g.Name]
	switch {
	case err == nil && g.Document != "" && !holdsDocument(have, g.Document):
		return obstructed("the policy %q exists with another document", g.Name)
	case err == nil:
		return nil
	case !given:
		return obstructed("the policy %q does not exist; create it first", g.Name)
	}
	if !slices.ContainsFunc(p.policies, func(q muster.Policy) bool { return q.Name == g.Name }) {
		p.policies = append(p.policies, made)
	}
	return nil
}

// holdsDocument says whether a version has this text: an operator who put a
// stricter one in force still has the policy that the template means.
func holdsDocument(p muster.Policy, document string) bool {
	return slices.ContainsFunc(p.Versions, func(v muster.PolicyVersion) bool { return v.Document == document })
}

// run plans and applies, and writes nothing if that makes no difference.
func (a *application) run(t *tx, c *certificateTx, status muster.Status) error {
	p, err := a.plan(t, c)
	if err != nil || !p.changes(c, status) {
		return err
	}
	return a.apply(t, c, p, status)
}

func (p *plan) changes(c *certificateTx, status muster.Status) bool {
	return c.version == 0 || c.Status != status || p.thing != nil || len(p.policies) > 0 ||
		!slices.Equal(p.attached.Things, c.Things) || !slices.Equal(p.attached.Policies, c.Policies)
}

// apply writes what was planned, and the certificate with the status it shall
// have.
func (a *application) apply(t *tx, c *certificateTx, p plan, status muster.Status) error {
	if p.thing != nil {
		if err := t.put(p.version, p.thing); err != nil {
			return err
		}
	}
	for i := range p.policies {
		if err := t.put(0, &p.policies[i]); err != nil {
			return err
		}
	}
	c.Things, c.Policies = p.attached.Things, p.attached.Policies
	c.provisioned = true
	if a.Thing != nil {
		c.thing = a.Thing.Name
	}
	if c.version != 0 {
		c.Revision++
	}
	c.Status, c.Modified, c.ProvisioningFailure, c.Expires = status, a.now, "", time.Time{}
	return t.putCertificate(c)
}
