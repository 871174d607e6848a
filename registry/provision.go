package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/muster-mqtt/muster"
)

// templateOrigin begins Thing.Authority of things that a fleet provisioning
// template made; its name follows.
const templateOrigin = "template/"

// originText is whose template made a thing, for people.
func originText(origin string) string {
	if name, ok := strings.CutPrefix(origin, templateOrigin); ok {
		return "template " + name
	}
	return "authority " + origin
}

// Provision applies what a fleet provisioning template made to a certificate
// that fleet provisioning issued and that is still PENDING_ACTIVATION, whole or
// not at all. From then on the record stays: its Expires is cleared. The same
// once more, on a record that has all of it, writes nothing and is answered as
// the first.
//
// The certificate or the template that is not there is ErrNotFound, as is a
// certificate whose time is over; one that is past PENDING_ACTIVATION, or not of
// fleet provisioning, is ErrState; so is a template that is disabled. What the
// template made and cannot be written is ErrRegistration, or ErrConflict where
// its OverrideSettings say FAIL. A thing that another template made is not taken
// over unless they say so.
func (s *Store) Provision(ctx context.Context, p muster.Provisioning) (muster.Provisioned, error) {
	job, err := newApplication(p.Account, templateOrigin+p.Template, p.Registration, s.now())
	if err != nil {
		return muster.Provisioned{}, err
	}
	var out muster.Provisioned
	err = s.update(ctx, func(t *tx) error {
		if err := checkFleet(t, p.Account, p.Template); err != nil {
			return err
		}
		c, err := t.certificate(p.Account, p.CertificateID)
		if err != nil {
			return err
		}
		if err := checkProvisionable(c, job); err != nil {
			return err
		}
		if c.Status == muster.PendingActivation {
			if err := job.run(t, c, job.Status); err != nil {
				return err
			}
		}
		out = muster.Provisioned{Certificate: c.Certificate, Wrote: len(t.written) > 0}
		return nil
	})
	if err != nil {
		return muster.Provisioned{}, err
	}
	return out, nil
}

// checkFleet requires a fleet provisioning template that may be used.
func checkFleet(t *tx, account, name string) error {
	template, _, err := read[muster.Template](t, KindTemplate, docID(KindTemplate, account, name))
	switch {
	case err != nil:
		return err
	case template.Type != muster.TemplateFleet:
		return fmt.Errorf("template %s: it is of type %s, want FLEET_PROVISIONING: %w", name, template.Type, muster.ErrState)
	case !template.Enabled:
		return fmt.Errorf("template %s: it is disabled, enable it first: %w", name, muster.ErrState)
	}
	return nil
}

// checkProvisionable holds a certificate to what fleet provisioning may touch:
// one that waits for it, or that has all of this from it already.
func checkProvisionable(c *certificateTx, job *application) error {
	switch {
	case c.AuthorityID != "":
		return fmt.Errorf("certificate %s: it was not issued to be provisioned: %w", c.ID, muster.ErrState)
	case c.Status != muster.PendingActivation && !job.done(c):
		return fmt.Errorf("certificate %s: it is %s and not to be provisioned again: %w", c.ID, c.Status, muster.ErrState)
	}
	return nil
}

// done says whether a certificate has all that a registration gives it.
func (a *application) done(c *certificateTx) bool {
	return c.Status == a.Status &&
		(a.Thing == nil || slices.Contains(c.Things, a.Thing.Name)) &&
		!slices.ContainsFunc(a.Policies, func(g muster.RegistrationGrant) bool { return !slices.Contains(c.Policies, g.Name) })
}
