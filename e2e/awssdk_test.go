package e2e_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/smithy-go/middleware"

	"crypto/tls"
)

// sdk is the AWS SDK for Go in the hands of one account, as the SDK comes.
type sdk struct {
	*iot.Client
	account string
	server  *server
	called  *called
}

// called are the names of the operations that succeeded.
type called struct {
	mu    sync.Mutex
	names map[string]bool
}

func (c *called) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names[name] = true
}

// record is a middleware that keeps the name of each operation that succeeds.
func (c *called) record(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("record",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			out, metadata, err := next.HandleInitialize(ctx, in)
			if err == nil {
				c.add(awsmiddleware.GetOperationName(ctx))
			}
			return out, metadata, err
		}), middleware.After)
}

// sdk returns the SDK with the keys and the endpoint that s.vars name.
func (s *server) sdk(t *testing.T, account string, c *called) *sdk {
	t.Helper()
	roots, err := s.roots("AWS_CA_BUNDLE")
	if err != nil {
		t.Fatal(err)
	}
	key := aws.Credentials{AccessKeyID: s.vars["AWS_ACCESS_KEY_ID"], SecretAccessKey: s.vars["AWS_SECRET_ACCESS_KEY"]}
	return &sdk{account: account, server: s, called: c, Client: iot.New(iot.Options{
		BaseEndpoint: aws.String(s.vars["AWS_ENDPOINT_URL"]),
		Region:       s.vars["AWS_DEFAULT_REGION"],
		HTTPClient:   &http.Client{Timeout: commandTimeout, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}},
		Credentials:  aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return key, nil }),
		APIOptions:   []func(*middleware.Stack) error{c.record},
	})}
}

func (a *sdk) arn(resource string) string {
	return "arn:aws:iot:us-east-1:" + a.account + ":" + resource
}

// do calls an operation, which must succeed.
func do[I, O any](t *testing.T, operation func(context.Context, *I, ...func(*iot.Options)) (*O, error), in *I) *O {
	t.Helper()
	out, err := operation(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// denied demands that an operation fails by the SDK's type for the error.
func denied[E error, I, O any](t *testing.T, operation func(context.Context, *I, ...func(*iot.Options)) (*O, error), in *I) (told E) {
	t.Helper()
	if _, err := operation(t.Context(), in); !errors.As(err, &told) {
		t.Errorf("%+v: %v, want %T", *in, err, told)
	}
	return told
}

// has holds a member of an answer to a value.
func has[T comparable](t *testing.T, what string, got *T, want T) {
	t.Helper()
	switch {
	case got == nil:
		t.Errorf("%s is not there, want %v", what, want)
	case *got != want:
		t.Errorf("%s is %v, want %v", what, *got, want)
	}
}

// is holds a value to another.
func is[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// names holds the names in a list to those wanted, in whatever order.
func names(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("%s are %q, want %q", what, got, want)
	}
}

// paginator is a paginator of the SDK.
type paginator[O any] interface {
	HasMorePages() bool
	NextPage(context.Context, ...func(*iot.Options)) (*O, error)
}

// paged follows a paginator to its end and returns what each takes of each page.
func paged[O, T any](t *testing.T, pages paginator[O], each func(*O) []T) (all []T) {
	t.Helper()
	for n := 0; pages.HasMorePages(); n++ {
		if n > 100 {
			t.Fatalf("%T has no end", pages)
		}
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, each(page)...)
	}
	return all
}

// each maps a list.
func each[T, S any](list []T, of func(T) S) (all []S) {
	for _, item := range list {
		all = append(all, of(item))
	}
	return all
}

// recent demands a time that lies between the start of the tests and now.
func recent(t *testing.T, what string, at *time.Time) {
	t.Helper()
	if at == nil || time.Since(*at) > time.Hour || time.Until(*at) > time.Minute {
		t.Errorf("%s is %v, and it is %v", what, at, time.Now())
	}
}

// TestSDK drives every operation by the AWS SDK for Go, which reads the answers
// into its types.
func TestSDK(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.certify(t)
	s.start(t)
	s.succeeds(t, "account", "create", secondAccount, "--endpoint", secondEndpoint)
	c := &called{names: make(map[string]bool)}
	a, b := s.sdk(t, accountID, c), s.as(s.newKey(t, secondAccount)).sdk(t, secondAccount, c)
	t.Run("flows", func(t *testing.T) {
		for name, flow := range map[string]func(*testing.T, *sdk, *sdk){
			"authorities":   sdkAuthorities,
			"certificates":  sdkCertificates,
			"issued":        sdkIssued,
			"transfers":     sdkTransfers,
			"templates":     sdkTemplates,
			"claims":        sdkClaims,
			"things":        sdkThings,
			"thing types":   sdkThingTypes,
			"groups":        sdkGroups,
			"principals":    sdkPrincipals,
			"policies":      sdkPolicies,
			"policy of who": sdkPrincipalPolicies,
			"authorization": sdkAuthorization,
			"tags":          sdkTags,
			"account":       sdkAccount,
			"pages":         sdkPages,
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); flow(t, a, b) })
		}
	})
	for _, name := range implementedOperations(t) {
		if !c.names[name] {
			t.Errorf("%s was not called with success", name)
		}
	}
}

// implementedOperations reads the names of the operations out of the tables of
// api/awsiot.
func implementedOperations(t *testing.T) (all []string) {
	t.Helper()
	files, err := filepath.Glob("../api/awsiot/*.go")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^\t\t\{"(\w+)", \w+, "[^"]*", \(\*Dialect\)`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range line.FindAllStringSubmatch(string(text), -1) {
			all = append(all, m[1])
		}
	}
	if len(all) < 30 || !slices.Contains(all, "RegisterCACertificate") {
		t.Fatalf("the tables of api/awsiot have only %s", strings.Join(all, ", "))
	}
	return all
}
