package broker_test

import (
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
)

// twoAccounts registers a device with each of two accounts, by an authority of
// each.
func twoAccounts(t *testing.T) (f *fixture, here, there device) {
	f = newFixture(t, options{})
	for _, name := range []string{account, otherAccount} {
		_, err := f.store.CreatePolicy(t.Context(), name, "all", allowAll, nil)
		must(t, err)
	}
	a := f.authority("factory", template)
	b, err := mint.NewAuthority("another factory")
	must(t, err)
	f.register(b, registry.AuthorityRegistration{Account: otherAccount, Registration: registrar(template)})
	return f, device{Leaf: f.leaf(a, "sensor")}, device{Leaf: f.leaf(b, "sensor"), endpoint: otherEndpoint}
}

func (f *fixture) connectAs(d device, clientID string) (*client, error) {
	conn, err := f.dialAs(d)
	if err != nil {
		return nil, err
	}
	c, err := connectOver(conn, clientID, nil)
	if err == nil {
		f.t.Cleanup(func() { _ = c.Disconnect(&paho.Disconnect{}) })
	}
	return c, err
}

// TestAccountsDoNotMeet: one client ID, one topic and one retained message in
// two accounts.
func TestAccountsDoNotMeet(t *testing.T) {
	f, here, there := twoAccounts(t)
	a, err := f.connectAs(here, "sensor")
	must(t, err)
	b, err := f.connectAs(there, "sensor") // takes over nobody
	must(t, err)
	for _, c := range []*client{a, b} {
		if codes := c.subscribe(t, "#"); codes[0] != 1 {
			t.Fatalf("SUBACK 0x%02X", codes[0])
		}
	}
	for topic, c := range map[string]*client{"from/here": a, "from/there": b} {
		if code, err := c.publish(t, &paho.Publish{Topic: topic, QoS: 1, Retain: true, Payload: []byte("x")}); err != nil || code >= 0x80 {
			t.Fatalf("publish: 0x%02X %v", code, err)
		}
		if p := c.next(t); p.Topic != topic {
			t.Errorf("%s arrived, not %s", p.Topic, topic)
		}
	}
	late, err := f.connectAs(there, "late")
	must(t, err)
	late.subscribe(t, "#")
	if p := late.next(t); p.Topic != "from/there" {
		t.Errorf("%s is retained in the other account", p.Topic)
	}
	if len(a.messages)+len(b.messages)+len(late.messages) > 0 {
		t.Error("more messages arrived")
	}
}

// TestOtherAccountsEndpoint: a device of one account is a stranger to another.
func TestOtherAccountsEndpoint(t *testing.T) {
	f, here, _ := twoAccounts(t)
	_, err := f.connectAs(here, "sensor")
	must(t, err)
	here.endpoint = otherEndpoint
	c, err := f.connectAs(here, "sensor")
	if err == nil || c == nil || c.ack == nil || c.ack.ReasonCode != 0x87 {
		t.Fatalf("not refused: %v", err)
	}
	f.seen.wait(t, "refused untrusted_issuer", func(n int) bool { return n == 1 })
	records, _, err := f.store.Find(t.Context(), id(here.Leaf))
	must(t, err)
	if len(records) != 1 || records[0].Account != account {
		t.Errorf("records %+v", records)
	}
}

// TestUnknownEndpointCountsAsNone.
func TestUnknownEndpointCountsAsNone(t *testing.T) {
	f, _, there := twoAccounts(t)
	there.endpoint = "127.0.0.1" // an address: no name is sent
	if _, err := f.connectAs(there, "sensor"); err != nil {
		t.Errorf("a device that only one account's authority could have signed: %v", err)
	}
}

// TestAmbiguousAccount: two accounts hold one authority, which proves nothing.
func TestAmbiguousAccount(t *testing.T) {
	f, _, _ := twoAccounts(t)
	shared, err := mint.NewAuthority("shared factory")
	must(t, err)
	for _, name := range []string{account, otherAccount} {
		f.register(shared, registry.AuthorityRegistration{
			Account: name, Mode: muster.ModeSNIOnly, Registration: registrar(template),
		})
	}
	d := device{Leaf: f.leaf(shared, "twin"), endpoint: "127.0.0.1"}
	c, err := f.connectAs(d, "twin")
	if err == nil || c == nil || c.ack == nil || c.ack.ReasonCode != 0x87 {
		t.Fatalf("not refused: %v", err)
	}
	f.seen.wait(t, "refused ambiguous_account", func(n int) bool { return n == 1 })
	for endpoint, name := range map[string]string{"localhost": account, otherEndpoint: otherAccount} {
		d.endpoint = endpoint
		if _, err := f.connectAs(d, "twin"); err != nil {
			t.Fatalf("%s: %v", endpoint, err)
		}
		if _, err := f.store.Certificate(t.Context(), name, id(d.Leaf)); err != nil {
			t.Errorf("account %s: %v", name, err)
		}
	}
}
