package awsiot

import (
	"context"

	"github.com/muster-mqtt/muster"
)

func transferOperations() []operation {
	return []operation{
		{"TransferCertificate", patch, "/transfer-certificate/{certificateId}", (*Dialect).transferCertificate},
		{"AcceptCertificateTransfer", patch, "/accept-certificate-transfer/{certificateId}", (*Dialect).acceptCertificateTransfer},
		{"RejectCertificateTransfer", patch, "/reject-certificate-transfer/{certificateId}", (*Dialect).rejectCertificateTransfer},
		{"CancelCertificateTransfer", patch, "/cancel-certificate-transfer/{certificateId}", (*Dialect).cancelCertificateTransfer},
		{"ListOutgoingCertificates", get, "/certificates-out-going", (*Dialect).listOutgoingCertificates},
	}
}

// transferCertificate answers with the ARN that the certificate has in the other
// account once that accepts it.
func (d *Dialect) transferCertificate(ctx context.Context, c *call) (any, error) {
	var in struct {
		Message string `json:"transferMessage"`
	}
	c.decode(&in)
	id := c.fingerprint("certificateId")
	target := c.query.Get("targetAwsAccount")
	c.required("targetAwsAccount", target, accountID)
	c.optional("transferMessage", in.Message, transferMessage)
	if c.err != nil {
		return nil, c.err
	}
	if _, err := d.store.TransferCertificate(ctx, c.account, id, target, in.Message); err != nil {
		return nil, err
	}
	return struct {
		ARN string `json:"transferredCertificateArn"`
	}{d.arn(target, muster.KindCertificate, id)}, nil
}

func (d *Dialect) acceptCertificateTransfer(ctx context.Context, c *call) (any, error) {
	id := c.fingerprint("certificateId")
	active := c.flag("setAsActive")
	if c.err != nil {
		return nil, c.err
	}
	_, err := d.store.AcceptTransfer(ctx, c.account, id, active)
	return nil, err
}

func (d *Dialect) rejectCertificateTransfer(ctx context.Context, c *call) (any, error) {
	var in struct {
		Reason string `json:"rejectReason"`
	}
	c.decode(&in)
	id := c.fingerprint("certificateId")
	c.optional("rejectReason", in.Reason, transferMessage)
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.RejectTransfer(ctx, c.account, id, in.Reason)
}

func (d *Dialect) cancelCertificateTransfer(ctx context.Context, c *call) (any, error) {
	id := c.fingerprint("certificateId")
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.CancelTransfer(ctx, c.account, id)
}

type outgoingCertificate struct {
	ARN           string `json:"certificateArn"`
	ID            string `json:"certificateId"`
	TransferredTo string `json:"transferredTo"`
	Transferred   epoch  `json:"transferDate"`
	Message       string `json:"transferMessage,omitempty"`
	Created       epoch  `json:"creationDate"`
}

// listOutgoingCertificates lists what others have neither accepted nor rejected
// yet.
func (d *Dialect) listOutgoingCertificates(ctx context.Context, c *call) (any, error) {
	page := c.page()
	if c.err != nil {
		return nil, c.err
	}
	all, next, err := d.store.ListCertificatesByStatus(ctx, c.account, muster.PendingTransfer, page)
	if err != nil {
		return nil, err
	}
	return struct {
		Certificates []outgoingCertificate `json:"outgoingCertificates"`
		NextMarker   string                `json:"nextMarker,omitempty"`
	}{each(all, func(cert muster.Certificate) outgoingCertificate {
		return outgoingCertificate{
			ARN: d.arn(cert.Account, muster.KindCertificate, cert.ID), ID: cert.ID, TransferredTo: cert.Transfer.To,
			Transferred: epoch(cert.Transfer.Offered), Message: cert.Transfer.Message, Created: epoch(cert.Created),
		}
	}), token(next)}, nil
}

// transferData is AWS's account of a transfer.
type transferData struct {
	Message      string `json:"transferMessage,omitempty"`
	RejectReason string `json:"rejectReason,omitempty"`
	Transferred  epoch  `json:"transferDate,omitzero"`
	Accepted     epoch  `json:"acceptDate,omitzero"`
	Rejected     epoch  `json:"rejectDate,omitzero"`
}

func transferDataOf(t muster.Transfer) transferData {
	return transferData{t.Message, t.RejectReason, epoch(t.Offered), epoch(t.Accepted), epoch(t.Rejected)}
}
