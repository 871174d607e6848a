package admission

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/muster-mqtt/muster"
)

// Mend says what an operator can do about a refusal, in one sentence with the
// command where there is one; "" for no refusal. Names that the facts do not
// have are left to the reader, in capitals.
func Mend(r muster.Reason, f Facts) string {
	if s := mendTransport(f.Cause); s != "" {
		return s
	}
	id := cmp.Or(f.Leaf.ID, "ID")
	switch r {
	case muster.ReasonUnacceptableCertificate:
		return mendProfile(f.Leaf)
	case muster.ReasonOutsideValidity:
		return mendValidity(f)
	case muster.ReasonAmbiguousAccount:
		return "let the device send the endpoint name of its account as the TLS server name (SNI); aws iot describe-endpoint --endpoint-type iot:Data-ATS tells it"
	case muster.ReasonDeleted:
		return fmt.Sprintf("let it register anew at its next connect: muster cert forget %s; or give the device a new certificate", id)
	case muster.ReasonTransferred:
		return "the certificate belongs to another account now: let the device connect to that account's endpoint"
	case muster.ReasonInactive:
		return fmt.Sprintf("activate it: aws iot update-certificate --certificate-id %s --new-status ACTIVE", id)
	case muster.ReasonRevoked:
		if f.Record.Status != muster.Revoked && f.OCSP.Answer == AnswerRevoked {
			return "give the device a new certificate: its issuer revoked this one; only what is on hold (certificateHold) can come back, and the issuer has to lift that"
		}
		return "give the device a new certificate: REVOKED is final"
	case muster.ReasonPendingTransfer:
		if f.Record.Offered {
			return fmt.Sprintf("accept the transfer: aws iot accept-certificate-transfer --certificate-id %s --set-as-active", id)
		}
		return "let the other account accept the transfer, or cancel it: aws iot cancel-certificate-transfer --certificate-id " + id
	case muster.ReasonUntrustedIssuer:
		return mendIssuer(f)
	case muster.ReasonProvisioningFailed:
		if f.Record.Status == "" { // a request of fleet provisioning, which looks at no facts
			return "correct what the failure names, at the device, in the template or at its hook (docs/fleet.md lists the codes); the device may ask again at once"
		}
		return "correct what the failure names, in the template (muster template lint FILE checks it), the certificate or the registry; the template runs again at the device's next connect"
	case muster.ReasonPendingActivation:
		activate := fmt.Sprintf("activate it: aws iot update-certificate --certificate-id %s --new-status ACTIVE, or muster cert approve %s", id, id)
		if f.Record.Status != "" && f.Record.AuthorityID == "" { // the account's own issuing authority signed it
			return activate
		}
		return activate + "; or bind a template to authority " + f.authorityID()
	case muster.ReasonRevocationUnknown:
		return mendRevocation(f)
	case muster.ReasonPolicyDenied:
		return fmt.Sprintf("change the statement that the detail names, or attach a policy that allows this: aws iot attach-policy --policy-name NAME --target arn:aws:iot:REGION:%s:cert/%s; muster policy test tells beforehand what it allows",
			cmp.Or(f.Account, "ACCOUNT"), id)
	}
	if s := mendAuthority(r, f); s != "" {
		return s
	}
	return mendConnection(r)
}

// mendAuthority is Mend for what rules 7, 8 and 11 refuse.
func mendAuthority(r muster.Reason, f Facts) string {
	ca := f.authorityID()
	switch r {
	case muster.ReasonAuthorityDeleted:
		return fmt.Sprintf("register the authority again: %s; or activate this certificate alone: muster cert approve %s", registerAuthority, cmp.Or(f.Leaf.ID, "ID"))
	case muster.ReasonAuthorityUnverified:
		return fmt.Sprintf("prove possession of the key of authority %s: register it with a verification certificate: %s", ca, registerAuthority)
	case muster.ReasonAuthorityInactive:
		return fmt.Sprintf("activate the authority: aws iot update-ca-certificate --certificate-id %s --new-status ACTIVE", ca)
	case muster.ReasonAuthorityExpired:
		return "renew the authority's certificate and register that, and issue the devices' certificates by it: " + registerAuthority
	case muster.ReasonAutoRegistrationDisabled:
		if f.Authority.ID == "" {
			return "register the direct issuer first; then let it register devices"
		}
		return fmt.Sprintf("let the authority register devices: aws iot update-ca-certificate --certificate-id %s --new-auto-registration-status ENABLE", ca)
	case muster.ReasonPendingQuota:
		return "approve or refuse those that wait (muster cert list --status PENDING_ACTIVATION shows them, muster cert approve ID lets one in), or raise registry.pending_cap"
	}
	return ""
}

// mendConnection is Mend for what happens outside the rules, where the cause is
// not known any closer.
func mendConnection(r muster.Reason) string {
	switch r {
	case muster.ReasonNoCertificate:
		return "let the device present its certificate in the TLS handshake"
	case muster.ReasonHandshakeFailed:
		return "compare what both sides speak: TLS 1.2 or newer, and a root by which the device trusts this server"
	case muster.ReasonHandshakeTimeout:
		return "find out what delays the device or its network, or raise the time it has: mqtt.handshake_timeout, mqtt.connect_timeout"
	case muster.ReasonConnectInvalid:
		return "let the device begin with a CONNECT packet of MQTT 3.1.1 or 5 that keeps to the standard; the detail says what is wrong with this one"
	case muster.ReasonTooManyConnections:
		return "raise the limit that the log names, or find out who connects so often"
	case muster.ReasonBusy:
		return "let the device connect again after a random time; where OCSP is what the server waits for, raise ocsp.concurrent and ocsp.waiting, or find out what makes its responders slow"
	case muster.ReasonSessionQuota:
		return "raise limits.sessions, or let devices ask for shorter sessions: those of clients that are away are what fills it"
	case muster.ReasonShutdown:
		return "nothing: the device may connect again when the server is back"
	case muster.ReasonTakenOver:
		return "give each device a client ID of its own, and by its policy no other: arn:aws:iot:REGION:ACCOUNT:client/${iot:Certificate.Subject.CommonName}"
	case muster.ReasonFirstConnection:
		return "nothing: the device was provisioned and may connect again; mqtt.first_connection: admit would have let it in at once"
	case muster.ReasonInternalError:
		return "see the log of the server at the time of the refusal"
	}
	return ""
}

// authorityID names the authority, whether it is there or only on the record.
func (f *Facts) authorityID() string { return cmp.Or(f.Authority.ID, f.Record.AuthorityID, "ID") }

func mendProfile(l LeafFacts) string {
	var parts []string
	if l.IsCA {
		parts = append(parts, "issue the device an end-entity certificate (basicConstraints CA:FALSE) with a key of its own, and keep the CA's where it signs")
	}
	if l.NoClientAuth {
		parts = append(parts, "issue it a certificate whose extended key usage has clientAuth, or that has no such extension")
	}
	if l.Weakness != "" || parts == nil {
		parts = append(parts, "issue it a certificate with an RSA key of 2,048 bits or more, an ECDSA key on P-256 or better or Ed25519, signed with SHA-256 or better")
	}
	return strings.Join(parts, "; ")
}

func mendValidity(f Facts) string {
	switch {
	case f.Record.expired(f.Now):
		return "give the device a new claim (aws iot create-provisioning-claim), or let it ask for a certificate again: what was not used in time is gone"
	case f.Now.Before(f.Leaf.NotBefore):
		return "wait until the certificate is valid, or set the clock of this machine or of the issuer right; admission.clock_skew is what is tolerated"
	}
	return "give the device a new certificate that is valid now, or set the clock of this machine right"
}

func mendRevocation(f Facts) string {
	relax := fmt.Sprintf("relax the authority's demand: muster ca set %s --ocsp soft", f.authorityID())
	switch f.OCSP.Answer {
	case AnswerNoURL:
		return "issue the device a certificate that names its OCSP responder, or name one for the authority (muster ca set " + f.authorityID() + " --responder URL), or " + relax
	case AnswerUnknown:
		return "let the issuer's responder know the certificate: its database has no such serial number"
	}
	if f.OCSP.Mode == muster.OCSPSoft {
		return "make the responder answer: soft lets in who is ACTIVE already, and a new device waits until it was asked about; the device may connect again"
	}
	return "make the responder answer as the detail says, or " + relax
}
