package awsiot

import (
	"context"
	"errors"
	"strings"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

func certificateOperations() []operation {
	return []operation{
		{"RegisterCertificate", post, "/certificate/register", (*Dialect).registerCertificate},
		{"RegisterCertificateWithoutCA", post, "/certificate/register-no-ca", (*Dialect).registerCertificateWithoutCA},
		{"DescribeCertificate", get, "/certificates/{certificateId}", (*Dialect).describeCertificate},
		{"UpdateCertificate", put, "/certificates/{certificateId}", (*Dialect).updateCertificate},
		{"DeleteCertificate", remove, "/certificates/{certificateId}", (*Dialect).deleteCertificate},
		{"ListCertificates", get, "/certificates", (*Dialect).listCertificates},
		{"ListCertificatesByCA", get, "/certificates-by-ca/{caCertificateId}", (*Dialect).listCertificatesByCA},
	}
}

// certificateName is what a registration answers, of an authority too.
type certificateName struct {
	ARN string `json:"certificateArn"`
	ID  string `json:"certificateId"`
}

func (d *Dialect) certificateName(kind muster.ResourceKind, account, id string) certificateName {
	return certificateName{d.arn(account, kind, id), id}
}

type validity struct {
	NotBefore epoch `json:"notBefore"`
	NotAfter  epoch `json:"notAfter"`
}

func (d *Dialect) registerCertificate(ctx context.Context, c *call) (any, error) {
	var in struct {
		PEM    string `json:"certificatePem"`
		CAPEM  string `json:"caCertificatePem"`
		Status string `json:"status"`
	}
	c.decode(&in)
	c.optional("caCertificatePem", in.CAPEM, certificatePEM)
	if c.flag("setAsActive") { // the older member of the two
		if in.Status != "" && in.Status != string(muster.Active) {
			c.refuse("setAsActive: contradicts status")
		}
		in.Status = string(muster.Active)
	}
	return d.register(ctx, c, in.PEM, in.Status, registry.CertificateRegistration{CAPEM: in.CAPEM})
}

func (d *Dialect) registerCertificateWithoutCA(ctx context.Context, c *call) (any, error) {
	var in struct {
		PEM    string `json:"certificatePem"`
		Status string `json:"status"`
	}
	c.decode(&in)
	return d.register(ctx, c, in.PEM, in.Status, registry.CertificateRegistration{WithoutCA: true})
}

func (d *Dialect) register(ctx context.Context, c *call, pem, status string, r registry.CertificateRegistration) (any, error) {
	c.required("certificatePem", pem, certificatePEM)
	c.optional("status", status, certificateStatus)
	if c.err != nil {
		return nil, c.err
	}
	r.Account, r.PEM, r.Status = c.account, pem, muster.Status(status)
	cert, err := d.store.RegisterCertificate(ctx, r)
	if err != nil {
		return nil, err
	}
	return d.certificateName(muster.KindCertificate, cert.Account, cert.ID), nil
}

type certificateDescription struct {
	ARN        string        `json:"certificateArn"`
	ID         string        `json:"certificateId"`
	CAID       string        `json:"caCertificateId,omitempty"`
	Status     muster.Status `json:"status"`
	PEM        string        `json:"certificatePem"`
	OwnedBy    string        `json:"ownedBy"`
	Previous   string        `json:"previousOwnedBy,omitempty"`
	Created    epoch         `json:"creationDate"`
	Modified   epoch         `json:"lastModifiedDate"`
	Version    int           `json:"customerVersion"`
	Transfer   transferData  `json:"transferData,omitzero"`
	Generation string        `json:"generationId"`
	Validity   validity      `json:"validity"`
	Mode       muster.Mode   `json:"certificateMode"`
}

func (d *Dialect) describeCertificate(ctx context.Context, c *call) (any, error) {
	id := c.fingerprint("certificateId")
	if c.err != nil {
		return nil, c.err
	}
	cert, err := d.store.Certificate(ctx, c.account, id)
	if errors.Is(err, muster.ErrNotFound) {
		cert, err = d.store.OfferedCertificate(ctx, c.account, id)
		cert.PreviousOwner = "" // whose it is concerns who may accept it, whose it was does not
	}
	if err != nil {
		return nil, err
	}
	if cert.ProvisioningFailure != "" {
		c.reply.Set(provisioningFailureHeader, headerText(cert.ProvisioningFailure))
	}
	return struct {
		Certificate certificateDescription `json:"certificateDescription"`
	}{d.describe(c.account, cert)}, nil
}

// describe tells an account of a certificate that is its own or offered to it. The
// ARN is that in the account, under which a transfer is accepted.
func (d *Dialect) describe(account string, cert muster.Certificate) certificateDescription {
	return certificateDescription{
		ARN:        d.arn(account, muster.KindCertificate, cert.ID),
		ID:         cert.ID,
		CAID:       cert.AuthorityID,
		Status:     cert.Status,
		PEM:        cert.PEM,
		OwnedBy:    cert.Account,
		Previous:   cert.PreviousOwner,
		Created:    epoch(cert.Created),
		Modified:   epoch(cert.Modified),
		Version:    cert.Revision,
		Transfer:   transferDataOf(cert.Transfer),
		Generation: cert.Generation,
		Validity:   validity{epoch(cert.NotBefore), epoch(cert.NotAfter)},
		Mode:       cert.Mode,
	}
}

// provisioningFailureHeader is a header beside DescribeCertificate: why the
// template failed that is to activate the certificate. AWS has no member for it.
const provisioningFailureHeader = "X-Muster-Provisioning-Failure"

// maxHeaderText bounds a text in a header, in bytes: some proxies stop at 4 KB for
// all headers together.
const maxHeaderText = 512

// headerText is a text as any client and proxy lets it pass: printable ASCII, with
// a question mark in place of every other character (RFC 9110 §5.5).
func headerText(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return ' '
		case r < ' ', r > '~':
			return '?'
		}
		return r
	}, s)
	if len(s) > maxHeaderText {
		s = s[:maxHeaderText-3] + "..."
	}
	return strings.TrimSpace(s)
}

func (d *Dialect) updateCertificate(ctx context.Context, c *call) (any, error) {
	id := c.fingerprint("certificateId")
	status := c.query.Get("newStatus")
	c.required("newStatus", status, certificateStatus)
	if c.err != nil {
		return nil, c.err
	}
	_, err := d.store.UpdateCertificateStatus(ctx, c.account, id, muster.Status(status))
	return nil, err
}

func (d *Dialect) deleteCertificate(ctx context.Context, c *call) (any, error) {
	id := c.fingerprint("certificateId")
	force := c.flag("forceDelete")
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.DeleteCertificate(ctx, c.account, id, force)
}

func (d *Dialect) listCertificates(ctx context.Context, c *call) (any, error) {
	page := c.page()
	if c.err != nil {
		return nil, c.err
	}
	all, next, err := d.store.ListCertificates(ctx, c.account, page)
	return d.certificateList(c.account, all, next, err)
}

func (d *Dialect) listCertificatesByCA(ctx context.Context, c *call) (any, error) {
	id := c.fingerprint("caCertificateId")
	page := c.page()
	if c.err != nil {
		return nil, c.err
	}
	all, next, err := d.store.ListCertificatesByAuthority(ctx, c.account, id, page)
	return d.certificateList(c.account, all, next, err)
}

type certificateSummary struct {
	ARN     string        `json:"certificateArn"`
	ID      string        `json:"certificateId"`
	Status  muster.Status `json:"status"`
	Mode    muster.Mode   `json:"certificateMode"`
	Created epoch         `json:"creationDate"`
}

// certificateList is what an account sees of certificates: what is offered to it
// has its ARN, too.
func (d *Dialect) certificateList(account string, all []muster.Certificate, next registry.Cursor, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return struct {
		Certificates []certificateSummary `json:"certificates"`
		NextMarker   string               `json:"nextMarker,omitempty"`
	}{each(all, func(cert muster.Certificate) certificateSummary {
		arn := d.arn(account, muster.KindCertificate, cert.ID)
		return certificateSummary{arn, cert.ID, cert.Status, cert.Mode, epoch(cert.Created)}
	}), token(next)}, nil
}
