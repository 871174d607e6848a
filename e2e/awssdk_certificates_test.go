package e2e_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"github.com/muster-mqtt/muster"
)

// sdkCertificates leads certificates that devices have through their lives.
func sdkCertificates(t *testing.T, a, b *sdk) {
	own := selfSigned(t, t.TempDir(), "sdk-own")
	made := do(t, a.RegisterCertificateWithoutCA, &iot.RegisterCertificateWithoutCAInput{
		CertificatePem: new(readFile(t, own.cert)), Status: types.CertificateStatusInactive})
	has(t, "ID", made.CertificateId, own.id)
	has(t, "ARN", made.CertificateArn, a.arn("cert/"+own.id))
	describe := &iot.DescribeCertificateInput{CertificateId: &own.id}
	d := do(t, a.DescribeCertificate, describe).CertificateDescription
	has(t, "PEM", d.CertificatePem, readFile(t, own.cert))
	has(t, "owner", d.OwnedBy, a.account)
	has(t, "customer version", d.CustomerVersion, 1)
	is(t, "status", d.Status, types.CertificateStatusInactive)
	is(t, "mode", d.CertificateMode, types.CertificateModeSniOnly)
	recent(t, "creation", d.CreationDate)
	if d.CaCertificateId != nil || d.PreviousOwnedBy != nil || d.TransferData != nil || d.GenerationId == nil || d.Validity == nil {
		t.Errorf("description %+v", d)
	}
	told := denied[*types.ResourceAlreadyExistsException](t, a.RegisterCertificateWithoutCA,
		&iot.RegisterCertificateWithoutCAInput{CertificatePem: new(readFile(t, own.cert))})
	has(t, "ID of the one in the way", told.ResourceId, own.id)
	has(t, "ARN of the one in the way", told.ResourceArn, a.arn("cert/"+own.id))

	for _, status := range []types.CertificateStatus{types.CertificateStatusActive, types.CertificateStatusActive, types.CertificateStatusRevoked} {
		do(t, a.UpdateCertificate, &iot.UpdateCertificateInput{CertificateId: &own.id, NewStatus: status})
		is(t, "status", do(t, a.DescribeCertificate, describe).CertificateDescription.Status, status)
	}
	denied[*types.CertificateStateException](t, a.UpdateCertificate,
		&iot.UpdateCertificateInput{CertificateId: &own.id, NewStatus: types.CertificateStatusActive})
	denied[*types.ResourceNotFoundException](t, b.DeleteCertificate, &iot.DeleteCertificateInput{CertificateId: &own.id})
	do(t, a.DeleteCertificate, &iot.DeleteCertificateInput{CertificateId: &own.id})
	denied[*types.ResourceNotFoundException](t, a.DescribeCertificate, describe)
	sdkSigned(t, a)
}

// sdkSigned registers a certificate that a registered authority signed.
func sdkSigned(t *testing.T, a *sdk) {
	t.Helper()
	ca := newAuthority(t, "SDK signer")
	do(t, a.RegisterCACertificate, &iot.RegisterCACertificateInput{CaCertificate: new(readFile(t, ca.cert)),
		CertificateMode: types.CertificateModeSniOnly, SetAsActive: true})
	device := ca.device(t, "sdk-signed")
	do(t, a.RegisterCertificate, &iot.RegisterCertificateInput{CertificatePem: new(readFile(t, device.cert)),
		CaCertificatePem: new(readFile(t, ca.cert)), Status: types.CertificateStatusActive})
	d := do(t, a.DescribeCertificate, &iot.DescribeCertificateInput{CertificateId: &device.id}).CertificateDescription
	has(t, "authority", d.CaCertificateId, ca.id)
	is(t, "mode", d.CertificateMode, types.CertificateModeSniOnly)
	list := do(t, a.ListCertificates, &iot.ListCertificatesInput{PageSize: new(int32(250))})
	for _, c := range list.Certificates {
		if *c.CertificateId == device.id {
			is(t, "status in the list", c.Status, types.CertificateStatusActive)
			is(t, "mode in the list", c.CertificateMode, types.CertificateModeSniOnly)
			return
		}
	}
	t.Errorf("%s is not in the list", device.id)
}

// sdkIssued has the server make certificates, whose holders connect by MQTT.
func sdkIssued(t *testing.T, a, _ *sdk) {
	do(t, a.CreatePolicy, &iot.CreatePolicyInput{PolicyName: new("issued"), PolicyDocument: new(devicePolicy)})
	pair := do(t, a.CreateKeysAndCertificate, &iot.CreateKeysAndCertificateInput{SetAsActive: true})
	if !strings.HasPrefix(*pair.KeyPair.PrivateKey, "-----BEGIN RSA PRIVATE KEY-----\n") ||
		!strings.HasPrefix(*pair.KeyPair.PublicKey, "-----BEGIN PUBLIC KEY-----\n") {
		t.Errorf("public key %s", *pair.KeyPair.PublicKey)
	}
	if _, err := tls.X509KeyPair([]byte(*pair.CertificatePem), []byte(*pair.KeyPair.PrivateKey)); err != nil {
		t.Error(err)
	}
	dir := t.TempDir()
	sdkAdmitted(t, a, &certificate{id: *pair.CertificateId,
		cert: writeFile(t, filepath.Join(dir, "pair.pem"), *pair.CertificatePem),
		key:  writeFile(t, filepath.Join(dir, "pair-key.pem"), *pair.KeyPair.PrivateKey)})

	csr, key := filepath.Join(dir, "device.csr"), filepath.Join(dir, "device-key.pem")
	openssl(t, append([]string{"req", "-new", "-batch", "-subj", "/CN=sdk-csr", "-keyout", key, "-out", csr}, curve...)...)
	signed := do(t, a.CreateCertificateFromCsr, &iot.CreateCertificateFromCsrInput{CertificateSigningRequest: new(readFile(t, csr)), SetAsActive: true})
	has(t, "ARN", signed.CertificateArn, a.arn("cert/"+*signed.CertificateId))
	again := do(t, a.CreateCertificateFromCsr, &iot.CreateCertificateFromCsrInput{CertificateSigningRequest: new(readFile(t, csr))})
	if *again.CertificateId == *signed.CertificateId {
		t.Error("one CSR made the same certificate twice")
	}
	is(t, "status without SetAsActive", do(t, a.DescribeCertificate, &iot.DescribeCertificateInput{CertificateId: again.CertificateId}).
		CertificateDescription.Status, types.CertificateStatusInactive)
	sdkAdmitted(t, a, &certificate{id: *signed.CertificateId, key: key,
		cert: writeFile(t, filepath.Join(dir, "device.pem"), *signed.CertificatePem)})
}

// sdkAdmitted demands that a certificate is what it is called, and its holder
// let in under the name that it has.
func sdkAdmitted(t *testing.T, a *sdk, c *certificate) {
	t.Helper()
	block, _ := pem.Decode([]byte(readFile(t, c.cert)))
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	is(t, "ID", c.id, muster.Fingerprint(block.Bytes))
	d := do(t, a.DescribeCertificate, &iot.DescribeCertificateInput{CertificateId: &c.id}).CertificateDescription
	is(t, "status", d.Status, types.CertificateStatusActive)
	has(t, "PEM", d.CertificatePem, readFile(t, c.cert))
	do(t, a.AttachPolicy, &iot.AttachPolicyInput{PolicyName: new("issued"), Target: d.CertificateArn})
	c.name = parsed.Subject.CommonName
	a.server.admit(t, v3, c)
}

// sdkTransfers moves certificates from one account to the other, or not.
func sdkTransfers(t *testing.T, a, b *sdk) {
	make := func(name string) *string {
		c := selfSigned(t, t.TempDir(), name)
		return do(t, a.RegisterCertificateWithoutCA, &iot.RegisterCertificateWithoutCAInput{
			CertificatePem: new(readFile(t, c.cert)), Status: types.CertificateStatusInactive}).CertificateId
	}
	offer := func(id *string) {
		out := do(t, a.TransferCertificate, &iot.TransferCertificateInput{CertificateId: id, TargetAwsAccount: &b.account, TransferMessage: new("yours")})
		has(t, "ARN at the target", out.TransferredCertificateArn, b.arn("cert/"+*id))
	}
	status := func(of *sdk, id *string) *types.CertificateDescription {
		return do(t, of.DescribeCertificate, &iot.DescribeCertificateInput{CertificateId: id}).CertificateDescription
	}
	accepted := make("accepted")
	offer(accepted)
	is(t, "status", status(a, accepted).Status, types.CertificateStatusPendingTransfer)
	out := do(t, a.ListOutgoingCertificates, &iot.ListOutgoingCertificatesInput{})
	for _, c := range out.OutgoingCertificates {
		if *c.CertificateId == *accepted {
			has(t, "target", c.TransferredTo, b.account)
			has(t, "message", c.TransferMessage, "yours")
			recent(t, "offer", c.TransferDate)
		}
	}
	do(t, b.AcceptCertificateTransfer, &iot.AcceptCertificateTransferInput{CertificateId: accepted, SetAsActive: true})
	d := status(b, accepted)
	is(t, "status", d.Status, types.CertificateStatusActive)
	has(t, "owner", d.OwnedBy, b.account)
	has(t, "previous owner", d.PreviousOwnedBy, a.account)
	has(t, "message", d.TransferData.TransferMessage, "yours")
	recent(t, "acceptance", d.TransferData.AcceptDate)
	denied[*types.ResourceNotFoundException](t, a.DescribeCertificate, &iot.DescribeCertificateInput{CertificateId: accepted})

	rejected := make("rejected")
	offer(rejected)
	do(t, b.RejectCertificateTransfer, &iot.RejectCertificateTransferInput{CertificateId: rejected, RejectReason: new("not ours")})
	d = status(a, rejected)
	is(t, "status", d.Status, types.CertificateStatusInactive)
	has(t, "reason", d.TransferData.RejectReason, "not ours")
	recent(t, "rejection", d.TransferData.RejectDate)

	cancelled := make("cancelled")
	offer(cancelled)
	do(t, a.CancelCertificateTransfer, &iot.CancelCertificateTransferInput{CertificateId: cancelled})
	is(t, "status", status(a, cancelled).Status, types.CertificateStatusInactive)
	denied[*types.TransferAlreadyCompletedException](t, a.CancelCertificateTransfer, &iot.CancelCertificateTransferInput{CertificateId: cancelled})
}
