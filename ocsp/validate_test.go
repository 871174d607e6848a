package ocsp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/internal/testpki"
	"github.com/muster-mqtt/muster/ocsp"
)

// party is an authority and one of its devices.
type party struct {
	authority *mint.Authority
	leaf      *mint.Leaf
	now       time.Time
}

func newParty(tb testing.TB) party {
	tb.Helper()
	root, err := mint.NewAuthority("Root")
	if err != nil {
		tb.Fatal(err)
	}
	// An intermediate, for that is where an embedded issuer is refused by
	// parsers that take every embedded certificate for a delegate.
	a, err := root.Intermediate("Factory")
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := a.Issue(mint.Request{})
	if err != nil {
		tb.Fatal(err)
	}
	return party{a, leaf, time.Now().UTC().Truncate(time.Second)}
}

func (p party) forge(tb testing.TB, f testpki.Fault, status asn1.RawValue) []byte {
	tb.Helper()
	der, err := testpki.Forge(f, p.authority, p.leaf, status, p.now)
	if err != nil {
		tb.Fatalf("%s: %v", f, err)
	}
	return der
}

func (p party) validate(der []byte) (ocsp.Answer, error) {
	return ocsp.Validate(der, p.leaf.Cert, p.authority.Cert, p.now, ocsp.Limits{})
}

func revoked(tb testing.TB, at time.Time, reason int) asn1.RawValue {
	tb.Helper()
	status, err := testpki.Revoked(at, reason)
	if err != nil {
		tb.Fatal(err)
	}
	return status
}

// honest lists what deviates from the plainest response and counts.
var honest = []testpki.Fault{
	testpki.None, testpki.ByKeyHash, testpki.EmbeddedIssuer, testpki.Delegate, testpki.DelegateOnly,
	testpki.SHA256CertID, testpki.SHA512CertID, testpki.NoNextUpdate, testpki.SeveralAnswers,
	testpki.WrongContentType,
}

// refused lists what does not count, and why.
var refused = []struct {
	fault testpki.Fault
	want  ocsp.Fault
}{
	{testpki.SelfVouched, ocsp.FaultSelfVouched},
	{testpki.SelfDelegated, ocsp.FaultSelfVouched},
	{testpki.DelegateExpired, ocsp.FaultSignerValidity},
	{testpki.DelegateNotYet, ocsp.FaultSignerValidity},
	{testpki.DelegateNoEKU, ocsp.FaultNotDelegate},
	{testpki.DelegateAnyEKU, ocsp.FaultNotDelegate},
	{testpki.DelegateKeyUsage, ocsp.FaultNotDelegate},
	{testpki.DelegateCritical, ocsp.FaultNotDelegate},
	{testpki.DelegateStranger, ocsp.FaultForeignSigner},
	{testpki.SHA1Delegate, ocsp.FaultForeignSigner},
	{testpki.DelegateMissing, ocsp.FaultUnknownSigner},
	{testpki.Stranger, ocsp.FaultForeignSigner},
	{testpki.WrongResponder, ocsp.FaultUnknownSigner},
	{testpki.BadSignature, ocsp.FaultSignature},
	{testpki.SHA1Signature, ocsp.FaultAlgorithm},
	{testpki.WrongSerial, ocsp.FaultOtherSubject},
	{testpki.NoAnswers, ocsp.FaultOtherSubject},
	{testpki.WrongNameHash, ocsp.FaultOtherIssuer},
	{testpki.WrongKeyHash, ocsp.FaultOtherIssuer},
	{testpki.UnknownHash, ocsp.FaultCertIDHash},
	{testpki.AnsweredTwice, ocsp.FaultAmbiguous},
	{testpki.Stale, ocsp.FaultStale},
	{testpki.OldNoNextUpdate, ocsp.FaultStale},
	{testpki.Future, ocsp.FaultFuture},
	{testpki.Backwards, ocsp.FaultMalformed},
	{testpki.CriticalExtension, ocsp.FaultUnsupported},
	{testpki.CriticalSingle, ocsp.FaultUnsupported},
	{testpki.NoSuchStatus, ocsp.FaultMalformed},
	{testpki.TryLater, ocsp.FaultTryLater},
	{testpki.MalformedRequest, ocsp.FaultRequestRefused},
	{testpki.InternalError, ocsp.FaultResponder},
	{testpki.SigRequired, ocsp.FaultRequestRefused},
	{testpki.Unauthorized, ocsp.FaultUnauthorized},
	{testpki.Garbage, ocsp.FaultMalformed},
	{testpki.Empty, ocsp.FaultMalformed},
	{testpki.Trailing, ocsp.FaultMalformed},
}

func TestValidateRefuses(t *testing.T) {
	p := newParty(t)
	for _, c := range refused {
		t.Run(string(c.fault), func(t *testing.T) {
			a, err := p.validate(p.forge(t, c.fault, testpki.Good()))
			re, ok := errors.AsType[*ocsp.ResponseError](err)
			if !ok {
				t.Fatalf("answer %+v, error %v; want the fault %s", a, err, c.want)
			}
			if re.Fault != c.want {
				t.Errorf("fault %s (%v), want %s", re.Fault, err, c.want)
			}
			if a != (ocsp.Answer{}) {
				t.Errorf("an answer beside the error: %+v", a)
			}
		})
	}
}

func TestValidateAccepts(t *testing.T) {
	p := newParty(t)
	at := p.now.Add(-time.Hour)
	statuses := []struct {
		name   string
		status asn1.RawValue
		want   ocsp.Answer
	}{
		{"good", testpki.Good(), ocsp.Answer{Status: ocsp.Good}},
		{"unknown", testpki.Unknown(), ocsp.Answer{Status: ocsp.Unknown}},
		{"revoked", revoked(t, at, 0), ocsp.Answer{Status: ocsp.Revoked, RevokedAt: at}},
		{"keyCompromise", revoked(t, at, 1), ocsp.Answer{Status: ocsp.Revoked, RevokedAt: at}},
		{"certificateHold", revoked(t, at, 6), ocsp.Answer{Status: ocsp.Revoked, RevokedAt: at, Hold: true}},
	}
	for _, f := range honest {
		for _, s := range statuses {
			t.Run(string(f)+"/"+s.name, func(t *testing.T) {
				a, err := p.validate(p.forge(t, f, s.status))
				if err != nil {
					t.Fatal(err)
				}
				if a.Status != s.want.Status || a.Hold != s.want.Hold || !a.RevokedAt.Equal(s.want.RevokedAt) {
					t.Errorf("got %+v, want %+v", a, s.want)
				}
				if !a.ThisUpdate.Equal(p.now.Add(-time.Minute)) {
					t.Errorf("thisUpdate %v", a.ThisUpdate)
				}
			})
		}
	}
}

func TestValidateExpiry(t *testing.T) {
	p := newParty(t)
	cases := []struct {
		fault  testpki.Fault
		limits ocsp.Limits
		want   time.Duration // from now
	}{
		{testpki.None, ocsp.Limits{}, time.Hour},                              // nextUpdate
		{testpki.None, ocsp.Limits{Keep: 10 * time.Minute}, 10 * time.Minute}, // our bound
		{testpki.Delegate, ocsp.Limits{}, 30 * time.Minute},                   // the delegate's end
		{testpki.NoNextUpdate, ocsp.Limits{}, 5 * time.Minute},                // may change at any time
		{testpki.NoNextUpdate, ocsp.Limits{MaxAge: 3 * time.Minute}, 2 * time.Minute},
		{testpki.NoNextUpdate, ocsp.Limits{Keep: time.Minute}, time.Minute},
	}
	for _, c := range cases {
		a, err := ocsp.Validate(p.forge(t, c.fault, testpki.Good()), p.leaf.Cert, p.authority.Cert, p.now, c.limits)
		if err != nil {
			t.Fatalf("%s: %v", c.fault, err)
		}
		if got := a.Expires.Sub(p.now); got != c.want {
			t.Errorf("%s with %+v: expires in %v, want %v", c.fault, c.limits, got, c.want)
		}
	}
}

// The skew is added at both ends and nowhere else.
func TestValidateSkew(t *testing.T) {
	p := newParty(t)
	der := p.forge(t, testpki.None, testpki.Good()) // from a minute ago to an hour ahead
	skew := 5 * time.Minute
	cases := []struct {
		now  time.Duration
		want ocsp.Fault
	}{
		{-time.Minute - skew - time.Second, ocsp.FaultFuture},
		{-time.Minute - skew, ""},
		{time.Hour + skew, ""},
		{time.Hour + skew + time.Second, ocsp.FaultStale},
	}
	for _, c := range cases {
		_, err := ocsp.Validate(der, p.leaf.Cert, p.authority.Cert, p.now.Add(c.now), ocsp.Limits{Skew: skew})
		var got ocsp.Fault
		if re, ok := errors.AsType[*ocsp.ResponseError](err); ok {
			got = re.Fault
		}
		if got != c.want {
			t.Errorf("%v from when it was made: fault %q, want %q", c.now, got, c.want)
		}
	}
}

// What was revoked for good stays so: such an answer counts after its
// nextUpdate and after its delegate expired, a hold does not.
func TestValidateFinalRevocation(t *testing.T) {
	p := newParty(t)
	final, hold := revoked(t, p.now, 1), revoked(t, p.now, 6)
	later := p.now.AddDate(0, 1, 0)
	for _, f := range []testpki.Fault{testpki.None, testpki.Delegate, testpki.NoNextUpdate} {
		a, err := ocsp.Validate(p.forge(t, f, final), p.leaf.Cert, p.authority.Cert, later, ocsp.Limits{})
		if err != nil || !a.Final() || !a.Expires.IsZero() {
			t.Errorf("%s: revoked a month ago: %+v, %v", f, a, err)
		}
		if a, err = ocsp.Validate(p.forge(t, f, hold), p.leaf.Cert, p.authority.Cert, later, ocsp.Limits{}); err == nil {
			t.Errorf("%s: on hold a month ago: %+v", f, a)
		}
	}
	// A delegate that had expired when it signed proves nothing.
	if a, err := p.validate(p.forge(t, testpki.DelegateExpired, final)); err == nil {
		t.Errorf("revoked by an expired delegate: %+v", a)
	}
}

// What a stranger wrote is quoted, but not at any length.
func TestValidateDetailIsBounded(t *testing.T) {
	p := newParty(t)
	stranger, err := mint.NewAuthority(strings.Repeat("ä", 5000))
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.validate(p.forgeBy(t, stranger))
	re, ok := errors.AsType[*ocsp.ResponseError](err)
	if !ok || re.Fault != ocsp.FaultForeignSigner || len(re.Detail) > 600 || !utf8.ValidString(re.Detail) {
		t.Errorf("%v", err)
	}
}

// forgeBy forges an answer about the party's device in another authority's
// name, which is embedded.
func (p party) forgeBy(t *testing.T, a *mint.Authority) []byte {
	t.Helper()
	der, err := testpki.Forge(testpki.EmbeddedIssuer, a, p.leaf, testpki.Good(), p.now)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// A certificate whose issuer has the same key is judged by nobody.
func TestValidateSelfIssued(t *testing.T) {
	p := newParty(t)
	own, err := p.authority.Issue(mint.Request{Key: p.authority.Key})
	if err != nil {
		t.Fatal(err)
	}
	p.leaf = own
	a, err := p.validate(p.forge(t, testpki.None, testpki.Good()))
	if re, ok := errors.AsType[*ocsp.ResponseError](err); !ok || re.Fault != ocsp.FaultSelfVouched {
		t.Errorf("answer %+v, error %v", a, err)
	}
}

// An answer for one device is not one for another of the same authority, and
// not one of an authority with the same name.
func TestValidateOtherParty(t *testing.T) {
	p := newParty(t)
	der := p.forge(t, testpki.None, testpki.Good())
	neighbour, err := p.authority.Issue(mint.Request{})
	if err != nil {
		t.Fatal(err)
	}
	if a, err := ocsp.Validate(der, neighbour.Cert, p.authority.Cert, p.now, ocsp.Limits{}); err == nil {
		t.Errorf("about a neighbour: %+v", a)
	}
	namesake, err := mint.NewAuthority("Factory")
	if err != nil {
		t.Fatal(err)
	}
	if a, err := ocsp.Validate(der, p.leaf.Cert, namesake.Cert, p.now, ocsp.Limits{}); err == nil {
		t.Errorf("under a namesake: %+v", a)
	}
	if _, err := ocsp.Validate(der, nil, p.authority.Cert, p.now, ocsp.Limits{}); err == nil {
		t.Error("no certificate: no error")
	}
	if _, err := ocsp.Validate(der, p.leaf.Cert, nil, p.now, ocsp.Limits{}); err == nil {
		t.Error("no issuer: no error")
	}
}

func TestKey(t *testing.T) {
	p, q := newParty(t), newParty(t)
	renewed, err := p.authority.Issue(mint.Request{Key: p.leaf.Key})
	if err != nil {
		t.Fatal(err)
	}
	key := ocsp.Key(p.leaf.Cert, p.authority.Cert)
	if len(key) != 64 {
		t.Errorf("key %q: want 64 hex digits", key)
	}
	if key == ocsp.Key(renewed.Cert, p.authority.Cert) {
		t.Error("two serial numbers, one key")
	}
	if key == ocsp.Key(p.leaf.Cert, q.authority.Cert) {
		t.Error("two issuers of one name, one key")
	}
}

func TestStatusWords(t *testing.T) {
	want := []string{"not_asked", "good", "revoked", "unknown", "unavailable", "no_url", "invalid"}
	for i, w := range want {
		if got := ocsp.Status(i).String(); got != w {
			t.Errorf("status %d is %q, want %q", i, got, w)
		}
	}
}

// A self-made key must not become an issuer by an embedded certificate that
// merely bears the issuer's name.
func TestValidateEmbeddedNamesake(t *testing.T) {
	p := newParty(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	namesake, err := mint.SelfSigned(mint.Request{Subject: p.authority.Cert.Subject, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.validate(p.forgeBy(t, &mint.Authority{Cert: namesake.Cert, Key: key}))
	if re, ok := errors.AsType[*ocsp.ResponseError](err); !ok || re.Fault != ocsp.FaultForeignSigner {
		t.Errorf("answer %+v, error %v", a, err)
	}
}
