package awsiot

import (
	"context"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

func authorityOperations() []operation {
	return []operation{
		{"RegisterCACertificate", post, "/cacertificate", (*Dialect).registerCACertificate},
		{"DescribeCACertificate", get, "/cacertificate/{caCertificateId}", (*Dialect).describeCACertificate},
		{"UpdateCACertificate", put, "/cacertificate/{caCertificateId}", (*Dialect).updateCACertificate},
		{"DeleteCACertificate", remove, "/cacertificate/{caCertificateId}", (*Dialect).deleteCACertificate},
		{"ListCACertificates", get, "/cacertificates", (*Dialect).listCACertificates},
	}
}

// registrar is AWS's registrationConfig.
type registrar struct {
	TemplateName string `json:"templateName,omitempty"`
	TemplateBody string `json:"templateBody,omitempty"`
	RoleARN      string `json:"roleArn,omitempty"`
}

func (r registrar) check(c *call) {
	const member = "registrationConfig"
	c.optional(member+".templateName", r.TemplateName, templateName)
	c.optional(member+".templateBody", r.TemplateBody, templateBody)
	c.optional(member+".roleArn", r.RoleARN, roleARN)
}

func (d *Dialect) registerCACertificate(ctx context.Context, c *call) (any, error) {
	var in struct {
		CA           string       `json:"caCertificate"`
		Verification string       `json:"verificationCertificate"`
		Registration registrar    `json:"registrationConfig"`
		Tags         []muster.Tag `json:"tags"`
		Mode         string       `json:"certificateMode"`
	}
	c.decode(&in)
	c.required("caCertificate", in.CA, certificatePEM)
	c.optional("verificationCertificate", in.Verification, certificatePEM)
	c.optional("certificateMode", in.Mode, certificateMode)
	in.Registration.check(c)
	c.tags(in.Tags)
	registration := registry.AuthorityRegistration{
		Account:          c.account,
		PEM:              in.CA,
		VerificationPEM:  in.Verification,
		Mode:             muster.Mode(in.Mode),
		Active:           c.flag("setAsActive"),
		AutoRegistration: c.flag("allowAutoRegistration"),
		Registration:     muster.Registrar(in.Registration),
		Tags:             in.Tags,
	}
	if c.err != nil {
		return nil, c.err
	}
	a, err := d.store.RegisterAuthority(ctx, registration)
	if err != nil {
		return nil, err
	}
	return d.certificateName(muster.KindAuthority, a.Account, a.ID), nil
}

type caDescription struct {
	ARN              string        `json:"certificateArn"`
	ID               string        `json:"certificateId"`
	Status           muster.Status `json:"status"`
	PEM              string        `json:"certificatePem"`
	OwnedBy          string        `json:"ownedBy"`
	Created          epoch         `json:"creationDate"`
	AutoRegistration string        `json:"autoRegistrationStatus"`
	Modified         epoch         `json:"lastModifiedDate"`
	Version          int           `json:"customerVersion"`
	Generation       string        `json:"generationId"`
	Validity         validity      `json:"validity"`
	Mode             muster.Mode   `json:"certificateMode"`
}

func (d *Dialect) describeCACertificate(ctx context.Context, c *call) (any, error) {
	id := c.fingerprint("caCertificateId")
	if c.err != nil {
		return nil, c.err
	}
	a, err := d.store.Authority(ctx, c.account, id)
	if err != nil {
		return nil, err
	}
	auto := "DISABLE"
	if a.AutoRegistration {
		auto = "ENABLE"
	}
	return struct {
		Certificate  caDescription `json:"certificateDescription"`
		Registration registrar     `json:"registrationConfig,omitzero"`
	}{
		caDescription{
			ARN:              d.arn(a.Account, muster.KindAuthority, a.ID),
			ID:               a.ID,
			Status:           a.Status,
			PEM:              a.PEM,
			OwnedBy:          a.Account,
			Created:          epoch(a.Created),
			AutoRegistration: auto,
			Modified:         epoch(a.Modified),
			Version:          a.Revision,
			Generation:       a.Generation,
			Validity:         validity{epoch(a.NotBefore), epoch(a.NotAfter)},
			Mode:             a.Mode,
		},
		registrar(a.Registration),
	}, nil
}

func (d *Dialect) updateCACertificate(ctx context.Context, c *call) (any, error) {
	var in struct {
		Registration registrar `json:"registrationConfig"`
		Remove       bool      `json:"removeAutoRegistration"`
	}
	c.decode(&in)
	in.Registration.check(c)
	id := c.fingerprint("caCertificateId")
	update := registry.AuthorityUpdate{RemoveRegistration: in.Remove}
	if status := muster.Status(c.param("newStatus", caStatus)); status != "" {
		update.Status = &status
	}
	if auto := c.param("newAutoRegistrationStatus", autoRegistrationStatus); auto != "" {
		enable := auto == "ENABLE"
		update.AutoRegistration = &enable
	}
	if registration := muster.Registrar(in.Registration); !registration.IsZero() {
		update.Registration = &registration
	}
	if c.err != nil {
		return nil, c.err
	}
	_, err := d.store.UpdateAuthority(ctx, c.account, id, update)
	return nil, err
}

func (d *Dialect) deleteCACertificate(ctx context.Context, c *call) (any, error) {
	id := c.fingerprint("caCertificateId")
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.DeleteAuthority(ctx, c.account, id)
}

type caSummary struct {
	ARN     string        `json:"certificateArn"`
	ID      string        `json:"certificateId"`
	Status  muster.Status `json:"status"`
	Created epoch         `json:"creationDate"`
}

func (d *Dialect) listCACertificates(ctx context.Context, c *call) (any, error) {
	page := c.page()
	template := c.param("templateName", templateName)
	if c.err != nil {
		return nil, c.err
	}
	all, next, err := d.store.ListAuthorities(ctx, c.account, template, page)
	if err != nil {
		return nil, err
	}
	return struct {
		Certificates []caSummary `json:"certificates"`
		NextMarker   string      `json:"nextMarker,omitempty"`
	}{each(all, func(a muster.Authority) caSummary {
		return caSummary{d.arn(a.Account, muster.KindAuthority, a.ID), a.ID, a.Status, epoch(a.Created)}
	}), token(next)}, nil
}
