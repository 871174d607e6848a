package awsiot

import (
	"context"

	"github.com/muster-mqtt/muster"
)

func issuingOperations() []operation {
	return []operation{
		{"CreateCertificateFromCsr", post, "/certificates", (*Dialect).createCertificateFromCsr},
		{"CreateKeysAndCertificate", post, "/keys-and-certificate", (*Dialect).createKeysAndCertificate},
		{"CreateProvisioningClaim", post, "/provisioning-templates/{templateName}/provisioning-claim", (*Dialect).createProvisioningClaim},
	}
}

var signingRequest = newForm("", 1, 4096)

// issued is what CreateCertificateFromCsr answers, and the beginning of what
// CreateKeysAndCertificate does.
type issued struct {
	certificateName
	PEM string `json:"certificatePem"`
}

// keyPair has the names of AWS's KeyPair, which begin with capitals. It is
// answered once, and kept and logged nowhere.
type keyPair struct {
	Public  string `json:"PublicKey"`
	Private string `json:"PrivateKey"`
}

func (d *Dialect) createCertificateFromCsr(ctx context.Context, c *call) (any, error) {
	var in struct {
		CSR string `json:"certificateSigningRequest"`
	}
	c.decode(&in)
	c.required("certificateSigningRequest", in.CSR, signingRequest)
	made, err := d.issue(ctx, c, in.CSR)
	if err != nil {
		return nil, err
	}
	return d.issued(made), nil
}

func (d *Dialect) createKeysAndCertificate(ctx context.Context, c *call) (any, error) {
	made, err := d.issue(ctx, c, "")
	if err != nil {
		return nil, err
	}
	return struct {
		issued
		KeyPair keyPair `json:"keyPair"`
	}{d.issued(made), keyPair{made.PublicKey, made.PrivateKey}}, nil
}

// issue issues a certificate that is INACTIVE unless the query says setAsActive.
func (d *Dialect) issue(ctx context.Context, c *call, csr string) (muster.Issued, error) {
	status := muster.Inactive
	if c.flag("setAsActive") {
		status = muster.Active
	}
	if c.err != nil {
		return muster.Issued{}, c.err
	}
	return d.store.IssueCertificate(ctx, muster.Issuance{Account: c.account, CSR: csr, Status: status})
}

func (d *Dialect) issued(made muster.Issued) issued {
	return issued{d.certificateName(muster.KindCertificate, made.Account, made.ID), made.PEM}
}
