package admission

import (
	"fmt"
	"strings"
	"time"

	"github.com/muster-mqtt/muster"
)

// Verdict is what to do with a connection. The zero value refuses.
type Verdict uint8

// The verdicts.
const (
	Refuse Verdict = iota
	Admit
	Register // write the record or run its template, then ask the rules again
)

func (v Verdict) String() string {
	switch v {
	case Admit:
		return "admit"
	case Register:
		return "register"
	}
	return "refuse"
}

// Decision is what the rules say of a set of facts.
type Decision struct {
	Verdict Verdict
	Reason  muster.Reason // of a refusal; "" otherwise
	Rule    int           // the number of the rule that spoke, from 1
	Detail  string        // what that rule saw, in one phrase
}

// rule is one line of the decision. speak answers for the facts it is about
// and is silent about all others; saw says what it looked at, for explain.
type rule struct {
	name  string
	speak func(*Facts) (Verdict, muster.Reason, bool)
	saw   func(*Facts) string
}

// Places in the order of the rules. All cheaper ones come before the first that
// needs an answer of OCSP, so that nobody is asked about a certificate that they
// refuse.
const (
	provisioningIndex = 8
	firstOCSPRule     = 11
)

// rules in their order. Their numbers are those of testdata/decisions.txt.
var rules = [...]rule{
	{"certificate profile", profileRule, sawProfile},
	{"validity period", validityRule, sawValidity},
	{"account", accountRule, sawAccount},
	{"tombstone", tombstoneRule, sawTombstone},
	{"record status", statusRule, sawRecord},
	{"issuer", issuerRule, sawIssuer},
	{"authority", authorityRule, sawAuthority},
	{"auto-registration", autoRegistrationRule, sawAutoRegistration},
	{"provisioning", provisioningRule, sawProvisioning},
	{"activation", activationRule, sawActivation},
	{"pending quota", quotaRule, sawQuota},
	{"OCSP revoked", revokedRule, sawOCSP},
	{"OCSP unknown", unknownRule, sawOCSP},
	{"active record", activeRule, sawRecord},
	{"registration", registerRule, sawRecord},
	{"anything else", elseRule, sawRecord},
}

// Decide is total and pure: the first rule that speaks decides.
func Decide(f Facts) Decision { return decide(&f, rules[:]) }

// decideCheap asks only the rules that need no OCSP answer. ok is false when
// they are all silent.
func decideCheap(f *Facts) (d Decision, ok bool) {
	d = decide(f, rules[:firstOCSPRule])
	return d, d.Rule != 0
}

func decide(f *Facts, rules []rule) Decision {
	for i, r := range rules {
		if v, reason, ok := r.speak(f); ok {
			return Decision{Verdict: v, Reason: reason, Rule: i + 1, Detail: r.saw(f)}
		}
	}
	return Decision{}
}

func refuse(r muster.Reason) (Verdict, muster.Reason, bool) { return Refuse, r, true }
func silent() (Verdict, muster.Reason, bool)                { return Refuse, "", false }

// registrable reports whether the facts are of a device that an authority may
// still have to let in: rules 7 and 8 are about these.
func (f *Facts) registrable() bool {
	if f.Record.Status == "" {
		return f.Authority.State != AuthorityNone // rule 6 is about those whom none signed
	}
	return f.Record.Status == muster.PendingActivation && f.Record.AuthorityID != ""
}

func (r *RecordFacts) expired(now time.Time) bool {
	return !r.Expires.IsZero() && !now.Before(r.Expires)
}

// A CA certificate that was registered without an authority is one that
// `openssl req -x509` made: it vouches for nothing but itself.
func profileRule(f *Facts) (Verdict, muster.Reason, bool) {
	ownRoot := f.Record.Status != "" && f.Record.AuthorityID == ""
	if f.Leaf.IsCA && !ownRoot || f.Leaf.NoClientAuth || f.Leaf.Weakness != "" {
		return refuse(muster.ReasonUnacceptableCertificate)
	}
	return silent()
}

// The date of a record was set by the clock that it is held to: no skew lengthens
// the five minutes of a claim.
func validityRule(f *Facts) (Verdict, muster.Reason, bool) {
	if f.Record.expired(f.Now) {
		return refuse(muster.ReasonOutsideValidity)
	}
	if f.Now.Add(f.Skew).Before(f.Leaf.NotBefore) || f.Now.Add(-f.Skew).After(f.Leaf.NotAfter) {
		return refuse(muster.ReasonOutsideValidity)
	}
	return silent()
}

func accountRule(f *Facts) (Verdict, muster.Reason, bool) {
	if len(f.Ambiguous) > 0 {
		return refuse(muster.ReasonAmbiguousAccount)
	}
	return silent()
}

func tombstoneRule(f *Facts) (Verdict, muster.Reason, bool) {
	switch f.Tombstone {
	case "":
		return silent()
	case muster.TombstoneTransferred:
		return refuse(muster.ReasonTransferred)
	}
	return refuse(muster.ReasonDeleted)
}

func statusRule(f *Facts) (Verdict, muster.Reason, bool) {
	switch f.Record.Status {
	case muster.Inactive:
		return refuse(muster.ReasonInactive)
	case muster.Revoked:
		return refuse(muster.ReasonRevoked)
	case muster.PendingTransfer:
		return refuse(muster.ReasonPendingTransfer)
	}
	return silent()
}

func issuerRule(f *Facts) (Verdict, muster.Reason, bool) {
	if f.Record.Status == "" && f.Authority.State == AuthorityNone {
		return refuse(muster.ReasonUntrustedIssuer)
	}
	return silent()
}

func authorityRule(f *Facts) (Verdict, muster.Reason, bool) {
	if !f.registrable() {
		return silent()
	}
	switch f.Authority.State {
	case AuthorityUsable:
		return silent()
	case AuthorityUnverified:
		return refuse(muster.ReasonAuthorityUnverified)
	case AuthorityInactive:
		return refuse(muster.ReasonAuthorityInactive)
	case AuthorityExpired:
		return refuse(muster.ReasonAuthorityExpired)
	}
	return refuse(muster.ReasonAuthorityDeleted)
}

func autoRegistrationRule(f *Facts) (Verdict, muster.Reason, bool) {
	if f.registrable() && !f.Authority.AutoRegistration && !f.Expected {
		return refuse(muster.ReasonAutoRegistrationDisabled)
	}
	return silent()
}

func provisioningRule(f *Facts) (Verdict, muster.Reason, bool) {
	if f.Record.Status == muster.PendingActivation && f.ProvisioningFailure != "" {
		return refuse(muster.ReasonProvisioningFailed)
	}
	return silent()
}

func activationRule(f *Facts) (Verdict, muster.Reason, bool) {
	if f.Record.Status == muster.PendingActivation && !f.Authority.Template {
		return refuse(muster.ReasonPendingActivation)
	}
	return silent()
}

func quotaRule(f *Facts) (Verdict, muster.Reason, bool) {
	if f.Record.Status == "" && f.Authority.PendingCap > 0 && f.Authority.Pending >= f.Authority.PendingCap {
		return refuse(muster.ReasonPendingQuota)
	}
	return silent()
}

func revokedRule(f *Facts) (Verdict, muster.Reason, bool) {
	if f.OCSP.asks() && f.OCSP.Answer == AnswerRevoked {
		return refuse(muster.ReasonRevoked)
	}
	return silent()
}

// An active device was good before: in soft mode it is let in while nobody can
// be asked. A new one never is.
func unknownRule(f *Facts) (Verdict, muster.Reason, bool) {
	if !f.OCSP.asks() {
		return silent()
	}
	hard := f.OCSP.Mode == muster.OCSPHard
	switch f.OCSP.Answer {
	case AnswerGood:
		return silent()
	case AnswerNoURL:
		if hard {
			return refuse(muster.ReasonRevocationUnknown)
		}
		return silent()
	}
	if hard || f.Record.Status != muster.Active {
		if f.OCSP.Answer == AnswerBusy { // it says nothing of the responder
			return refuse(muster.ReasonBusy)
		}
		return refuse(muster.ReasonRevocationUnknown)
	}
	return silent()
}

func activeRule(f *Facts) (Verdict, muster.Reason, bool) {
	return Admit, "", f.Record.Status == muster.Active
}

func registerRule(f *Facts) (Verdict, muster.Reason, bool) {
	return Register, "", f.Record.Status == "" || f.Record.Status == muster.PendingActivation
}

func elseRule(*Facts) (Verdict, muster.Reason, bool) { return refuse(muster.ReasonInternalError) }

// What each rule saw, in one phrase without a full stop.

func sawProfile(f *Facts) string {
	var faults []string
	if f.Leaf.IsCA {
		faults = append(faults, "it is a CA certificate")
	}
	if f.Leaf.NoClientAuth {
		faults = append(faults, "its extended key usage lacks clientAuth")
	}
	if f.Leaf.Weakness != "" {
		faults = append(faults, f.Leaf.Weakness)
	}
	if faults == nil {
		return "an end-entity certificate for TLS clients, strong enough"
	}
	return strings.Join(faults, "; ")
}

func sawValidity(f *Facts) string {
	if f.Record.expired(f.Now) {
		return fmt.Sprintf("its record expired at %s, and it is %s", f.Record.Expires.UTC().Format(time.RFC3339), f.Now.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("valid from %s to %s, and it is %s",
		f.Leaf.NotBefore.UTC().Format(time.RFC3339), f.Leaf.NotAfter.UTC().Format(time.RFC3339),
		f.Now.UTC().Format(time.RFC3339))
}

func sawAccount(f *Facts) string {
	switch {
	case len(f.Ambiguous) > 0 && f.SNI == "":
		return fmt.Sprintf("%d accounts are possible and the device sent no server name", len(f.Ambiguous))
	case len(f.Ambiguous) > 0:
		return fmt.Sprintf("%d accounts are possible and %q is no endpoint of any", len(f.Ambiguous), f.SNI)
	case f.Account == "":
		return "no account holds it or its issuer"
	}
	return "account " + f.Account
}

func sawTombstone(f *Facts) string {
	if f.Tombstone == "" {
		return "the certificate was never deleted from the account nor transferred away"
	}
	return fmt.Sprintf("the certificate was %s", f.Tombstone)
}

func sawRecord(f *Facts) string {
	switch {
	case f.Record.Status == "":
		return "not registered"
	case f.Record.Offered:
		return "another account offers it to this one, which has not accepted it yet"
	}
	return "registered as " + string(f.Record.Status)
}

func sawIssuer(f *Facts) string {
	switch {
	case f.Authority.State != AuthorityNone:
		return fmt.Sprintf("signed by the registered authority %s (%s)", f.Authority.ID, f.Leaf.Issuer)
	case f.Record.Status != "" && f.Record.AuthorityID == "":
		return "registered without an authority"
	case f.Record.Status != "":
		return "registered; its authority is not needed any more"
	}
	return sawChain(f)
}

func sawAuthority(f *Facts) string {
	switch {
	case f.Authority.State == AuthorityNone && f.Record.Status != "":
		return "not needed: the record stands by itself"
	case f.Authority.State == AuthorityNone:
		return "none"
	case f.Authority.State == AuthorityGone:
		return fmt.Sprintf("authority %s was deleted", f.Authority.ID)
	}
	return fmt.Sprintf("authority %s is %s", f.Authority.ID, f.Authority.State)
}

func sawAutoRegistration(f *Facts) string {
	switch {
	case f.Record.Status == "" && f.Authority.State == AuthorityNone:
		return "no authority signed it"
	case !f.registrable():
		return "not needed: the record stands by itself"
	case f.Authority.AutoRegistration:
		return "the authority registers devices at their first connect"
	case f.Expected:
		return "the authority registers no strangers, but this device is expected"
	}
	return "the authority registers no devices by itself"
}

func sawProvisioning(f *Facts) string {
	switch {
	case f.ProvisioningFailure != "":
		return f.ProvisioningFailure
	case f.Record.Failure != "":
		return "it failed when it last ran, and will run again: " + f.Record.Failure
	}
	return "no template has failed"
}

func sawActivation(f *Facts) string {
	switch {
	case f.Record.Status != muster.PendingActivation:
		return sawRecord(f)
	case f.Authority.Template:
		return "PENDING_ACTIVATION, and a template will be run"
	}
	return "PENDING_ACTIVATION, and no template activates it"
}

func sawQuota(f *Facts) string {
	if f.Record.Status != "" {
		return "not needed: it is registered already"
	}
	if f.Authority.PendingCap == 0 {
		return "no authority could register it"
	}
	return fmt.Sprintf("%d of %d certificates of the authority are pending", f.Authority.Pending, f.Authority.PendingCap)
}

func sawOCSP(f *Facts) string {
	if !f.OCSP.asks() {
		return "OCSP is off for this issuer"
	}
	answer := f.OCSP.Answer
	if answer == AnswerNotAsked {
		answer = "not asked"
	}
	s := fmt.Sprintf("OCSP is %s, the answer: %s", f.OCSP.Mode, answer)
	if f.OCSP.settled() && f.OCSP.Responder != "" {
		s += ", from " + f.OCSP.Responder // a failure's detail names those that were asked
	}
	if f.OCSP.Detail != "" {
		s += " (" + f.OCSP.Detail + ")"
	}
	return s
}
