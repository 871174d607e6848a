package awsiot_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/muster-mqtt/muster/api"
)

// signedBody sends a body without saying how long it is, so that it goes in
// chunks of HTTP, and returns the answer.
func signedBody(t *testing.T, s *server, listening *httptest.Server, payload, body string, headers map[string]string) (*http.Response, string) {
	t.Helper()
	unknown := io.MultiReader(strings.NewReader(body)) // net/http does not know its length
	r, err := http.NewRequestWithContext(t.Context(), "POST", listening.URL+"/things/t", unknown)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	err = v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: s.key.ID, SecretAccessKey: s.key.Secret}, r, payload, "iot", region, s.now())
	if err != nil {
		t.Fatal(err)
	}
	w, err := listening.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(w.Body)
	w.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return w, string(answer)
}

// TestBodies: whichever way a body is sent, an operation sees what was meant, and
// one that is too long is told so in JSON.
func TestBodies(t *testing.T) {
	const meant = `{"attributePayload":{"attributes":{"a":"b"}}}`
	const chunked = "2d\r\n" + meant + "\r\n0\r\nx-amz-checksum-sha256:"
	const trailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	inChunks := func(kind string) map[string]string {
		return map[string]string{
			"Content-Encoding": "aws-chunked", "X-Amz-Content-Sha256": kind,
			"X-Amz-Decoded-Content-Length": "45", "X-Amz-Trailer": "x-amz-checksum-sha256",
		}
	}
	for _, c := range []struct {
		name, payload, body string
		headers             map[string]string
		status              int
		code, text          string
	}{
		{"hashed", hashOf(meant), meant, nil, 200, "", ""},
		{"unsigned", "UNSIGNED-PAYLOAD", meant, map[string]string{"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}, 200, "", ""},
		{"in AWS's chunks", trailer, chunked + "ufW/DQE7A6ezTikqAhTWngXWmb/faoDFB5fZ466peF0=\r\n\r\n", inChunks(trailer), 200, "", ""},
		{"with another checksum", trailer, chunked + "AAAA\r\n\r\n", inChunks(trailer), 400, "InvalidRequestException", "x-amz-checksum-sha256"},
		{"chunks by SigV4A", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", meant, inChunks("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"),
			403, "InvalidSignatureException", "is not supported"},
		{"too long", hashOf(meant), meant + strings.Repeat(" ", api.MaxBody), nil, 413, "RequestEntityTooLargeException", "1048576 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, time.Now)
			listening := httptest.NewTLSServer(s)
			defer listening.Close()
			w, answer := signedBody(t, s, listening, c.payload, c.body, c.headers)
			if w.StatusCode != c.status || w.Header.Get("X-Amzn-ErrorType") != c.code || !strings.Contains(answer, c.text) ||
				w.Header.Get("Content-Type") != "application/json" || !strings.HasPrefix(answer, "{") {
				t.Fatalf("%d %s %s", w.StatusCode, w.Header, answer)
			}
			thing, err := s.store.Thing(t.Context(), account, "t")
			if (err == nil) != (c.status == 200) || err == nil && thing.Attributes["a"] != "b" {
				t.Errorf("made %+v, %v", thing, err)
			}
		})
	}
}
