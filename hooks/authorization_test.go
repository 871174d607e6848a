package hooks

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/api"
	"github.com/muster-mqtt/muster/api/awsiot"
	"github.com/muster-mqtt/muster/policy"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
)

// TestAuthorizationAgrees puts the vectors of testdata/policies into a registry,
// block by block, and asks a session of this package and TestAuthorization of the
// API the same questions. Where the API knows as much as the broker, both say the
// same; where it does not, it says what it would have to know.
func TestAuthorizationAgrees(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	asked, unknowing := 0, 0
	for _, file := range []string{"verdicts.txt", "variables.txt", "conditions.txt"} {
		text, err := os.ReadFile("../testdata/policies/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for block := range strings.SplitSeq(string(text), "=== ") {
			v := &vector{key: key}
			for line := range strings.Lines(block) {
				v.line(t, strings.TrimRight(line, "\n"))
			}
			asked, unknowing = asked+v.asked, unknowing+v.unknowing
		}
	}
	t.Logf("%d questions, of which %d are about what the API cannot know", asked, unknowing)
	if asked < 500 || unknowing > asked/4 {
		t.Errorf("%d questions were asked, of which %d are about what the API cannot know", asked, unknowing)
	}
}

// vector is what a block has said so far.
type vector struct {
	key                    *ecdsa.PrivateKey
	documents              [][]string
	client, remote, domain string
	connect                policy.ConnectAttributes
	thing                  *muster.Thing
	subject, issuer        []pkix.AttributeTypeAndValue
	serial                 *big.Int
	elsewhere              bool // it has something that is not put into a registry here

	asked, unknowing int
}

// line reads a line of a block, and asks if it is a question. Blocks about
// alternative names are left to package policy.
func (v *vector) line(t *testing.T, line string) {
	t.Helper()
	word, rest, _ := strings.Cut(line, " ")
	name, value, _ := strings.Cut(rest, " ")
	switch word {
	case "document":
		v.documents = append(v.documents, nil)
	case "statement":
		if v.documents == nil {
			v.documents = append(v.documents, nil)
		}
		last := len(v.documents) - 1
		v.documents[last] = append(v.documents[last], rest)
	case "client":
		v.client = unquoted(rest)
	case "ip":
		v.remote = rest
	case "domain":
		v.domain = rest
	case "persistent":
		v.connect.PersistentConnect = true
	case "will":
		v.connect.LastWill, v.connect.WillTopic = true, rest
	case "thing":
		v.thing = &muster.Thing{Account: testAccount, Name: name, Type: value, Attributes: map[string]string{}}
	case "attribute":
		v.thing.Attributes[name] = value
	case "serial":
		v.serial, _ = new(big.Int).SetString(name, 10)
	case "subject":
		v.subject = append(v.subject, attributeOf(name, unquoted(value)))
	case "issuer":
		v.issuer = append(v.issuer, attributeOf(name, unquoted(value)))
	case "subjectalt", "issueralt":
		v.elsewhere = true
	case "allowed", "explicit", "implicit":
		v.ask(t, line, name, unquoted(value))
	}
}

const testAccount = "123456789012"

func attributeOf(name, value string) pkix.AttributeTypeAndValue {
	number := map[string]int{
		"CommonName": 3, "Surname": 4, "SerialNumber": 5, "Country": 6, "Locality": 7, "State": 8, "Organization": 10,
		"OrganizationalUnit": 11, "Title": 12, "GivenName": 42, "Initials": 43, "GenerationQualifier": 44,
		"DistinguishedNameQualifier": 46, "Pseudonym": 65,
	}[name]
	return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, number}, Value: value}
}

func unquoted(s string) string {
	if u, err := strconv.Unquote(s); err == nil {
		return u
	}
	return s
}

// ask asks both about an action on a name.
func (v *vector) ask(t *testing.T, question, action, name string) {
	t.Helper()
	kind, ok := map[string]types.ActionType{
		"connect": types.ActionTypeConnect, "publish": types.ActionTypePublish,
		"subscribe": types.ActionTypeSubscribe, "receive": types.ActionTypeReceive,
	}[action]
	if v.elsewhere || !ok || name == "" || len(v.documents) > 10 {
		return
	}
	store, err := registry.New(registry.Config{Engine: memory.New(), Sealer: testSealer(t)})
	if err != nil {
		t.Fatal(err)
	}
	leaf, ok := v.put(t, store)
	if !ok {
		return
	}
	s := v.session(t, store, leaf)
	a, _ := policy.ParseAction("iot:" + action)
	broker := map[types.ActionType]func(string) bool{
		types.ActionTypeConnect:   func(name string) bool { return s.allowed(policy.Connect, name) },
		types.ActionTypePublish:   func(name string) bool { return s.mayPublish(name, false) || s.mayAsk(name) },
		types.ActionTypeSubscribe: s.maySubscribe,
		types.ActionTypeReceive:   func(name string) bool { return s.allowed(policy.Receive, name) },
	}[kind](name)
	id := muster.Fingerprint(leaf.Raw)
	in := &iot.TestAuthorizationInput{
		Principal: aws.String(muster.ARN("us-east-1", testAccount, "cert/"+id)),
		AuthInfos: []types.AuthInfo{{ActionType: kind, Resources: []string{muster.ARN("us-east-1", testAccount, a.Resource()+name)}}},
	}
	if v.client != "" {
		in.ClientId = aws.String(v.client)
	}
	out, err := testAPI(t, store).TestAuthorization(t.Context(), in)
	if err != nil {
		t.Fatalf("%s: %v", question, err)
	}
	r := out.AuthResults[0]
	v.asked++
	more := v.remote != "" || v.domain != "" || v.connect != policy.ConnectAttributes{}
	if more && len(r.MissingContextValues) > 0 {
		v.unknowing++
		return
	}
	if allowed := r.AuthDecision == types.AuthDecisionAllowed; allowed != broker {
		t.Errorf("%s: the broker says %t, the API %s, missing %q", question, broker, r.AuthDecision, r.MissingContextValues)
	}
}

// put writes the block into a registry. It reports false where the registry does
// not take it: a name of a thing that is none, a policy that does not parse.
func (v *vector) put(t *testing.T, store *registry.Store) (*x509.Certificate, bool) {
	t.Helper()
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(store.CreateAccount(ctx, muster.Account{ID: testAccount}))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{ExtraNames: v.subject},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if v.serial != nil {
		template.SerialNumber = v.serial
	}
	der, err := x509.CreateCertificate(rand.Reader, template, &x509.Certificate{Subject: pkix.Name{ExtraNames: v.issuer}}, v.key.Public(), v.key)
	check(err)
	leaf, err := x509.ParseCertificate(der)
	check(err)
	c, err := store.RegisterCertificate(ctx, registry.CertificateRegistration{
		Account: testAccount, WithoutCA: true, Status: muster.Active,
		PEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
	})
	check(err)
	for i, statements := range v.documents {
		name, document := fmt.Sprint("p", i), `{"Version":"2012-10-17","Statement":[`+strings.Join(statements, ",")+`]}`
		if len(statements) == 0 {
			continue
		}
		if _, err := store.CreatePolicy(ctx, testAccount, name, document, nil); err != nil {
			return nil, false
		}
		check(store.AttachPolicy(ctx, testAccount, name, muster.KindCertificate, c.ID))
	}
	if v.thing == nil {
		return leaf, true
	}
	if v.thing.Type != "" {
		if _, err := store.CreateThingType(ctx, muster.ThingType{Account: testAccount, Name: v.thing.Type}); err != nil {
			return nil, false
		}
	}
	if _, err := store.CreateThing(ctx, *v.thing); err != nil {
		return nil, false
	}
	check(store.AttachThingExclusively(ctx, testAccount, v.thing.Name, c.ID)) // whatever the client ID is
	return leaf, true
}

// session is one that was let in with the variables of the block.
func (v *vector) session(t *testing.T, store *registry.Store, leaf *x509.Certificate) *Session {
	t.Helper()
	server := mqtt.New(&mqtt.Options{InlineClient: true})
	h := &Hook{server: server, principals: store, policies: NewPolicies(), region: "us-east-1", keeper: unkept{}, observer: unobserved{}}
	c := &admission.Candidate{Account: testAccount, ID: muster.Fingerprint(leaf.Raw), Leaf: leaf, SNI: v.domain, Remote: v.remote}
	p, err := store.Principal(t.Context(), testAccount, c.ID, v.client)
	if err != nil {
		t.Fatal(err)
	}
	g, err := h.grounds(p, c, v.client, v.connect)
	if err != nil {
		t.Fatal(err)
	}
	s := &Session{hook: h, client: server.NewClient(nil, "test", v.client, false), candidate: c}
	s.bound.Store(g.bind())
	return s
}

// handled sends the requests of an SDK to a handler.
type handled struct{ http.Handler }

func (h handled) Do(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	r.RequestURI, r.Host = r.URL.RequestURI(), r.URL.Host
	h.ServeHTTP(w, r)
	return w.Result(), nil
}

func testSealer(t *testing.T) *registry.Sealer {
	t.Helper()
	sealer, err := registry.NewSealer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

// testAPI is the AWS SDK against the API on a registry.
func testAPI(t *testing.T, store *registry.Store) *iot.Client {
	t.Helper()
	key, err := store.CreateAccessKey(t.Context(), muster.AccessKey{Account: testAccount})
	if err != nil {
		t.Fatal(err)
	}
	dialect, err := awsiot.New(awsiot.Config{Store: store, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := api.New(api.Config{Dialects: []api.Dialect{dialect}, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	return iot.New(iot.Options{
		BaseEndpoint: aws.String("https://localhost"), Region: "us-east-1", HTTPClient: handled{handler}, Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}, nil
		}),
	})
}
