package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/muster-mqtt/muster"
)

// maxFailure bounds ProvisioningFailure, in bytes.
const maxFailure = 1024

// enrolment is an Enrolment with all that its transaction must not make itself.
type enrolment struct {
	muster.Enrolment
	store   *Store
	fresh   muster.Certificate // the record if there is none yet
	thingID string
	made    map[string]muster.Policy // of the documents of the template, by name
	now     time.Time
}

// Enrol registers a certificate at its first connect, or runs the template of
// one that is still PENDING_ACTIVATION. It is idempotent: any number of callers
// make one record, and a record that is past PENDING_ACTIVATION is returned as
// it is. The caller has verified that the authority's key signed the
// certificate.
//
// The authority has to be verified, ACTIVE and auto-registering, and no
// tombstone may stand; otherwise nothing is written and the error is ErrState:
// judge again. A template that cannot be applied is no error: nothing of it is
// written but the reason, in ProvisioningFailure, and the record stays
// PENDING_ACTIVATION.
//
// A record that is PENDING_ACTIVATION is not one that the template found: its
// status is set whatever StatusOverride says. A thing that exists is kept as it
// is, and fails the template if another authority's made it, unless its
// Override says otherwise.
func (s *Store) Enrol(ctx context.Context, e muster.Enrolment) (muster.Enrolled, error) {
	job, err := s.prepare(e)
	if err != nil {
		return muster.Enrolled{}, err
	}
	var out muster.Enrolled
	err = s.update(ctx, func(t *tx) error {
		c, err := job.record(t)
		if err != nil {
			return err
		}
		if c.version == 0 || c.Status == muster.PendingActivation {
			err := job.run(t, c)
			if errors.Is(err, muster.ErrExists) { // what run creates it found missing: it is IndexDefault
				return fmt.Errorf("certificate %s: another account has it by now: %w", c.ID, muster.ErrState)
			}
			if err != nil {
				return err
			}
		}
		out = muster.Enrolled{Certificate: c.Certificate, Wrote: len(t.written) > 0}
		return nil
	})
	return out, err
}

func (s *Store) prepare(e muster.Enrolment) (*enrolment, error) {
	cert, err := parsePEM("device certificate", e.PEM)
	if err != nil {
		return nil, err
	}
	job := &enrolment{Enrolment: e, store: s, now: s.now()}
	job.fresh = muster.Certificate{
		Account:     e.Account,
		ID:          muster.Fingerprint(cert.Raw),
		PEM:         e.PEM,
		Status:      muster.PendingActivation,
		AuthorityID: e.AuthorityID,
		Created:     job.now,
		Modified:    job.now,
		Revision:    1,
		Generation:  randomUUID(),
		NotBefore:   cert.NotBefore,
		NotAfter:    cert.NotAfter,
	}
	r := e.Registration
	if r == nil {
		return job, nil
	}
	if r.Status != muster.Active && r.Status != muster.Inactive {
		return nil, fmt.Errorf("registration: status %q: want ACTIVE or INACTIVE: %w", r.Status, muster.ErrInvalid)
	}
	if err := checkOverrides(r); err != nil {
		return nil, fmt.Errorf("registration: %w", err)
	}
	if job.Failure == "" {
		job.Failure = faultOf(r)
	}
	job.thingID = randomUUID()
	job.made = map[string]muster.Policy{}
	for _, g := range r.Policies {
		if g.Document != "" {
			job.made[g.Name] = newPolicy(e.Account, g.Name, g.Document, job.now)
		}
	}
	return job, nil
}

// faultOf says what a template made that no registry takes, or returns "".
func faultOf(r *muster.Registration) string {
	if t := r.Thing; t != nil {
		if err := checkThing(muster.Thing{Name: t.Name, Type: t.Type, Attributes: t.Attributes, Billing: t.Billing}); err != nil {
			return err.Error()
		}
	}
	documents := map[string]string{}
	for _, g := range r.Policies {
		if g.Document == "" {
			continue
		}
		if err := checkPolicy(g.Name, g.Document); err != nil {
			return err.Error()
		}
		if other, ok := documents[g.Name]; ok && other != g.Document {
			return fmt.Sprintf("the policy %q is given with two documents", g.Name)
		}
		documents[g.Name] = g.Document
	}
	return ""
}

// record returns the record of the certificate, or one that is yet to be
// created, after it checked that the authority may register it.
func (e *enrolment) record(t *tx) (*certificateTx, error) {
	id := e.fresh.ID
	c, err := t.certificate(e.Account, id)
	missing := errors.Is(err, muster.ErrNotFound)
	if err != nil && !missing {
		return nil, err
	}
	if !missing && c.Status != muster.PendingActivation {
		return c, nil
	}
	if !missing && c.AuthorityID != e.AuthorityID {
		return nil, fmt.Errorf("certificate %s: registered under authority %q, not %q: %w", id, c.AuthorityID, e.AuthorityID, muster.ErrState)
	}
	a, err := e.store.enroller(t, docID(KindAuthority, e.Account, e.AuthorityID))
	if err != nil && !errors.Is(err, muster.ErrNotFound) {
		return nil, err
	}
	if err != nil || !a.Verified || a.Status != muster.Active || !a.AutoRegistration {
		return nil, fmt.Errorf("certificate %s: authority %s does not register devices by itself (any more): %w", id, e.AuthorityID, muster.ErrState)
	}
	if !missing {
		return c, nil
	}
	buried, err := exists(t, KindTombstone, docID(KindTombstone, e.Account, id))
	if err != nil {
		return nil, err
	}
	if buried {
		return nil, fmt.Errorf("certificate %s: it was deleted and is not to come back by itself: %w", id, muster.ErrState)
	}
	c = &certificateTx{Certificate: e.fresh}
	c.Mode = a.Mode
	return c, nil // its issuer document stands as long as the authority does
}

// enroller is what Enrol has to know of an authority.
type enroller struct {
	Status           muster.Status `json:"status"`
	Mode             muster.Mode   `json:"mode"`
	Verified         bool          `json:"verified"`
	AutoRegistration bool          `json:"autoRegistration"`
}

// enroller reads an authority within a transaction. Every registration does,
// and most of its time would go into the JSON: a text is decoded once. A
// version is written once, so that what is kept for it never grows old.
func (s *Store) enroller(t *tx, id string) (enroller, error) {
	doc, err := t.Get(KindAuthority, id)
	if err != nil {
		return enroller{}, translate(KindAuthority, id, err)
	}
	return s.enrollers.load(id+"@"+strconv.FormatUint(doc.Version, 10), func() (enroller, error) {
		var a enroller
		if err := json.Unmarshal(doc.JSON, &a); err != nil {
			return a, fmt.Errorf("authority %s: damaged document: %w", id, err)
		}
		return a, nil
	})
}

// run applies the template to a record that is pending, or notes why it cannot.
func (e *enrolment) run(t *tx, c *certificateTx) error {
	failure := e.Failure
	if failure == "" && e.Registration != nil {
		plan, reason, err := e.plan(t, c)
		if err != nil {
			return err
		}
		if reason == "" {
			return e.apply(t, c, plan)
		}
		failure = reason
	}
	failure = clip(failure)
	if c.version != 0 && c.ProvisioningFailure == failure {
		return nil
	}
	c.ProvisioningFailure = failure
	return t.putCertificate(c)
}

// clip bounds a reason: it may quote what a device put into its certificate.
func clip(reason string) string {
	if len(reason) > maxFailure {
		reason = reason[:maxFailure-3] + "..."
	}
	return strings.ToValidUTF8(reason, "")
}

// plan is what a registration is going to write beside the certificate.
type plan struct {
	thing    *muster.Thing // nil: none, or one that stays as it is
	version  uint64        // of the thing's document; 0: it is new
	policies []muster.Policy
	attached muster.Certificate // its Things and Policies after
}

// plan judges a registration before anything of it is written. A reason is one
// clear sentence for the operator.
func (e *enrolment) plan(t *tx, c *certificateTx) (p plan, reason string, err error) {
	p.attached = c.Certificate
	if e.Registration.Thing != nil {
		if reason, err = e.planThing(t, &p); reason != "" || err != nil {
			return p, reason, err
		}
		p.attached.Things, _ = with(p.attached.Things, e.Registration.Thing.Name)
	}
	for _, g := range e.Registration.Policies {
		if reason, err = e.planPolicy(t, &p, g); reason != "" || err != nil {
			return p, reason, err
		}
		p.attached.Policies, _ = with(p.attached.Policies, g.Name)
	}
	if n := len(p.attached.Things); n > maxThings {
		return p, fmt.Sprintf("%d things would be attached to the certificate, at most %d may", n, maxThings), nil
	}
	if n := len(p.attached.Policies); n > maxPolicies {
		return p, fmt.Sprintf("%d policies would be attached to the certificate, at most %d may", n, maxPolicies), nil
	}
	return p, "", nil
}

func (e *enrolment) planThing(t *tx, p *plan) (reason string, err error) {
	want := e.Registration.Thing
	have, version, err := read[muster.Thing](t, KindThing, docID(KindThing, e.Account, want.Name))
	if err == nil {
		return e.planOverride(t, p, have, version)
	}
	if !errors.Is(err, muster.ErrNotFound) {
		return "", err
	}
	thing := &muster.Thing{
		Account: e.Account, Name: want.Name, ID: e.thingID, Type: want.Type, Groups: sortedNames(want.Groups),
		Attributes: want.Attributes, Billing: want.Billing, Authority: e.AuthorityID, Created: e.now, Revision: 1,
	}
	if reason := crowded(thing.Name, thing.Groups, 0); reason != "" {
		return reason, nil
	}
	switch err := checkThingTargets(t, thing); {
	case errors.Is(err, muster.ErrNotFound):
		return fmt.Sprintf("the thing %q cannot be made: %v; create it first", want.Name, err), nil
	case err != nil:
		return "", err
	}
	p.thing = thing
	return "", nil
}

func (e *enrolment) planPolicy(t *tx, p *plan, g muster.RegistrationGrant) (reason string, err error) {
	have, _, err := read[muster.Policy](t, KindPolicy, docID(KindPolicy, e.Account, g.Name))
	if err != nil && !errors.Is(err, muster.ErrNotFound) {
		return "", err
	}
	made, given := e.made[g.Name]
	switch {
	case err == nil && g.Document != "" && !holdsDocument(have, g.Document):
		return fmt.Sprintf("the policy %q exists with another document", g.Name), nil
	case err == nil:
		return "", nil
	case !given:
		return fmt.Sprintf("the policy %q does not exist; create it first", g.Name), nil
	}
	if !slices.ContainsFunc(p.policies, func(q muster.Policy) bool { return q.Name == g.Name }) {
		p.policies = append(p.policies, made)
	}
	return "", nil
}

// holdsDocument says whether a version has this text: an operator who put a
// stricter one in force still has the policy that the template means.
func holdsDocument(p muster.Policy, document string) bool {
	return slices.ContainsFunc(p.Versions, func(v muster.PolicyVersion) bool { return v.Document == document })
}

func (e *enrolment) apply(t *tx, c *certificateTx, p plan) error {
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
	if e.Registration.Thing != nil {
		c.thing = e.Registration.Thing.Name
	}
	if c.version != 0 {
		c.Revision++
	}
	c.Status, c.Modified, c.ProvisioningFailure = e.Registration.Status, e.now, ""
	return t.putCertificate(c)
}
