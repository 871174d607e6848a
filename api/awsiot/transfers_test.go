package awsiot_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
)

// TestProvisioningFailureHeader: what a template says of a certificate may hold
// what a device put there, and stands in a header all the same.
func TestProvisioningFailureHeader(t *testing.T) {
	const header = "X-Muster-Provisioning-Failure"
	s := newServer(t, time.Now)
	ca := newAuthority(t, "Plant CA")
	var made struct{ CertificateID string }
	s.call(t, "POST", "/cacertificate?setAsActive=true&allowAutoRegistration=true",
		members(t, "caCertificate", string(ca.CertPEM()), "certificateMode", "SNI_ONLY"), &made)
	describe := func(pem, failure string) string {
		t.Helper()
		e, err := s.store.Enrol(t.Context(), muster.Enrolment{Account: account, AuthorityID: made.CertificateID, PEM: pem, Failure: failure})
		if err != nil {
			t.Fatal(err)
		}
		w := s.send(t, s.key, "GET", "/certificates/"+e.ID, "")
		if w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return w.Header().Get(header)
	}
	pem := string(issue(t, ca).CertPEM())
	for _, c := range []struct{ failure, want string }{
		{"", ""},
		{`the thing "lamp" cannot be made`, `the thing "lamp" cannot be made`},
		{"Größe\r\nSet-Cookie: x\x00\x7f", "Gr??e? Set-Cookie: x??"},
		{strings.Repeat("x", 900), strings.Repeat("x", 509) + "..."},
	} {
		if got := describe(pem, c.failure); got != c.want {
			t.Errorf("%q: header %q, want %q", c.failure, got, c.want)
		}
	}
}

// TestPagesHold: a marker stands while what it points at goes, and others come on
// both sides of it.
func TestPagesHold(t *testing.T) {
	clock := time.Now()
	s := newServer(t, func() time.Time { clock = clock.Add(time.Second); return clock })
	register := func() string {
		var made struct{ CertificateID string }
		s.call(t, "POST", "/certificate/register-no-ca", members(t, "certificatePem", string(selfSigned(t))), &made)
		return made.CertificateID
	}
	page := func(query string) (ids []string, next string) {
		var list struct {
			Certificates []struct{ CertificateID string }
			NextMarker   string
		}
		s.call(t, "GET", "/certificates?pageSize=2&isAscendingOrder=true"+query, "", &list)
		for _, c := range list.Certificates {
			ids = append(ids, c.CertificateID)
		}
		return ids, "&marker=" + url.QueryEscape(list.NextMarker)
	}
	all := []string{register(), register(), register(), register()}
	first, next := page("")
	s.call(t, "DELETE", "/certificates/"+all[1], "", nil)
	s.call(t, "DELETE", "/certificates/"+all[2], "", nil)
	all = append(all, register())
	second, _ := page(next)
	if !slices.Equal(first, all[:2]) || !slices.Equal(second, all[3:]) {
		t.Errorf("pages %q and %q of %q", first, second, all)
	}
}

// TestOfferedInCapitals: an ID finds its certificate in every operation, however
// its digits are written.
func TestOfferedInCapitals(t *testing.T) {
	s := newServer(t, time.Now)
	var made struct{ CertificateID, CertificateARN string }
	s.call(t, "POST", "/certificate/register-no-ca", members(t, "certificatePem", string(selfSigned(t))), &made)
	capitals := strings.ToUpper(made.CertificateID)
	s.call(t, "PUT", "/certificates/"+capitals+"?newStatus=INACTIVE", "", nil)
	s.call(t, "POST", "/policies/p", members(t, "policyDocument", allowConnect), nil)
	arn := strings.Replace(made.CertificateARN, made.CertificateID, capitals, 1)
	for _, verb := range []string{"PUT", "POST"} { // attach, detach
		s.call(t, verb, "/target-policies/p", members(t, "target", arn), nil)
	}
	var offered struct{ TransferredCertificateARN string }
	s.call(t, "PATCH", "/transfer-certificate/"+capitals+"?targetAwsAccount="+stranger, "", &offered)
	if want := muster.ARN(region, stranger, "cert/"+made.CertificateID); offered.TransferredCertificateARN != want {
		t.Errorf("offered as %s, want %s", offered.TransferredCertificateARN, want)
	}
	w := s.send(t, s.other, "PATCH", "/accept-certificate-transfer/"+capitals, "")
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var list struct {
		Certificates []struct{ CertificateARN string }
	}
	if err := json.Unmarshal(s.send(t, s.other, "GET", "/certificates", "").Body.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Certificates) != 1 || list.Certificates[0].CertificateARN != offered.TransferredCertificateARN {
		t.Errorf("the other account lists %+v", list)
	}
}
