package hooks_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509/pkix"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/hooks"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
)

// dialTLS connects to a listener of one's own, which inspects nobody.
func (b *bubble) dialTLS(l *mint.Leaf) *peer {
	b.t.Helper()
	ours, theirs := net.Pipe()
	c := b.gate.TLSConfig(&tls.Config{Certificates: []tls.Certificate{b.leaf("localhost").TLS()}})
	go func() { _ = b.server.EstablishConnection("bubble", tls.Server(theirs, c)) }()
	p := &peer{t: b.t, version: 5, in: make(chan packets.Packet, 100), conn: tls.Client(ours, &tls.Config{
		InsecureSkipVerify: true, // what the device thinks of the server is another matter
		Certificates:       []tls.Certificate{l.TLS()},
	})}
	go p.listen()
	b.connect(p, l.Cert.Subject.CommonName, nil)
	return p
}

// TestLostConnections are no errors of the protocol: who just leaves, or is not
// heard of any more.
func TestLostConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		b := newBubble(t, func(c *hooks.Config) { c.Log = zerolog.New(&out) })
		defer b.stop()
		_ = b.admitted(b.leaf("leaves"), 5, "leaves", nil).conn.Close()
		_ = b.dialTLS(b.leaf("leaves-tls")).conn.Close()
		for d := range b.dialTLS(b.leaf("silent")).in { // until its keep-alive is over
			t.Errorf("it was sent %+v", d)
		}
		synctest.Wait()
		if strings.Contains(out.String(), "protocol_error") {
			t.Errorf("the log tells of it:\n%s", &out)
		}
	})
}

// ping keeps a connection alive until it ends.
func (p *peer) ping() {
	for err := error(nil); err == nil; time.Sleep(time.Minute) {
		_, err = p.conn.Write([]byte{packets.Pingreq << 4, 0})
	}
}

// sentAway waits for the DISCONNECT that ends a connection.
func (p *peer) sentAway(r muster.Reason) {
	p.t.Helper()
	d, ok := <-p.in
	for ok && d.FixedHeader.Type == packets.Pingresp {
		d, ok = <-p.in
	}
	if !ok || d.FixedHeader.Type != packets.Disconnect || !strings.HasPrefix(d.Properties.ReasonString, string(r)) {
		p.t.Errorf("ended with %+v, want a DISCONNECT for %s", d, r)
	}
}

// TestExpiryInOnesOwnServer: nobody else looks at the clock there.
func TestExpiryInOnesOwnServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		defer b.stop()
		l, err := b.ca.Issue(mint.Request{Subject: pkix.Name{CommonName: "sensor"}, NotAfter: time.Now().Add(10 * time.Minute)})
		must(t, err)
		p := b.dialTLS(l)
		go p.ping()
		p.sentAway(muster.ReasonOutsideValidity)
		if late := time.Since(l.Cert.NotAfter.Add(5 * time.Minute)); late < 0 || late > time.Minute {
			t.Errorf("%v after the tolerated difference of clocks", late)
		}
		time.Sleep(2 * time.Minute) // ping ends
	})
}

// TestClaimEnds: the tolerated difference of clocks does not lengthen a claim.
func TestClaimEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		defer b.stop()
		_, err := b.store.CreateTemplate(t.Context(), muster.Template{
			Account: account, Name: "fleet", Type: muster.TemplateFleet, Enabled: true, RoleARN: "arn:aws:iam::123456789012:role/fleet",
		}, provisioning)
		must(t, err)
		made, err := b.store.CreateClaim(t.Context(), account, "fleet")
		must(t, err)
		pair, err := tls.X509KeyPair([]byte(made.PEM), []byte(made.PrivateKey))
		must(t, err)
		p := b.dialTLS(&mint.Leaf{Cert: pair.Leaf, Key: pair.PrivateKey.(crypto.Signer)})
		go p.ping()
		p.sentAway(muster.ReasonOutsideValidity)
		if late := time.Since(made.Expires); late < 0 || late > time.Second {
			t.Errorf("%v after its end", late)
		}
		time.Sleep(2 * time.Minute) // ping ends
	})
}

func (b *bubble) revoke(l *mint.Leaf) {
	b.t.Helper()
	_, err := b.store.UpdateCertificateStatus(b.t.Context(), account, muster.Fingerprint(l.Cert.Raw), muster.Revoked)
	must(b.t, err)
}

// TestRejudge closes the connections that a change concerns, and no other is
// looked at closely.
func TestRejudge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		defer b.stop()
		first, second := b.leaf("first"), b.leaf("second")
		p, q := b.dialTLS(first), b.dialTLS(second)
		b.revoke(first)
		b.revoke(second)
		for _, c := range []muster.Change{
			{Kind: muster.KindCertificate, Account: account, ID: muster.Fingerprint(b.ca.Cert.Raw)},
			{Kind: muster.KindPolicy, Account: account, ID: "another"},
			{Kind: muster.KindPolicy, Account: "210987654321", ID: "sensor"},
		} {
			b.hook.Rejudge(t.Context(), c)
		}
		synctest.Wait()
		if len(p.in)+len(q.in) > 0 {
			t.Error("a change that concerns nobody closed a connection")
		}
		b.hook.Rejudge(t.Context(), muster.Change{Kind: muster.KindCertificate, Account: account, ID: muster.Fingerprint(first.Cert.Raw)})
		p.sentAway(muster.ReasonRevoked)
		synctest.Wait()
		if len(q.in) > 0 {
			t.Error("the change of a certificate closed the connection of another")
		}
		b.hook.Rejudge(t.Context(), muster.Change{Kind: muster.KindPolicy, Account: account, ID: "sensor"})
		q.sentAway(muster.ReasonRevoked)
	})
}

// TestRejudgeAll is for whoever missed changes.
func TestRejudgeAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		defer b.stop()
		l := b.leaf("sensor")
		p := b.dialTLS(l)
		b.revoke(l)
		b.hook.RejudgeAll(t.Context())
		p.sentAway(muster.ReasonRevoked)
	})
}

// meddler changes the registry when the policies of a client are read.
type meddler struct {
	hooks.Principals
	once   sync.Once
	meddle func()
}

func (m *meddler) Principal(ctx context.Context, account, certificateID, clientID string) (muster.Principal, error) {
	p, err := m.Principals.Principal(ctx, account, certificateID, clientID)
	m.once.Do(m.meddle)
	return p, err
}

// TestChangedWhileItConnects: who follows the registry does not see a client yet
// that is just being let in.
func TestChangedWhileItConnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meddler{}
		b := newBubble(t, func(c *hooks.Config) { m.Principals, c.Principals = c.Principals, m })
		defer b.stop()
		l := b.leaf("sensor")
		m.meddle = func() { b.revoke(l) }
		b.dialTLS(l).sentAway(muster.ReasonRevoked)
	})
}

// TestOCSPSettingsChangedWhileItConnects: nobody is told yet that they concern
// the connection, which would stay unasked until its turn comes.
func TestOCSPSettingsChangedWhileItConnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meddler{}
		b := newBubble(t, func(c *hooks.Config) { m.Principals, c.Principals = c.Principals, m })
		defer b.stop()
		m.meddle = func() {
			mode := muster.OCSPSoft
			_, err := b.store.SetOCSP(t.Context(), account, muster.Fingerprint(b.ca.Cert.Raw), registry.OCSPUpdate{Mode: &mode})
			must(t, err)
		}
		must(t, b.server.Subscribe("will", 1, func(*mqtt.Client, packets.Subscription, packets.Packet) {
			t.Error("the will of a client that was refused went out")
		}))
		p := b.dial(b.leaf("sensor"), 5)
		c := connectPacket("sensor")
		willing(0, 0)(&c)
		p.write(c)
		if ack := <-p.in; ack.FixedHeader.Type != packets.Connack || ack.ReasonCode != 0x88 ||
			!strings.HasPrefix(ack.Properties.ReasonString, string(muster.ReasonRevocationUnknown)) {
			t.Errorf("answered %+v", ack)
		}
		synctest.Wait()
	})
}

func connectPacket(clientID string) packets.Packet {
	return packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Connect},
		Connect:     packets.ConnectParams{ProtocolName: []byte("MQTT"), Clean: true, ClientIdentifier: clientID},
	}
}
