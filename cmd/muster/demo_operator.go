package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// operator calls the AWS IoT API as any AWS tool does.
type operator struct {
	endpoint    string
	region      string
	credentials aws.Credentials
	http        http.Client
}

func newOperator(endpoint, region, keyID, secret string, roots *x509.CertPool) *operator {
	return &operator{
		endpoint: endpoint, region: region,
		credentials: aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret},
		http: http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		}},
	}
}

// apiError is an answer that is no success.
type apiError struct {
	status int
	code   string
	text   string
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s: %s", e.status, e.code, e.text) }

// call signs and sends one request, and decodes the answer into out, which may
// be nil.
func (o *operator) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	target := o.endpoint + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	sum := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(ctx, o.credentials, r, hex.EncodeToString(sum[:]), "iot", o.region, time.Now())
	if err != nil {
		return err
	}
	w, err := o.http.Do(r)
	if err != nil {
		return err
	}
	defer w.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(w.Body, 1<<20))
	if err != nil {
		return err
	}
	if w.StatusCode != http.StatusOK {
		var failed struct{ Message string }
		_ = json.Unmarshal(answer, &failed) // the code is in the header
		return &apiError{w.StatusCode, w.Header.Get("X-Amzn-Errortype"), failed.Message}
	}
	if out == nil || len(answer) == 0 {
		return nil
	}
	return json.Unmarshal(answer, out)
}
