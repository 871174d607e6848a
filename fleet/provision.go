package fleet

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/provisioning"
)

// provisionedAnswer is the payload of a device that was provisioned.
type provisionedAnswer struct {
	DeviceConfiguration map[string]string `json:"deviceConfiguration"`
	ThingName           string            `json:"thingName,omitempty"` // "" where the template makes no thing
}

// provisionRequest is what a device asks for with a token.
type provisionRequest struct {
	token      string
	parameters map[string]string
}

// provision has a template make a thing of the certificate that a token is of,
// and activate it. The same request again has the same answer, as long as the
// token counts: the one before may have been lost.
func (s *Service) provision(ctx context.Context, r Request, a address) (any, error) {
	asked, err := s.readProvision(a, r.Payload)
	if err != nil {
		return nil, err
	}
	certificate, err := s.owned(ctx, r, asked.token)
	if err != nil {
		return nil, err
	}
	t, err := s.template(ctx, r, a.template)
	if err != nil {
		return nil, err
	}
	parsed, err := s.templates.parse(t.Body())
	if err != nil {
		return nil, reject(CodeInternal, "the template cannot be used").because("template %s: %v", t.Name, err)
	}
	if t.Hook != nil {
		asked.parameters, err = s.consult(ctx, t.Hook, hookEvent{
			ClaimCertificateID: r.CertificateID, CertificateID: certificate.ID, CertificatePEM: certificate.PEM,
			TemplateARN: muster.ARN(s.region, r.Account, "provisioningtemplate/"+t.Name),
			ClientID:    r.ClientID, Parameters: asked.parameters,
		})
		if err == nil { // a revocation while the hook thought counts
			_, err = s.asking(ctx, r)
		}
		if err != nil {
			return nil, err
		}
	}
	registration, err := render(parsed, certificate.PEM, asked.parameters)
	if err != nil {
		return nil, err
	}
	return s.apply(ctx, r, t, certificate, registration)
}

// apply has the registry write what the template made.
func (s *Service) apply(ctx context.Context, r Request, t muster.Template, c muster.Certificate, made muster.Registration) (any, error) {
	if r.Asker.Gone() { // while the hook was asked: nothing is written that nobody hears of
		return nil, reject(CodeUnavailable, "the connection has ended")
	}
	out, err := s.registry.Provision(ctx, muster.Provisioning{
		Account: r.Account, CertificateID: c.ID, Registration: made, Template: t.Name,
	})
	if errors.Is(err, muster.ErrState) {
		return nil, reject(CodeToken, "the token was used").because("certificate %s: %v", c.ID, err)
	}
	if err != nil {
		return nil, err
	}
	s.unused.used(r.Account, c.ID)
	answer := provisionedAnswer{DeviceConfiguration: made.DeviceConfiguration}
	if answer.DeviceConfiguration == nil {
		answer.DeviceConfiguration = map[string]string{}
	}
	if made.Thing != nil {
		answer.ThingName = made.Thing.Name
	}
	s.log.Info().Str("event", "fleet_provisioned").Str("certificate", c.ID).Str("thing", answer.ThingName).
		Str("template", t.Name).Str("status", string(out.Status)).Bool("repeated", !out.Wrote).Str("claim", r.CertificateID).
		Str("client", short(r.ClientID)).Str("account", r.Account).Str("remote", r.Remote).Msg("device provisioned")
	return answer, nil
}

func (s *Service) readProvision(a address, payload []byte) (q provisionRequest, err error) {
	m, err := s.codec.read(a.format, payload)
	if err == nil {
		err = m.only("certificateOwnershipToken", "parameters")
	}
	if err == nil {
		q.token, err = m.text("certificateOwnershipToken")
	}
	if err == nil {
		q.parameters, err = m.texts("parameters")
	}
	if err != nil {
		return q, reject(CodePayload, "the request cannot be read: %v", err)
	}
	return q, nil
}

// owned returns the certificate that a token is of, if the connection that asks
// is of the certificate that asked for it.
func (s *Service) owned(ctx context.Context, r Request, token string) (muster.Certificate, error) {
	if token == "" {
		return muster.Certificate{}, reject(CodeToken, "certificateOwnershipToken is missing")
	}
	o, err := s.tokens.open(r.Account, token)
	if err == nil && o.claim != r.CertificateID {
		err = fmt.Errorf("the token was given to certificate %s", o.claim)
	}
	if err != nil {
		return muster.Certificate{}, reject(CodeToken, "%v", errToken).because("%v", err)
	}
	const expired = "the token has expired; ask for a new certificate"
	if !s.now().Before(o.expires) {
		return muster.Certificate{}, reject(CodeToken, expired).because("the token of certificate %s has expired", o.certificate)
	}
	c, err := s.registry.Certificate(ctx, r.Account, o.certificate)
	if errors.Is(err, muster.ErrNotFound) {
		return c, reject(CodeToken, expired).because("%v", err)
	}
	return c, err
}

// asking returns the certificate of the connection, if it is ACTIVE still. One that
// an operator has just revoked counts no more, though its connection ends only a
// little later.
func (s *Service) asking(ctx context.Context, r Request) (muster.Certificate, error) {
	p, err := s.registry.Principal(ctx, r.Account, r.CertificateID, r.ClientID)
	if err == nil && p.Certificate.Status != muster.Active {
		err = fmt.Errorf("certificate %s is %s: %w", r.CertificateID, p.Certificate.Status, muster.ErrNotFound)
	}
	if errors.Is(err, muster.ErrNotFound) {
		return muster.Certificate{}, reject(CodeDenied, "the certificate of the connection counts no more").because("%v", err)
	}
	return p.Certificate, err
}

// template returns the one that a device asks for, if it may use that.
func (s *Service) template(ctx context.Context, r Request, name string) (muster.Template, error) {
	none := muster.Template{}
	asking, err := s.asking(ctx, r)
	if err != nil {
		return none, err
	}
	if only := asking.Claim; only != "" && only != name {
		return none, reject(CodeDenied, "the claim certificate is for another template").
			because("the claim certificate is for template %s alone", only)
	}
	return s.usable(ctx, r.Account, name)
}

// usable returns a template if devices may provision themselves by it.
func (s *Service) usable(ctx context.Context, account, name string) (muster.Template, error) {
	none := muster.Template{}
	t, err := s.registry.Template(ctx, account, name)
	switch {
	case err != nil:
		return none, err
	case t.Type != muster.TemplateFleet:
		return none, reject(CodeNotFound, "template %s is not of fleet provisioning", name).
			because("template %s is of type %s, want %s", name, t.Type, muster.TemplateFleet)
	case !t.Enabled:
		return none, reject(CodeDenied, "template %s is not enabled", name)
	}
	return t, nil
}

// render makes of a template what is to be written for a certificate. What the
// device says does not stand in for what its certificate does.
func render(t *provisioning.Template, certificate string, given map[string]string) (muster.Registration, error) {
	block, _ := pem.Decode([]byte(certificate))
	if block == nil {
		return muster.Registration{}, errors.New("the record holds no PEM")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return muster.Registration{}, err
	}
	return t.Render(provisioning.Parameters{Certificate: leaf, Given: given})
}

// maxTemplates bounds the parsed templates that are kept.
const maxTemplates = 1000

// templateCache keeps templates parsed, by their text: a version of a name may be
// another text when the template was deleted and made anew.
type templateCache struct {
	mu     sync.Mutex
	parsed map[string]*provisioning.Template
}

func (c *templateCache) parse(body string) (*provisioning.Template, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, ok := c.parsed[body]; ok {
		return t, nil
	}
	t, err := provisioning.Parse([]byte(body))
	if err != nil {
		return nil, err
	}
	if c.parsed == nil || len(c.parsed) >= maxTemplates {
		c.parsed = map[string]*provisioning.Template{}
	}
	c.parsed[body] = t
	return t, nil
}
