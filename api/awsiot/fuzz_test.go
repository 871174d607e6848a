package awsiot_test

import (
	"net/url"
	"testing"
	"time"
)

type request struct{ method, path, body string }

// fuzzed are the requests that FuzzOperations begins with, by their number.
func fuzzed(tb testing.TB) []request {
	return []request{
		{"POST", "/cacertificate", members(tb, "caCertificate", string(newAuthority(tb, "CA").CertPEM()), "certificateMode", "SNI_ONLY",
			"registrationConfig", map[string]string{"templateBody": jitpTemplate, "roleArn": role})},
		{"PUT", "/cacertificate/0000000000000000000000000000000000000000000000000000000000000000", `{"removeAutoRegistration":true}`},
		{"GET", "/cacertificates", ""},
		{"POST", "/certificate/register", members(tb, "certificatePem", string(selfSigned(tb)), "status", "ACTIVE")},
		{"POST", "/certificate/register-no-ca", members(tb, "certificatePem", string(selfSigned(tb)))},
		{"GET", "/certificates", ""},
		{"POST", "/policies/q", members(tb, "policyDocument", allowConnect)},
		{"PUT", "/target-policies/p", `{"target":"arn:aws:iot:us-east-1:123456789012:thinggroup/g"}`},
		{"POST", "/provisioning-templates", members(tb, "templateName", "t", "templateBody", jitpTemplate, "provisioningRoleArn", role)},
		{"POST", "/thing-types/t", `{"thingTypeProperties":{"searchableAttributes":["a"]}}`},
		{"POST", "/thing-groups/h", `{"thingGroupProperties":{"attributePayload":{"attributes":{"a":"b"}}}}`},
		{"GET", "/things", ""},
		{"POST", "/tags", `{"resourceArn":"arn:aws:iot:us-east-1:123456789012:policy/p","tags":[{"Key":"k","Value":"v"}]}`},
		{"POST", "/untag", `{"resourceArn":"arn:aws:iot:us-east-1:123456789012:policy/p","tagKeys":["k"]}`},
		{"GET", "/tags", ""},
		{"GET", "/endpoint", ""},
		{"POST", "/things/u", `{"thingTypeName":"","attributePayload":{"attributes":{"a":"b"}}}`},
		{"DELETE", "/things/t", ""},
		{"PUT", "/things/t/principals", ""},
		{"GET", "/things/t/principals", ""},
		{"GET", "/policies", ""},
		{"POST", "/attached-policies/arn:aws:iot:us-east-1:123456789012:thinggroup%2Fg", ""},
	}
}

// FuzzOperations: no body and no query of a client who may sign brings an
// operation to panic or to fail within, and every answer is JSON of its kind.
func FuzzOperations(f *testing.F) {
	operations := fuzzed(f)
	for i, o := range operations {
		f.Add(i, "", []byte(o.body))
	}
	f.Add(2, "pageSize=2&marker=AAAA&isAscendingOrder=true", []byte(nil))
	f.Add(5, "marker=ARUxMjM0NTY3ODkwMTI%3D", []byte(nil))
	f.Add(14, "resourceArn=arn:aws:iot:us-east-1:123456789012:policy/p", []byte(nil))
	f.Add(6, "", []byte(`{"policyDocument":{}}`))
	f.Add(18, "thingPrincipalType=EXCLUSIVE_THING", []byte(nil))
	f.Add(20, "pageSize=1&isAscendingOrder=false", []byte(nil))
	f.Add(21, "recursive=true&marker=cA%3D%3D", []byte(nil))
	f.Add(12, "", []byte(`{"tags":[null]}`))

	f.Fuzz(func(t *testing.T, i int, query string, body []byte) {
		parsed, err := url.ParseQuery(query)
		if err != nil || i < 0 || i >= len(operations) {
			return
		}
		s := newServer(t, time.Now)
		s.call(t, "POST", "/policies/p", members(t, "policyDocument", allowConnect), nil)
		s.call(t, "POST", "/thing-groups/g", "", nil)
		s.call(t, "PUT", "/target-policies/p", operations[7].body, nil)
		s.call(t, "POST", "/things/t", "", nil)
		o := operations[i]
		target := o.path
		if len(parsed) > 0 {
			target += "?" + parsed.Encode()
		}
		w := s.send(t, s.key, o.method, target, string(body))
		if w.Code >= 500 || w.Code == 403 {
			t.Errorf("%s %s: %d %s\n%s", o.method, target, w.Code, w.Body, s.log)
		}
		if w.Header().Get("Content-Type") != "application/json" || (w.Code == 200) != (w.Header().Get("X-Amzn-ErrorType") == "") {
			t.Errorf("%s %s: %d, headers %v", o.method, target, w.Code, w.Header())
		}
	})
}
