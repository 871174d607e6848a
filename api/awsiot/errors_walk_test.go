package awsiot_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/registrytest"
)

const errorsFile = "../../testdata/awsiot/errors.txt"

// TestErrors walks through testdata/awsiot/errors.txt by the AWS SDK for Go: the
// calls before must succeed, each error must be of the type that the SDK has for
// it, and a call that fails must leave the registry as it was.
func TestErrors(t *testing.T) {
	content, err := os.ReadFile(errorsFile)
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := parseErrors(string(content))
	if err != nil {
		t.Fatalf("%s: %v", errorsFile, err)
	}
	for _, b := range blocks {
		t.Run(b.rule, func(t *testing.T) {
			w := newWalk(t)
			for i := range b.steps {
				if err := w.step(t, &b.steps[i]); err != nil {
					t.Fatalf("line %d: %s: %v", b.steps[i].line, b.steps[i].rule, err)
				}
			}
			registrytest.Check(t, w.server.engine)
		})
	}
}

// walk is the state of a block.
type walk struct {
	server  *server
	clock   time.Time
	clients map[string]*iot.Client // by account, A and B, and by key
	url     string
	http    *http.Client
	values  map[string]any // by name: a string, or the output of a call
	minted  map[string]minted
}

func newWalk(t *testing.T) *walk {
	w := &walk{clock: time.Now(), minted: make(map[string]minted)}
	w.server = newServer(t, func() time.Time { return w.clock })
	listening := httptest.NewTLSServer(w.server)
	t.Cleanup(listening.Close)
	w.url, w.http = listening.URL, listening.Client()
	w.clients = map[string]*iot.Client{"A": w.client(w.server.key), "B": w.client(w.server.other)}
	w.values = map[string]any{
		"A": account, "B": stranger, "region": region, "none": strings.Repeat("0", 64),
		"role": role, "allow": allowConnect, "jitp": jitpTemplate,
	}
	return w
}

// client is the SDK as it comes, but that it sends what it knows to be
// incomplete, asks once, and has the clock of the block.
func (w *walk) client(key muster.AccessKey) *iot.Client {
	return iot.New(iot.Options{
		BaseEndpoint: aws.String(w.url),
		Region:       region,
		HTTPClient:   w.http,
		HTTPSignerV4: clockSigner{v4.NewSigner(), w.server.now},
		Retryer:      aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}, nil
		}),
		APIOptions: []func(*middleware.Stack) error{func(s *middleware.Stack) error {
			_, _ = s.Initialize.Remove("OperationInputValidation") // not there where nothing is required
			return nil
		}},
	})
}

type clockSigner struct {
	*v4.Signer
	now func() time.Time
}

func (s clockSigner) SignHTTP(ctx context.Context, c aws.Credentials, r *http.Request, hash, service, region string, _ time.Time, options ...func(*v4.SignerOptions)) error {
	return s.Signer.SignHTTP(ctx, c, r, hash, service, region, s.now(), options...)
}

func (w *walk) step(t *testing.T, s *step) error {
	for i := range s.repeat {
		var err error
		if s.call.operation == "" {
			err = w.setUp(t, numbered(s.text, i))
		} else {
			err = w.call(t, s, i)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) call(t *testing.T, s *step, i int) error {
	w.clock = w.clock.Add(time.Second)
	input, err := w.substituteJSON(numbered(s.call.input, i))
	if err != nil {
		return err
	}
	before := w.seq(t)
	client := w.clients[s.account]
	if client == nil {
		return fmt.Errorf("there is no %s", s.account)
	}
	output, err := invoke(t.Context(), client, s.call.operation, input)
	if s.call.fault == nil {
		if err == nil && s.call.as != "" {
			w.values[numbered(s.call.as, i)] = output
		}
		return err
	}
	if after := w.seq(t); err != nil && after != before {
		t.Errorf("line %d: %s failed and yet wrote something", s.line, s.call.operation)
	}
	return w.compare(s.call.fault, err)
}

func (w *walk) seq(t *testing.T) (seq uint64) {
	t.Helper()
	err := w.server.engine.View(t.Context(), func(r registry.Reader) error { seq = r.Seq(); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// invoke calls the method of the SDK by its name, with its members as JSON.
func invoke(ctx context.Context, client *iot.Client, operation string, input []byte) (any, error) {
	method := reflect.ValueOf(client).MethodByName(operation)
	if !method.IsValid() {
		return nil, fmt.Errorf("the SDK has no %s", operation)
	}
	in := reflect.New(method.Type().In(1).Elem())
	d := json.NewDecoder(strings.NewReader(string(input)))
	d.DisallowUnknownFields()
	if err := d.Decode(in.Interface()); err != nil {
		return nil, fmt.Errorf("%s: members: %w", operation, err)
	}
	out := method.Call([]reflect.Value{reflect.ValueOf(ctx), in})
	err, _ := out[1].Interface().(error)
	return out[0].Interface(), err
}

// compare holds an error to what is expected of it.
func (w *walk) compare(want *fault, got error) error {
	var told smithy.APIError
	var response *smithyhttp.ResponseError
	if !errors.As(got, &told) || !errors.As(got, &response) {
		return fmt.Errorf("answered %v, want %s", got, want.code)
	}
	if told.ErrorCode() != want.code || response.HTTPStatusCode() != want.status {
		return fmt.Errorf("%d %w, want %d %s", response.HTTPStatusCode(), told, want.status, want.code)
	}
	kind := reflect.TypeOf(told).Elem()
	if typed := kind.Name() == want.code && strings.HasSuffix(kind.PkgPath(), "service/iot/types"); typed == want.untyped {
		return fmt.Errorf("%s is a %v: does the model give it to this operation?", want.code, kind)
	}
	message, err := w.substitute(want.message)
	if err != nil {
		return err
	}
	if !strings.Contains(told.ErrorMessage(), message) {
		return fmt.Errorf("message %q, want %q in it", told.ErrorMessage(), message)
	}
	for name, value := range want.members {
		value, err := w.substitute(value)
		if err != nil {
			return err
		}
		if got, err := lookUp(told, name); err != nil || got != value {
			return fmt.Errorf("%s %q (%v), want %q", name, got, err, value)
		}
	}
	return nil
}
