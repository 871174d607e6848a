package e2e_test

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
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// object is the body of a request or an answer.
type object map[string]any

// awsCommand runs the AWS command line against the server and no other.
func (s *server) awsCommand(t *testing.T, args ...string) ended {
	t.Helper()
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	for name, value := range s.vars {
		env = append(env, name+"="+value)
	}
	env = append(env, "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
	return command(t, env, awsProgram,
		append([]string{"--endpoint-url", s.vars["AWS_ENDPOINT_URL"], "--output", "json", "iot"}, args...)...)
}

// aws returns what an operation answers.
func (s *server) aws(t *testing.T, args ...string) object {
	t.Helper()
	out := s.awsCommand(t, args...)
	if out.code != 0 {
		t.Fatalf("aws iot %s: exit %d\n%s", strings.Join(args, " "), out.code, out.stderr)
	}
	answer := object{}
	if strings.TrimSpace(out.stdout) == "" {
		return answer
	}
	if err := json.Unmarshal([]byte(out.stdout), &answer); err != nil {
		t.Fatalf("aws iot %s: %v in %s", args[0], err, out.stdout)
	}
	return answer
}

// unknownToAWS demands that the AWS command line finds no record of a
// certificate.
func (s *server) unknownToAWS(t *testing.T, c *certificate) {
	t.Helper()
	out := s.awsCommand(t, "describe-certificate", "--certificate-id", c.id)
	if out.code == 0 || !strings.Contains(out.stderr, "(ResourceNotFoundException)") {
		t.Errorf("%s is registered: exit %d\n%s%s", c.name, out.code, out.stdout, out.stderr)
	}
}

// at returns the value at a path of names.
func (o object) at(path ...string) any {
	var value any = map[string]any(o)
	for _, name := range path {
		inner, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = inner[name]
	}
	return value
}

func (o object) want(t *testing.T, value any, path ...string) {
	t.Helper()
	if got := o.at(path...); got != value {
		t.Errorf("%s is %v, want %v", strings.Join(path, "."), got, value)
	}
}

// api returns what the API answers to a request that is signed as the AWS SDK
// does it. It is for preparations, where the AWS command line would be slow.
func (s *server) api(ctx context.Context, method, path string, query url.Values, body object) (answer object, err error) {
	var text []byte
	if body != nil {
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, s.vars["AWS_ENDPOINT_URL"]+path+"?"+query.Encode(), bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	key := aws.Credentials{AccessKeyID: s.vars["AWS_ACCESS_KEY_ID"], SecretAccessKey: s.vars["AWS_SECRET_ACCESS_KEY"]}
	err = v4.NewSigner().SignHTTP(ctx, key, r, hex.EncodeToString(sum[:]), "iot", s.vars["AWS_DEFAULT_REGION"], time.Now())
	if err != nil {
		return nil, err
	}
	roots, err := s.roots("AWS_CA_BUNDLE")
	if err != nil {
		return nil, err
	}
	client := http.Client{Timeout: commandTimeout, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots},
	}}
	w, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer w.Body.Close()
	if text, err = io.ReadAll(w.Body); err != nil {
		return nil, err
	}
	if w.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %s %s", method, path, w.Status, text)
	}
	if len(text) > 0 {
		err = json.Unmarshal(text, &answer)
	}
	return answer, err
}

// roots reads the file by which a variable of muster env says to trust.
func (s *server) roots(variable string) (*x509.CertPool, error) {
	text, err := os.ReadFile(s.vars[variable])
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", s.vars[variable])
	}
	return roots, nil
}

func (s *server) call(t *testing.T, method, path string, query url.Values, body object) object {
	t.Helper()
	answer, err := s.api(t.Context(), method, path, query, body)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// list returns all items of a listing, page by page.
func (s *server) list(t *testing.T, path, items, size, marker, next string) []object {
	t.Helper()
	var all []object
	for query := (url.Values{size: {"250"}}); ; {
		answer := s.call(t, "GET", path, query, nil)
		page, _ := answer[items].([]any)
		for _, item := range page {
			all = append(all, item.(map[string]any))
		}
		following, _ := answer[next].(string)
		if following == "" {
			return all
		}
		query.Set(marker, following)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
