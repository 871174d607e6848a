package broker_test

import (
	"crypto/tls"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

// resumed connects over a TLS session of before.
func (f *fixture) resumed(d device) *raw {
	f.t.Helper()
	conn, err := f.dialAs(d)
	must(f.t, err)
	f.t.Cleanup(func() { _ = conn.Close() })
	if !conn.ConnectionState().DidResume {
		f.t.Fatal("the TLS session was not resumed")
	}
	return newRaw(f.t, conn, 5)
}

// TestResumptionAsksTheRegistry: a TLS session outlives what admitted it.
func TestResumptionAsksTheRegistry(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	d := device{Leaf: f.registered("sensor", "all"), sessions: tls.NewLRUClientSessionCache(1)}
	conn, err := f.dialAs(d)
	must(t, err)
	first := newRaw(t, conn, 5)
	first.admitted("sensor", nil)
	second := f.resumed(d)
	second.admitted("sensor", nil)
	first.end()
	_, err = f.store.UpdateCertificateStatus(t.Context(), account, id(d.Leaf), muster.Revoked)
	must(t, err)
	second.end()
	if ack, err := f.resumed(d).connect("sensor", nil); err != nil || ack.ReasonCode != 0x8A {
		t.Errorf("CONNACK 0x%02X, %v", ack.ReasonCode, err)
	}
}

// TestResumptionWithoutAuthority: once the authority is gone, a certificate
// that has a record is told so, and one that has none ends in TLS.
func TestResumptionWithoutAuthority(t *testing.T) {
	f := newFixture(t, options{})
	a := f.authority("workshop", "")
	pending := device{Leaf: f.leaf(a, "pending"), sessions: tls.NewLRUClientSessionCache(1)}
	unregistered := device{Leaf: f.leaf(a, "unregistered"), sessions: tls.NewLRUClientSessionCache(1)}

	conn, err := f.dialAs(pending)
	must(t, err)
	if ack, err := newRaw(t, conn, 5).connect("pending", nil); err != nil || ack.ReasonCode != 0x87 {
		t.Fatalf("CONNACK 0x%02X, %v", ack.ReasonCode, err)
	}
	conn, err = f.dialAs(unregistered)
	must(t, err)
	c := newRaw(t, conn, 5)
	c.bytes(0xC0, 0x00) // no CONNECT: the connection ends, but its ticket has come
	c.end()

	inactive := muster.Inactive
	authority := muster.Fingerprint(a.Cert.Raw)
	_, err = f.store.UpdateAuthority(t.Context(), account, authority, registry.AuthorityUpdate{Status: &inactive})
	must(t, err)
	must(t, f.store.DeleteAuthority(t.Context(), account, authority))

	ack, err := f.resumed(pending).connect("pending", nil)
	if err != nil || ack.ReasonCode != 0x87 || ack.Properties.ReasonString[:len(muster.ReasonAuthorityDeleted)] != string(muster.ReasonAuthorityDeleted) {
		t.Errorf("pending: CONNACK 0x%02X %q, %v", ack.ReasonCode, ack.Properties.ReasonString, err)
	}
	if p, err := f.resumed(unregistered).connect("unregistered", nil); err == nil {
		t.Errorf("unregistered: %s 0x%02X", packets.PacketNames[p.FixedHeader.Type], p.ReasonCode)
	}
	f.seen.wait(t, "handshake untrusted_issuer", func(n int) bool { return n == 1 })
}
