package awsiot_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/api"
	"github.com/muster-mqtt/muster/registry"
)

// answered holds an answer to restJson1's form of errors.
func answered(t *testing.T, w *httptest.ResponseRecorder, status int, code, message string) {
	t.Helper()
	var body struct {
		Message *string `json:"message"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Message == nil {
		t.Fatalf("body %s: %v", w.Body, err)
	}
	h := w.Header()
	if w.Code != status || h.Get("X-Amzn-ErrorType") != code || !strings.Contains(*body.Message, message) {
		t.Errorf("%d %s %q, want %d %s with %q", w.Code, h.Get("X-Amzn-ErrorType"), *body.Message, status, code, message)
	}
	if h.Get("Content-Type") != "application/json" || h.Get("X-Amzn-RequestId") == "" {
		t.Errorf("headers %v", h)
	}
}

// TestSignatures: who did not sign what arrived gets nothing, and changes nothing.
func TestSignatures(t *testing.T) {
	s := newServer(t, time.Now)
	wrong := s.key
	wrong.Secret = s.other.Secret
	unknown := s.key
	unknown.ID = "AKIA0000000000000000"
	const target, body = "/policies/p", `{"policyDocument":"{}"}`
	answered(t, s.send(t, wrong, "POST", target, body), 403, "InvalidSignatureException", "")
	answered(t, s.send(t, unknown, "POST", target, body), 403, "UnrecognizedClientException", "")

	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "https://localhost"+target, strings.NewReader(body)))
	answered(t, w, 403, "MissingAuthenticationTokenException", "Missing Authentication Token")

	stale := *s
	stale.now = func() time.Time { return time.Now().Add(-6 * time.Minute) }
	answered(t, stale.send(t, s.key, "POST", target, body), 403, "InvalidSignatureException", "Signature expired: ")

	answered(t, s.send(t, s.key, "GET", "/policies/p", ""), 404, "ResourceNotFoundException", "")
	for _, secret := range []string{s.key.Secret, s.other.Secret, "policyDocument"} {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("the log has %s", secret)
		}
	}
	if !strings.Contains(s.log.String(), `"key":"`+unknown.ID+`"`) {
		t.Errorf("the log does not tell which key was tried: %s", s.log)
	}
}

func TestBodyTooLong(t *testing.T) {
	s := newServer(t, time.Now)
	w := s.send(t, s.key, "POST", "/policies/p", strings.Repeat(" ", api.MaxBody+1))
	answered(t, w, 413, "RequestEntityTooLargeException", "1048576 bytes")
}

// TestAccountsAreApart: a key sees nothing of another account's.
func TestAccountsAreApart(t *testing.T) {
	s := newServer(t, time.Now)
	var made struct{ CertificateID string }
	s.call(t, "POST", "/certificate/register-no-ca", members(t, "certificatePem", string(selfSigned(t))), &made)
	s.call(t, "POST", "/policies/p", members(t, "policyDocument", allowConnect), nil)
	s.call(t, "POST", "/things/t", "", nil)
	for _, target := range []string{"/certificates/" + made.CertificateID, "/policies/p", "/things/t", "/things/t/principals"} {
		answered(t, s.send(t, s.other, "GET", target, ""), 404, "ResourceNotFoundException", "")
	}
	answered(t, s.send(t, s.other, "DELETE", "/policies/p", ""), 404, "ResourceNotFoundException", "")
	if w := s.send(t, s.other, "DELETE", "/things/t", ""); w.Code != 200 { // what is not there is deleted already
		t.Errorf("%d %s", w.Code, w.Body)
	}
	s.call(t, "GET", "/things/t", "", nil)
	for _, owner := range []string{account, stranger} {
		principal := "x-amzn-principal: " + muster.ARN(region, owner, "cert/"+made.CertificateID)
		for _, method := range []string{"PUT", "DELETE"} {
			w := s.send(t, s.other, method, "/things/t/principals", "", principal)
			answered(t, w, 404, "ResourceNotFoundException", "")
		}
		target := "/attached-policies/" + url.PathEscape(muster.ARN(region, owner, "cert/"+made.CertificateID))
		answered(t, s.send(t, s.other, "POST", target, ""), 404, "ResourceNotFoundException", "")
	}
	for target, want := range map[string]string{
		"/certificates":   `{"certificates":[]}`,
		"/cacertificates": `{"certificates":[]}`,
		"/things":         `{"things":[]}`,
		"/policies":       `{"policies":[]}`,
	} {
		if w := s.send(t, s.other, "GET", target, ""); w.Body.String() != want {
			t.Errorf("%s: %s, want %s", target, w.Body, want)
		}
	}
}

// TestForeignMarkers: a marker out of another account's list opens no way into
// it, from below or from above.
func TestForeignMarkers(t *testing.T) {
	s := newServer(t, time.Now)
	for _, key := range []muster.AccessKey{s.key, s.other} {
		for range 3 {
			body := members(t, "certificatePem", string(selfSigned(t)))
			if w := s.send(t, key, "POST", "/certificate/register-no-ca", body); w.Code != 200 {
				t.Fatal(w.Body)
			}
		}
	}
	type list struct {
		Certificates []struct{ CertificateARN string }
		NextMarker   string
	}
	page := func(key muster.AccessKey, query string) (l list) {
		w := s.send(t, key, "GET", "/certificates?pageSize=2"+query, "")
		if err := json.Unmarshal(w.Body.Bytes(), &l); err != nil || w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return l
	}
	for _, order := range []string{"&isAscendingOrder=true", "&isAscendingOrder=false"} {
		for _, c := range []struct{ from, by muster.AccessKey }{{s.key, s.other}, {s.other, s.key}} {
			marker := "&marker=" + url.QueryEscape(page(c.from, order).NextMarker)
			for _, found := range page(c.by, order+marker).Certificates {
				if !strings.Contains(found.CertificateARN, ":"+c.by.Account+":") {
					t.Errorf("%s: account %s sees %s", order, c.by.Account, found.CertificateARN)
				}
			}
		}
	}
}

// TestExists: the error tells which resource is in the way.
func TestExists(t *testing.T) {
	s := newServer(t, time.Now)
	body := members(t, "certificatePem", string(selfSigned(t)))
	var made struct{ CertificateID, CertificateARN string }
	s.call(t, "POST", "/certificate/register-no-ca", body, &made)
	w := s.send(t, s.key, "POST", "/certificate/register-no-ca", body)
	answered(t, w, 409, "ResourceAlreadyExistsException", "")
	var told struct{ ResourceID, ResourceARN string }
	if err := json.Unmarshal(w.Body.Bytes(), &told); err != nil {
		t.Fatal(err)
	}
	if told.ResourceID != made.CertificateID || told.ResourceARN != made.CertificateARN || told.ResourceID == "" {
		t.Errorf("%+v, want %+v", told, made)
	}
}

// TestPages: pages follow one another without gap or overlap, in both orders.
func TestPages(t *testing.T) {
	clock := time.Now()
	s := newServer(t, func() time.Time { clock = clock.Add(time.Second); return clock })
	var oldestFirst []string
	for range 5 {
		var made struct{ CertificateID string }
		s.call(t, "POST", "/certificate/register-no-ca", members(t, "certificatePem", string(selfSigned(t))), &made)
		oldestFirst = append(oldestFirst, made.CertificateID)
	}
	for _, order := range []string{"", "&isAscendingOrder=true"} {
		var got []string
		marker := ""
		for page := 0; page == 0 || marker != ""; page++ {
			if page > 3 {
				t.Fatalf("no end after %d pages", page)
			}
			var list struct {
				Certificates []struct{ CertificateID string }
				NextMarker   string
			}
			s.call(t, "GET", "/certificates?pageSize=2"+order+marker, "", &list)
			for _, c := range list.Certificates {
				got = append(got, c.CertificateID)
			}
			marker = ""
			if list.NextMarker != "" {
				marker = "&marker=" + url.QueryEscape(list.NextMarker)
			}
		}
		for i := range got {
			at := i
			if order == "" {
				at = len(oldestFirst) - 1 - i
			}
			if len(got) != len(oldestFirst) || got[i] != oldestFirst[at] {
				t.Fatalf("order %q: %v of %v", order, got, oldestFirst)
			}
		}
	}
}

// TestUnsignedPrincipal: the header that says what is attached is part of what
// has to be signed.
func TestUnsignedPrincipal(t *testing.T) {
	s := newServer(t, time.Now)
	var made struct{ CertificateARN string }
	s.call(t, "POST", "/certificate/register-no-ca", members(t, "certificatePem", string(selfSigned(t))), &made)
	s.call(t, "POST", "/things/t", "", nil)
	tampered := *s
	tampered.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Amzn-Principal", made.CertificateARN)
		s.ServeHTTP(w, r)
	})
	answered(t, tampered.send(t, s.key, "PUT", "/things/t/principals", ""), 403, "InvalidSignatureException", "")
	other := "x-amzn-principal: " + muster.ARN(region, account, "cert/"+strings.Repeat("0", 64))
	answered(t, tampered.send(t, s.key, "PUT", "/things/t/principals", "", other), 403, "InvalidSignatureException", "")
	if w := s.send(t, s.key, "GET", "/things/t/principals", ""); w.Body.String() != `{"principals":[]}` {
		t.Errorf("attached: %s", w.Body)
	}
}

func TestListThingsFilters(t *testing.T) {
	s := newServer(t, time.Now)
	s.call(t, "POST", "/thing-types/sensor", "", nil)
	for name, attributes := range map[string]map[string]string{"a": {"line": "7"}, "b": {"line": "71"}, "c": nil} {
		thing := muster.Thing{Account: account, Name: name, Attributes: attributes}
		if name == "b" {
			thing.Type = "sensor"
		}
		if _, err := s.store.CreateThing(t.Context(), thing); err != nil {
			t.Fatal(err)
		}
	}
	for query, want := range map[string]string{
		"":                                    "abc",
		"thingTypeName=sensor":                "b",
		"attributeName=line":                  "ab",
		"attributeName=line&attributeValue=7": "a",
		"attributeName=line&attributeValue=7&usePrefixAttributeValue=true": "ab",
		"attributeName=line&thingTypeName=sensor":                          "b",
		"attributeName=floor":                                              "",
	} {
		var list struct{ Things []struct{ ThingName string } }
		s.call(t, "GET", "/things?"+query, "", &list)
		got := ""
		for _, thing := range list.Things {
			got += thing.ThingName
		}
		if got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// TestInternalFailure: the cause is for the log alone.
func TestInternalFailure(t *testing.T) {
	s := newServer(t, time.Now)
	s.call(t, "GET", "/registrationcode", "", nil)
	s.engine.Close()
	w := s.send(t, s.key, "DELETE", "/registrationcode", "")
	answered(t, w, 500, "InternalFailureException", "An internal failure occurred")
	if cause := registry.ErrClosed.Error(); strings.Contains(w.Body.String(), cause) || !strings.Contains(s.log.String(), cause) {
		t.Errorf("body %s, log %s", w.Body, s.log)
	}
}
