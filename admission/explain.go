package admission

import (
	"fmt"

	"github.com/muster-mqtt/muster"
)

// Line is one rule of an explanation.
type Line struct {
	Rule    int           `json:"rule"`
	Name    string        `json:"name"`
	Says    string        `json:"says"` // silent, refuse, admit or register
	Reason  muster.Reason `json:"reason,omitempty"`
	Saw     string        `json:"saw"`
	Decides bool          `json:"decides,omitempty"` // the first that speaks
	Mend    string        `json:"mend,omitempty"`    // what would make this rule silent
}

// Explain asks every rule in order, also those after the one that decides, so
// that a reader sees all that stands in the way and not just the first of it.
func Explain(f Facts) []Line {
	lines := make([]Line, 0, len(rules))
	decided := false
	for i, r := range rules[:len(rules)-1] { // the last rule is what is left when no other spoke
		v, reason, ok := r.speak(&f)
		l := Line{Rule: i + 1, Name: r.name, Says: "silent", Saw: r.saw(&f)}
		if ok {
			l.Says, l.Reason, l.Decides = v.String(), reason, !decided
			l.Mend = Mend(reason, f)
			decided = true
		}
		lines = append(lines, l)
	}
	if !decided {
		n := len(rules)
		lines = append(lines, Line{Rule: n, Name: rules[n-1].name, Says: "refuse", Decides: true,
			Reason: muster.ReasonInternalError, Saw: rules[n-1].saw(&f), Mend: Mend(muster.ReasonInternalError, f)})
	}
	return lines
}

// Mend says what an operator can do about a refusal, or "" for no refusal.
func Mend(r muster.Reason, f Facts) string {
	id, ca := f.Leaf.ID, f.Authority.ID
	switch r {
	case muster.ReasonUnacceptableCertificate:
		return "issue the device an end-entity certificate with clientAuth (or no extended key usage), an RSA key of 2048 bits or more or an ECDSA key on P-256 or better, signed with SHA-256 or better"
	case muster.ReasonOutsideValidity:
		return "issue a certificate that is valid now, or set the clock of this machine right"
	case muster.ReasonAmbiguousAccount:
		return "let the device send the endpoint name of its account as the TLS server name (SNI)"
	case muster.ReasonDeleted:
		return "register the certificate again with RegisterCertificate, or give the device a new one"
	case muster.ReasonTransferred:
		return "the certificate belongs to another account now: let the device connect to that account's endpoint"
	case muster.ReasonInactive:
		return fmt.Sprintf("activate it: aws iot update-certificate --certificate-id %s --new-status ACTIVE", id)
	case muster.ReasonRevoked:
		return "REVOKED is final: give the device a new certificate"
	case muster.ReasonPendingTransfer:
		return "let the other account accept the transfer, or cancel it"
	case muster.ReasonUntrustedIssuer:
		return fmt.Sprintf("register the direct issuer %q with RegisterCACertificate, or this certificate alone with RegisterCertificateWithoutCA", f.Leaf.Issuer)
	case muster.ReasonAuthorityDeleted:
		return "register the authority again, or activate this certificate by hand"
	case muster.ReasonAuthorityUnverified:
		return fmt.Sprintf("prove possession of the key of authority %s with a verification certificate", ca)
	case muster.ReasonAuthorityInactive:
		return fmt.Sprintf("activate the authority: aws iot update-ca-certificate --certificate-id %s --new-status ACTIVE", ca)
	case muster.ReasonAuthorityExpired:
		return "register the authority's renewed certificate"
	case muster.ReasonAutoRegistrationDisabled:
		if ca == "" {
			return "register the direct issuer first; then let it register devices"
		}
		return fmt.Sprintf("let the authority register devices: aws iot update-ca-certificate --certificate-id %s --new-auto-registration-status ENABLE", ca)
	case muster.ReasonProvisioningFailed:
		return "correct what the template's failure names, in the template, the certificate or the registry; it runs again at the next connect"
	case muster.ReasonPendingActivation:
		return fmt.Sprintf("activate it: aws iot update-certificate --certificate-id %s --new-status ACTIVE; or bind a template to authority %s", id, ca)
	case muster.ReasonPendingQuota:
		return "activate or delete certificates that are pending, or raise registry.pending_cap"
	case muster.ReasonRevocationUnknown:
		if f.OCSP.Answer == AnswerNoURL {
			return "issue the device a certificate that names its OCSP responder, or relax the tag muster:ocsp of the authority"
		}
		return "make the responder answer, or relax the tag muster:ocsp of the authority"
	case muster.ReasonPolicyDenied:
		return fmt.Sprintf("attach a policy that allows what the detail names: aws iot attach-policy --policy-name NAME --target arn:aws:iot:REGION:%s:cert/%s", f.Account, id)
	case muster.ReasonNoCertificate:
		return "let the device present its certificate in the TLS handshake"
	case muster.ReasonHandshakeFailed:
		return "compare what both sides speak: TLS 1.2 or newer, and a root by which the device trusts this server"
	case muster.ReasonHandshakeTimeout:
		return "find out what delays the device or its network, or raise the time it has"
	case muster.ReasonConnectInvalid:
		return "let the device begin with a CONNECT packet of MQTT 3.1.1 or 5 that keeps to the standard"
	case muster.ReasonTooManyConnections:
		return "raise the limit that the log names, or find out who connects so often"
	case muster.ReasonShutdown:
		return "nothing: the device may connect again when the server is back"
	case muster.ReasonFirstConnection:
		return "nothing: the device was provisioned and may connect again; mqtt.first_connection: admit would have let it in at once"
	case muster.ReasonInternalError:
		return "see the log of the server at the time of the refusal"
	}
	return ""
}
