package awsiot_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/smithy-go"
	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/api/awsiot"
	"github.com/muster-mqtt/muster/registry"
)

// TestReadOnlyOperations holds the rule of names to all operations: whatever a
// read-only key may call leaves the registry as it was, and nothing that it may
// not call is read by GET, but for the code that is made when it is asked for.
func TestReadOnlyOperations(t *testing.T) {
	posted := []string{"GetEffectivePolicies", "ListAttachedPolicies", "ListPrincipalPolicies", "ListTargetsForPolicy", "TestAuthorization"}
	for _, o := range awsiot.Table() {
		want := o.Method == http.MethodGet && o.Name != "GetRegistrationCode" || slices.Contains(posted, o.Name)
		if got := awsiot.ChangesNothing(o.Name); got != want {
			t.Errorf("%s by %s: is it read-only? %v, want %v", o.Name, o.Method, got, want)
		}
	}
	w := newWalk(t)
	if err := w.key(t, "R", "A", "read-only"); err != nil {
		t.Fatal(err)
	}
	for _, o := range awsiot.Table() {
		before, operation := w.seq(t), o.Name
		err := invokeFilled(t.Context(), w.clients["R"], operation, "x")
		var told smithy.APIError
		denied := errors.As(err, &told) && told.ErrorCode() == "AccessDeniedException"
		if denied == awsiot.ChangesNothing(operation) {
			t.Errorf("%s: %v", operation, err)
		}
		if w.seq(t) != before {
			t.Errorf("%s changed the registry", operation)
		}
	}
}

// TestOperations: what keys are bound to are the operations that there are.
func TestOperations(t *testing.T) {
	names := awsiot.Operations()
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) || !slices.Contains(names, "ListThings") {
		t.Errorf("operations %v", names)
	}
}

// throttled makes a server that lets a key make so many requests a second.
func throttled(t *testing.T, perSecond int) *server {
	t.Helper()
	s := newServer(t, time.Now)
	s.dialect.SetRequestsPerKey(perSecond)
	return s
}

// TestThrottling: a key has its rate and twice that in a burst, whatever others
// do, and what is turned away costs it nothing.
func TestThrottling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := throttled(t, 2)
		stolen := s.key
		stolen.Secret = s.other.Secret
		for range 10 { // by a stranger who knows the ID
			answered(t, s.send(t, stolen, "GET", "/things", ""), 403, "InvalidSignatureException", "")
		}
		passed := func() (n int) {
			for range 10 {
				w := s.send(t, s.key, "GET", "/things", "")
				if w.Code == http.StatusOK {
					n++
					continue
				}
				answered(t, w, 429, "ThrottlingException", "access key "+s.key.ID+" may make 2 requests a second")
				if after, newer := w.Header().Get("Retry-After"), w.Header().Get("X-Amz-Retry-After"); after != "1" || newer != "1000" {
					t.Errorf("come again after %q s, %q ms", after, newer)
				}
			}
			return n
		}
		if n := passed(); n != 4 {
			t.Errorf("%d at once, want 4", n)
		}
		time.Sleep(time.Second)
		if n := passed(); n != 2 {
			t.Errorf("%d a second later, want 2", n)
		}
		if w := s.send(t, s.other, "GET", "/things", ""); w.Code != http.StatusOK {
			t.Errorf("another key: %d %s", w.Code, w.Body)
		}
		s.dialect.SetRequestsPerKey(0)
		if n := passed(); n != 10 {
			t.Errorf("%d without a limit, want 10", n)
		}
		s.dialect.SetRequestsPerKey(3)
		time.Sleep(time.Minute)
		w := s.send(t, s.key, "POST", "/nothing", "")
		answered(t, w, 404, "UnknownOperationException", "")
		for range 5 {
			s.send(t, s.key, "GET", "/things", "")
		}
		answered(t, s.send(t, s.key, "GET", "/things", ""), 429, "ThrottlingException", "may make 3 requests a second, and twice as many at once")
	})
}

// TestThrottledSDK: the SDK tries again by itself until it is let in.
func TestThrottledSDK(t *testing.T) {
	s := throttled(t, 1)
	listening := httptest.NewTLSServer(s)
	defer listening.Close()
	client := sdk(s, listening, 10)
	for range 3 { // two in a burst, and one that has to wait
		if _, err := client.ListThings(t.Context(), nil); err != nil {
			t.Error(err)
		}
	}
}

// sdk is the AWS SDK for Go as it comes, which asks so often at most.
func sdk(s *server, listening *httptest.Server, attempts int) *iot.Client {
	return iot.New(iot.Options{
		BaseEndpoint: aws.String(listening.URL), Region: region, HTTPClient: listening.Client(), RetryMaxAttempts: attempts,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: s.key.ID, SecretAccessKey: s.key.Secret}, nil
		}),
	})
}

// skewed is a server whose clock is off, with the number of requests it has had.
func skewed(t *testing.T, off time.Duration) (*server, *httptest.Server, *atomic.Int64) {
	t.Helper()
	s := newServer(t, func() time.Time { return time.Now().Add(off) })
	var requests atomic.Int64
	listening := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(listening.Close)
	return s, listening, &requests
}

// TestSDKCorrectsItsClock: a clock that is an hour off costs the SDK one request
// that is refused, and it stays corrected.
func TestSDKCorrectsItsClock(t *testing.T) {
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			s, listening, requests := skewed(t, off)
			client := sdk(s, listening, 3)
			for i, want := range []int64{2, 3, 4} {
				if _, err := client.ListThings(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
				if got := requests.Load(); got != want {
					t.Errorf("after call %d there were %d requests, want %d", i+1, got, want)
				}
			}
		})
	}
}

// TestCLITellsOfTheClock: aws-cli and boto3 do not correct their clock. What they
// print has both times.
func TestCLITellsOfTheClock(t *testing.T) {
	c := newCLIOf(t, newServer(t, func() time.Time { return time.Now().Add(time.Hour) }))
	out, err := c.command(t, "list-things").CombinedOutput()
	told := regexp.MustCompile(`\(InvalidSignatureException\).*Signature expired: \w+Z is now earlier than \w+Z \(\w+Z - 5 min\.\)`)
	if err == nil || !told.Match(out) {
		t.Errorf("%v: %s", err, out)
	}
}

// presigned returns URLs that the botocore in aws-cli has signed, one for each
// method, URL and kind of three arguments.
func presigned(t *testing.T, key muster.AccessKey, arguments ...string) []string {
	t.Helper()
	const script = `
import sys
sys.path.insert(0, "/usr/lib/python3/dist-packages/awscli")
from botocore.auth import SigV4QueryAuth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
key, secret, region = sys.argv[1:4]
rest = iter(sys.argv[4:])
for method, url, kind in zip(rest, rest, rest):
    request = AWSRequest(method=method, url=url)
    sign = S3SigV4QueryAuth if kind == "unsigned" else SigV4QueryAuth
    sign(Credentials(key, secret), "iot", region, expires=60).add_auth(request)
    print(request.url)
`
	command := exec.CommandContext(t.Context(), "/usr/bin/python3", append([]string{"-c", script, key.ID, key.Secret, region}, arguments...)...)
	out, err := command.CombinedOutput()
	urls := strings.Fields(string(out))
	if err != nil || len(urls) != len(arguments)/3 {
		t.Fatalf("%v: %s", err, out)
	}
	return urls
}

// TestPresignedURL follows URLs as a browser or curl does, without any header of
// AWS's.
func TestPresignedURL(t *testing.T) {
	s := newServer(t, time.Now)
	listening := httptest.NewTLSServer(s)
	defer listening.Close()
	to := listening.URL
	urls := presigned(t, s.key, "GET", to+"/things?maxResults=10", "hashed", "POST", to+"/things/hashed", "hashed", "POST", to+"/things/unsigned", "unsigned")
	const attributes = `{"attributePayload":{"attributes":{"a":"b"}}}`
	for _, c := range []struct {
		method, url, body string
		status            int
		code              string
	}{
		{"GET", urls[0], "", 200, ""},
		{"POST", urls[0], "", 403, "InvalidSignatureException"},
		{"POST", urls[1], attributes, 403, "InvalidSignatureException"},
		{"POST", urls[1], "", 200, ""},
		{"POST", urls[2], attributes, 200, ""},
		{"POST", urls[2] + "0", attributes, 400, "IncompleteSignatureException"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, c.url, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		w, err := listening.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(w.Body)
		w.Body.Close()
		if err != nil || w.StatusCode != c.status || w.Header.Get("X-Amzn-ErrorType") != c.code {
			t.Errorf("%s %s: %d %s %v", c.method, c.url, w.StatusCode, answer, err)
		}
	}
	things, _, err := s.store.ListThings(t.Context(), account, registry.ThingFilter{}, registry.Page{})
	if err != nil || len(things) != 2 || things[1].Attributes["a"] != "b" {
		t.Errorf("made %+v, %v", things, err)
	}
}

// TestQueryMembersAreMeantOnce: the same signature is good for both orders of two
// values.
func TestQueryMembersAreMeantOnce(t *testing.T) {
	s := newServer(t, time.Now)
	for _, query := range []string{"?thingTypeName=a&thingTypeName=b", "?thingTypeName=b&thingTypeName=a"} {
		answered(t, s.send(t, s.key, "GET", "/things"+query, ""), 400, "InvalidRequestException", "thingTypeName: occurs 2 times in the query")
	}
}

// TestKeyUseIsNoted: a request that was signed counts as a use, whatever became
// of it; one that was not does not.
func TestKeyUseIsNoted(t *testing.T) {
	s := newServer(t, time.Now)
	used := func() time.Time {
		keys, err := s.store.AccessKeys(t.Context(), account)
		if err != nil || len(keys) != 1 {
			t.Fatal(keys, err)
		}
		return keys[0].Used
	}
	wrong := muster.AccessKey{ID: s.key.ID, Secret: "wrong"}
	answered(t, s.send(t, wrong, "GET", "/things", ""), 403, "InvalidSignatureException", "")
	if at := used(); !at.IsZero() {
		t.Errorf("used at %v by somebody without its secret", at)
	}
	answered(t, s.send(t, s.key, "GET", "/nothing", ""), 404, "UnknownOperationException", "")
	if at := used(); time.Since(at) > time.Minute {
		t.Errorf("used at %v", at)
	}
}
