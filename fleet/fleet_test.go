package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/fleet"
	"github.com/muster-mqtt/muster/registry"
)

// TestTokens: what a token is worth, and to whom.
func TestTokens(t *testing.T) {
	f := newFixture(t, nil).run()
	id, token := f.made()
	if body, ok := f.ask(pumps, provisionOf(token, "one")); !ok || body["thingName"] != "one" ||
		body["deviceConfiguration"].(map[string]any)["id"] != id {
		t.Fatal(body)
	}
	if body, ok := f.ask(pumps, provisionOf(token, "one")); !ok || body["thingName"] != "one" {
		t.Errorf("the same again: %v", body)
	}
	f.refused(pumps, provisionOf(token, "two"), fleet.CodeToken)

	_, token = f.made()
	altered := "A" + token[1:]
	if altered == token {
		altered = "B" + token[1:]
	}
	for _, bad := range []string{"", "x", altered, token + "A", token[:len(token)-4], strings.Repeat("A", len(token))} {
		f.refused(pumps, provisionOf(bad, "two"), fleet.CodeToken)
	}
	a := newAsker()
	foreign := f.request(a, pumps, provisionOf(token, "two"))
	foreign.CertificateID = strings.Repeat("0", 64)
	f.service.Request(foreign)
	if body, ok := f.await(a, pumps); ok || body["errorCode"] != string(fleet.CodeToken) {
		t.Errorf("another certificate with the token: %v", body)
	}
	foreign = f.request(a, pumps, provisionOf(token, "two"))
	foreign.Account = "210987654321"
	f.service.Request(foreign)
	if body, ok := f.await(a, pumps); ok || body["errorCode"] != string(fleet.CodeToken) {
		t.Errorf("another account with the token: %v", body)
	}
	f.moved.Store(int64(time.Hour))
	f.refused(pumps, provisionOf(token, "two"), fleet.CodeToken)
	if strings.Contains(f.log.String(), token) || strings.Contains(f.log.String(), "PRIVATE KEY") {
		t.Error("the log holds a secret")
	}
}

// TestRevokedMeanwhile: a certificate that an operator has revoked is not
// provisioned, nor one that he has deleted.
func TestRevokedMeanwhile(t *testing.T) {
	f := newFixture(t, nil).run()
	id, token := f.made()
	_, err := f.store.UpdateCertificateStatus(t.Context(), account, id, muster.Revoked)
	must(t, err)
	f.refused(pumps, provisionOf(token, "one"), fleet.CodeToken)
	must(t, f.store.DeleteCertificate(t.Context(), account, id, false))
	f.refused(pumps, provisionOf(token, "one"), fleet.CodeToken)
}

// TestRevokedClaim: from the moment at which the certificate of a connection is
// revoked nothing is granted to it, though the connection stands still.
func TestRevokedClaim(t *testing.T) {
	const arn = "arn:aws:lambda:us-east-1:123456789012:function:check"
	f := newFixture(t, func(c *fleet.Config) { c.Hooks = map[string]string{arn: "https://hook.example.test"} }).run()
	f.template("hooked", &muster.Hook{TargetARN: arn, PayloadVersion: "2020-04-01"})
	id, token := f.made()
	f.hook = func(context.Context, string, []byte) ([]byte, error) {
		_, err := f.store.UpdateCertificateStatus(t.Context(), account, f.claim, muster.Revoked)
		return []byte(`{"allowProvisioning": true}`), err
	}
	f.refused("$aws/provisioning-templates/hooked/provision/json", provisionOf(token, "one"), fleet.CodeDenied)
	f.refused(pumps, provisionOf(token, "one"), fleet.CodeDenied)
	f.refused(create, "", fleet.CodeDenied)
	made, err := f.store.Certificate(t.Context(), account, id)
	must(t, err)
	if made.Status != muster.PendingActivation {
		t.Errorf("the certificate is %s", made.Status)
	}
}

// TestClaimOfDisabledTemplate: a claim is worth what its template is.
func TestClaimOfDisabledTemplate(t *testing.T) {
	f := newFixture(t, nil).run()
	claim, err := f.store.CreateClaim(t.Context(), account, "pumps")
	must(t, err)
	f.claim = claim.ID
	_, token := f.made()
	enabled := false
	_, err = f.store.UpdateTemplate(t.Context(), account, "pumps", registry.TemplateUpdate{Enabled: &enabled})
	must(t, err)
	f.refused(create, "", fleet.CodeDenied)
	f.refused(pumps, provisionOf(token, "one"), fleet.CodeDenied)
}

// TestHook: only a clear yes is one.
func TestHook(t *testing.T) {
	const arn = "arn:aws:lambda:us-east-1:123456789012:function:check"
	f := newFixture(t, func(c *fleet.Config) { c.Hooks = map[string]string{arn: "https://hooks.example.test/check"} }).run()
	f.template("hooked", &muster.Hook{TargetARN: arn, PayloadVersion: "2020-04-01"})
	f.template("lost", &muster.Hook{TargetARN: arn + "-2", PayloadVersion: "2020-04-01"})
	const hooked = "$aws/provisioning-templates/hooked/provision/json"
	_, token := f.made()
	for _, reply := range []string{
		`{"allowProvisioning":false}`, `{}`, `true`, ``, `null`, `{"allowProvisioning":"true"}`, `{"allowProvisioning":1}`,
		`{"AllowProvisioning":true}`, `{"allowProvisioning":false,"allowProvisioning":true}`, `{"allowProvisioning":true}{}`,
		`{"allowProvisioning":true,"parameterOverrides":{"SerialNumber":7}}`, `{"allowProvisioning":true,"parameterOverrides":[]}`,
	} {
		f.hook = func(context.Context, string, []byte) ([]byte, error) { return []byte(reply), nil }
		f.refused(hooked, provisionOf(token, "one"), fleet.CodeDenied)
	}
	f.hook = func(context.Context, string, []byte) ([]byte, error) { return nil, errors.New("connection refused") }
	f.refused(hooked, provisionOf(token, "one"), fleet.CodeDenied)
	f.refused("$aws/provisioning-templates/lost/provision/json", provisionOf(token, "one"), fleet.CodeDenied)
	if !strings.Contains(f.log.String(), "add "+arn+"-2=URL") {
		t.Errorf("the log does not say what to do about a hook that is not configured:\n%s", &f.log)
	}
	asked := ""
	f.hook = func(_ context.Context, url string, body []byte) ([]byte, error) {
		asked = url + " " + string(body)
		return []byte(`{"allowProvisioning":true,"parameterOverrides":{"SerialNumber":"two"},"more":[1]}`), nil
	}
	if body, ok := f.ask(hooked, provisionOf(token, "one")); !ok || body["thingName"] != "two" {
		t.Errorf("overridden: %v", body)
	}
	if !strings.HasPrefix(asked, `https://hooks.example.test/check {"claimCertificateId":"`+f.claim+`","certificateId":"`) ||
		!strings.HasSuffix(asked, `"templateArn":"arn:aws:iot:us-east-1:123456789012:provisioningtemplate/hooked","clientId":"factory","parameters":{"SerialNumber":"one"}}`) {
		t.Errorf("the hook was asked %s", asked)
	}
}

// TestSlowHook: its time is bounded, and a device that has left meanwhile is not
// provisioned.
func TestSlowHook(t *testing.T) {
	const arn = "arn:aws:lambda:us-east-1:123456789012:function:slow"
	f := newFixture(t, func(c *fleet.Config) {
		c.Hooks, c.HookTimeout = map[string]string{arn: "https://hooks.example.test/"}, 50*time.Millisecond
	}).run()
	f.template("hooked", &muster.Hook{TargetARN: arn})
	const hooked = "$aws/provisioning-templates/hooked/provision/json"
	id, token := f.made()
	f.hook = func(ctx context.Context, _ string, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }
	f.refused(hooked, provisionOf(token, "one"), fleet.CodeDenied)
	a := newAsker()
	asked := make(chan struct{})
	f.hook = func(context.Context, string, []byte) ([]byte, error) {
		a.gone.Store(true)
		close(asked)
		return []byte(`{"allowProvisioning":true}`), nil
	}
	f.service.Request(f.request(a, hooked, provisionOf(token, "one")))
	<-asked
	f.template("after", nil)
	f.refused(create, "x", fleet.CodePayload) // worked on after that, for it is of the same client
	c, err := f.store.Certificate(t.Context(), account, id)
	must(t, err)
	if c.Status != muster.PendingActivation {
		t.Errorf("%s although the device has left", c.Status)
	}
}

// TestUnheard: for who could not hear the answer nothing is made.
func TestUnheard(t *testing.T) {
	f := newFixture(t, nil).run()
	deaf, gone, broken := newAsker(), newAsker(), newAsker()
	deaf.deaf, broken.fails = true, true
	gone.gone.Store(true)
	f.service.Request(f.request(gone, create, ""))
	f.service.Request(f.request(broken, create, ""))
	f.service.Request(f.request(deaf, create, ""))
	if body, ok := f.await(deaf, create); ok || body["errorCode"] != string(fleet.CodeNotSubscribed) || body["statusCode"] != 400.0 {
		t.Errorf("not subscribed: %v", body)
	}
	want := "[create unanswered create unanswered create NotSubscribed]"
	for deadline := time.Now().Add(patience); fmt.Sprint(f.counts()) != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("counted %v, want %s", f.counts(), want)
		}
	}
	all, _, err := f.store.ListCertificates(t.Context(), account, registry.Page{Limit: 10})
	must(t, err)
	if len(all) != 2 { // the claim, and the one whose answer did not arrive
		t.Errorf("%d certificates", len(all))
	}
}

// TestFailuresAreTold once a minute for a certificate and a code, and remembered
// each time.
func TestFailuresAreTold(t *testing.T) {
	f := newFixture(t, nil).run()
	for range 3 {
		f.refused(pumps, provisionOf("x", "one"), fleet.CodeToken)
	}
	f.refused(pumps, "x", fleet.CodePayload)
	f.moved.Store(int64(time.Minute))
	f.refused(pumps, "x", fleet.CodePayload)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.events) != 3 || len(f.refusals) != 5 {
		t.Fatalf("%d events and %d refusals", len(f.events), len(f.refusals))
	}
	e := f.events[0]
	if e.Type != muster.EventProvisioningFailed || e.Reason != muster.ReasonProvisioningFailed || e.CertificateID != f.claim ||
		e.ClientID != "factory" || !strings.Contains(e.Detail, "template pumps") || !strings.Contains(e.Detail, string(fleet.CodeToken)) {
		t.Errorf("%+v", e)
	}
}

// TestStop: what waits when the service ends is told so.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const arn = "arn:aws:lambda:us-east-1:123456789012:function:slow"
		f := newFixture(t, func(c *fleet.Config) {
			c.Hooks, c.Concurrent = map[string]string{arn: "https://hooks.example.test/"}, 1
		})
		f.template("hooked", &muster.Hook{TargetARN: arn})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); f.service.Run(ctx) }()
		_, token := f.made()
		f.hook = func(ctx context.Context, _ string, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }
		first, second := newAsker(), newAsker()
		f.service.Request(f.request(first, "$aws/provisioning-templates/hooked/provision/json", provisionOf(token, "one")))
		synctest.Wait()
		f.service.Request(f.request(second, create, ""))
		stop()
		<-ended
		for a, topic := range map[*asker]string{first: "$aws/provisioning-templates/hooked/provision/json", second: create} {
			if body, ok := f.await(a, topic); ok || body["errorCode"] != string(fleet.CodeUnavailable) || body["statusCode"] != 503.0 {
				t.Errorf("what waited on %s: %v", topic, body)
			}
		}
		third := newAsker()
		f.service.Request(f.request(third, create, ""))
		if body, ok := f.await(third, create); ok {
			t.Errorf("after the end: %v", body)
		}
	})
}

// TestNewDemands what it cannot do without.
func TestNewDemands(t *testing.T) {
	for _, c := range []fleet.Config{{}, {HookTimeout: -1}, {Concurrent: -1}} {
		if _, err := fleet.New(c); err == nil {
			t.Errorf("%+v: made", c)
		}
	}
}
