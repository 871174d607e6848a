package hooks_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/hooks"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
)

// wire is an inspected transport over a pipe.
type wire struct {
	net.Conn
	candidate *admission.Candidate
	session   admission.Session
	last      byte
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.last = p[n-1]
	}
	return n, err
}

func (w *wire) LastByte() byte { return w.last }

func (w *wire) Candidate() *admission.Candidate { return w.candidate }
func (w *wire) Attach(s admission.Session)      { w.session = s }
func (w *wire) Watch([]muster.ResourceKey)      {}

// bubble is a server whose time is that of a test alone.
type bubble struct {
	t      *testing.T
	store  *registry.Store
	gate   *admission.Gate
	server *mqtt.Server
	hook   *hooks.Hook
	ca     *mint.Authority
	closed bool
}

func newBubble(t *testing.T, edit func(*hooks.Config)) *bubble {
	sealer, err := registry.NewSealer(make([]byte, 32))
	must(t, err)
	store, err := registry.New(registry.Config{Engine: memory.New(), Sealer: sealer})
	must(t, err)
	must(t, store.CreateAccount(t.Context(), muster.Account{ID: account, Endpoint: "localhost"}))
	o := &own{t: t, store: store}
	_, err = store.CreatePolicy(t.Context(), account, "sensor", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}}`, nil)
	must(t, err)
	b := &bubble{t: t, store: store, ca: o.authority(provisioning)}
	b.gate, err = admission.New(admission.Config{Registry: store})
	must(t, err)
	b.server = mqtt.New(&mqtt.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler), SysTopicResendInterval: 1 << 20})
	c := hooks.Config{Server: b.server, Gate: b.gate, Principals: store, Policies: hooks.NewPolicies()}
	if edit != nil {
		edit(&c)
	}
	b.hook, err = hooks.New(c)
	must(t, err)
	must(t, b.server.AddHook(b.hook, nil))
	must(t, b.server.Serve())
	return b
}

func (b *bubble) leaf(name string) *mint.Leaf {
	b.t.Helper()
	l, err := b.ca.Issue(mint.Request{Subject: pkix.Name{CommonName: name}})
	must(b.t, err)
	return l
}

// peer is a client at the other end of a pipe. What it is sent comes through in.
type peer struct {
	t       *testing.T
	conn    net.Conn
	version byte
	in      chan packets.Packet // closed at the end of the connection
	wire    *wire
}

// dial connects as the package broker does, and runs the server's side.
func (b *bubble) dial(l *mint.Leaf, version byte) *peer {
	ours, theirs := net.Pipe()
	w := &wire{Conn: theirs, candidate: b.gate.Inspect(context.Background(),
		tls.ConnectionState{PeerCertificates: []*x509.Certificate{l.Cert}}, "pipe")}
	go func() {
		defer func() {
			panicked := recover() != nil
			if w.session != nil {
				w.session.End(panicked)
			}
		}()
		_ = b.server.EstablishConnection("bubble", w)
	}()
	p := &peer{t: b.t, conn: ours, version: version, in: make(chan packets.Packet, 100), wire: w}
	go p.listen()
	return p
}

func (b *bubble) admitted(l *mint.Leaf, version byte, clientID string, edit func(*packets.Packet)) *peer {
	b.t.Helper()
	p := b.dial(l, version)
	b.connect(p, clientID, edit)
	return p
}

// connect sends CONNECT and waits to be let in.
func (b *bubble) connect(p *peer, clientID string, edit func(*packets.Packet)) {
	b.t.Helper()
	c := connectPacket(clientID)
	if edit != nil {
		edit(&c)
	}
	p.write(c)
	if ack, ok := <-p.in; !ok || ack.FixedHeader.Type != packets.Connack || ack.ReasonCode != 0 {
		b.t.Fatalf("client %s: %+v, %v", clientID, ack, ok)
	}
	synctest.Wait() // until the session is established
}

func (p *peer) listen() {
	defer close(p.in)
	in := bufio.NewReader(p.conn)
	for {
		first, err := in.ReadByte()
		if err != nil {
			return
		}
		pk := packets.Packet{ProtocolVersion: p.version}
		if pk.FixedHeader.Decode(first) != nil {
			return
		}
		n, _, err := packets.DecodeLength(in)
		body := make([]byte, n)
		if err == nil {
			_, err = io.ReadFull(in, body)
		}
		pk.FixedHeader.Remaining = n
		switch pk.FixedHeader.Type {
		case packets.Connack:
			err = pk.ConnackDecode(body)
		case packets.Publish:
			err = pk.PublishDecode(body)
		case packets.Disconnect:
			err = pk.DisconnectDecode(body)
		}
		if err != nil {
			return
		}
		p.in <- pk
	}
}

func (p *peer) write(pk packets.Packet) {
	p.t.Helper()
	pk.ProtocolVersion, pk.Mods.AllowResponseInfo = p.version, true
	var b bytes.Buffer
	encode := map[byte]func(*bytes.Buffer) error{
		packets.Connect: pk.ConnectEncode, packets.Disconnect: pk.DisconnectEncode,
		packets.Subscribe: pk.SubscribeEncode, packets.Publish: pk.PublishEncode,
	}
	must(p.t, encode[pk.FixedHeader.Type](&b))
	_, _ = p.conn.Write(b.Bytes()) // may find it closed
}

func (p *peer) subscribe(filter string) {
	p.t.Helper()
	p.write(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, PacketID: 1,
		Filters: packets.Subscriptions{{Filter: filter, Qos: 1, RetainAsPublished: true}},
	})
	if ack := <-p.in; ack.FixedHeader.Type != packets.Suback {
		p.t.Fatalf("%+v instead of SUBACK", ack)
	}
}

// leave sends DISCONNECT.
func (p *peer) leave(code byte, sessionExpiry int) {
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}, ReasonCode: code}
	if sessionExpiry >= 0 {
		pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = uint32(sessionExpiry), true
	}
	p.write(pk)
}

// willing is a CONNECT with a will; what is 0 is not sent.
func willing(delay, expiry uint32) func(*packets.Packet) {
	return func(p *packets.Packet) {
		p.Connect.WillFlag, p.Connect.WillTopic, p.Connect.WillPayload = true, "will", []byte("gone")
		p.Connect.WillProperties.WillDelayInterval = delay
		kept(expiry)(p)
	}
}

func kept(expiry uint32) func(*packets.Packet) {
	return func(p *packets.Packet) {
		p.Properties.SessionExpiryInterval, p.Properties.SessionExpiryIntervalFlag = expiry, expiry > 0
	}
}

// resuming goes on with a session.
func resuming(p *packets.Packet) {
	kept(60)(p)
	p.Connect.Clean = false
}

const never = -1

// TestWhenAWillGoesOut: MQTT 5 §3.1.2.5, §3.1.3.2.2, §3.14.4, and 3.1.1 §3.1.2.5.
func TestWhenAWillGoesOut(t *testing.T) {
	closes := func(_ *bubble, p *peer, _ *mint.Leaf) { _ = p.conn.Close() }
	leaves := func(code byte, expiry int) func(*bubble, *peer, *mint.Leaf) {
		return func(_ *bubble, p *peer, _ *mint.Leaf) { p.leave(code, expiry) }
	}
	says := func(code byte) func(*bubble, *peer, *mint.Leaf) { // without a length of properties
		return func(_ *bubble, p *peer, _ *mint.Leaf) { _, _ = p.conn.Write([]byte{packets.Disconnect << 4, 1, code}) }
	}
	panics := func(_ *bubble, p *peer, _ *mint.Leaf) { // mochi, over a filter without options
		_, _ = p.conn.Write([]byte{packets.Subscribe<<4 | 2, 6, 0, 1, 0, 0, 1, 'a'})
	}
	kicked := func(_ *bubble, p *peer, _ *mint.Leaf) { p.wire.session.Kick(muster.ReasonRevoked, "") }
	follows := func(edit func(*packets.Packet)) func(*bubble, *peer, *mint.Leaf) {
		return func(b *bubble, _ *peer, l *mint.Leaf) { b.admitted(l, 5, "sensor", edit) }
	}
	then := func(first func(*bubble, *peer, *mint.Leaf), after time.Duration, second func(*bubble, *peer, *mint.Leaf)) func(*bubble, *peer, *mint.Leaf) {
		return func(b *bubble, p *peer, l *mint.Leaf) {
			first(b, p, l)
			time.Sleep(after * time.Second)
			second(b, p, l)
		}
	}
	detached := func(b *bubble, _ *peer, l *mint.Leaf) {
		must(b.t, b.store.DetachPolicy(b.t.Context(), account, "sensor", muster.KindCertificate, muster.Fingerprint(l.Cert.Raw)))
	}
	deleted := func(b *bubble, _ *peer, l *mint.Leaf) {
		id := muster.Fingerprint(l.Cert.Raw)
		_, err := b.store.UpdateCertificateStatus(b.t.Context(), account, id, muster.Inactive)
		must(b.t, err)
		must(b.t, b.store.DeleteCertificate(b.t.Context(), account, id, true))
	}
	stopped := func(b *bubble, p *peer, _ *mint.Leaf) {
		p.wire.session.Kick(muster.ReasonShutdown, "")
		synctest.Wait()
		b.stop()
	}
	denied := func(_ *bubble, p *peer, _ *mint.Leaf) {
		p.write(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 2}, PacketID: 1, TopicName: "$aws/x"})
	}
	for name, tc := range map[string]struct {
		version       byte
		delay, expiry uint32 // seconds
		end           func(*bubble, *peer, *mint.Leaf)
		want          int // seconds after it began to end
	}{
		"3.1.1, closed":                            {4, 0, 0, closes, 0},
		"3.1.1, goodbye":                           {4, 0, 0, leaves(0, -1), never},
		"3.1.1, kicked":                            {4, 0, 0, kicked, 0},
		"3.1.1, taken over":                        {4, 0, 0, follows(nil), 0},
		"3.1.1, closed for a publish":              {4, 0, 0, denied, 0},
		"closed":                                   {5, 0, 0, closes, 0},
		"closed, the session stays":                {5, 0, 60, closes, 0},
		"closed, delayed beyond a session of none": {5, 10, 0, closes, 0},
		"closed, delayed beyond the session":       {5, 10, 5, closes, 5},
		"closed, delayed":                          {5, 10, 60, closes, 10},
		"goodbye":                                  {5, 0, 0, leaves(0, -1), never},
		"goodbye, delayed":                         {5, 10, 60, leaves(0, -1), never},
		"goodbye with the will":                    {5, 0, 0, leaves(4, -1), 0},
		"goodbye with the will, delayed":           {5, 10, 60, leaves(4, -1), 10},
		"goodbye with the will, ends the session":  {5, 10, 60, leaves(4, 0), 0},
		"goodbye with the will, shortens it":       {5, 10, 60, leaves(4, 7), 7},
		"goodbye in a byte":                        {5, 0, 0, says(0), never},
		"goodbye with the will, in a byte":         {5, 0, 0, says(4), 0},
		"goodbye for an error, in a byte":          {5, 0, 60, says(0x80), 0},
		"goodbye for an error":                     {5, 0, 60, leaves(0x80, -1), 0},
		"a packet that panics":                     {5, 0, 60, panics, 0},
		"a packet that panics, delayed":            {5, 10, 60, panics, 0},     // the session ends
		"goodbye that is wrong":                    {5, 0, 0, leaves(0, 5), 0}, // it brings a session to life
		"kicked":                                   {5, 0, 60, kicked, 0},
		"kicked, delayed":                          {5, 10, 60, kicked, 10},
		"taken over, resumed":                      {5, 0, 60, follows(resuming), 0},
		"taken over, resumed, delayed":             {5, 10, 60, follows(resuming), never},
		"taken over, clean, delayed":               {5, 10, 60, follows(nil), 0},
		"taken over, delayed, no session":          {5, 10, 0, follows(resuming), 0},
		"back in time":                             {5, 10, 60, then(closes, 5, follows(resuming)), never},
		"back in time after a kick":                {5, 10, 60, then(kicked, 5, follows(resuming)), never},
		"back too late":                            {5, 10, 60, then(closes, 11, follows(resuming)), 10},
		"back too late, clean":                     {5, 10, 60, then(closes, 11, follows(nil)), 10},
		"back in time, clean":                      {5, 10, 60, then(closes, 5, follows(nil)), 5},
		"denied before it goes out":                {5, 10, 60, then(closes, 5, detached), never},
		"denied and closed":                        {5, 0, 0, then(detached, 0, closes), never},
		"deleted before it goes out":               {5, 10, 60, then(closes, 5, deleted), 10},
		"the server stops":                         {5, 0, 60, stopped, 0},
		"the server stops while it waits":          {5, 10, 60, then(closes, 5, stopped), 5},
		"the server stops, delayed":                {5, 10, 60, stopped, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, nil)
				var told []int
				l := b.leaf("sensor")
				p := b.admitted(l, tc.version, "sensor", willing(tc.delay, tc.expiry))
				synctest.Wait()
				start := time.Now()
				must(t, b.server.Subscribe("will", 1, func(_ *mqtt.Client, _ packets.Subscription, pk packets.Packet) {
					told = append(told, int(time.Since(start)/time.Second))
				}))
				tc.end(b, p, l)
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				switch {
				case tc.want == never && len(told) > 0:
					t.Errorf("it went out after %v s", told)
				case tc.want != never && (len(told) != 1 || told[0] != tc.want):
					t.Errorf("it went out after %v s, want %d", told, tc.want)
				}
				b.stop()
			})
		})
	}
}

// stop ends the server, if it still runs, and all connections.
func (b *bubble) stop() {
	for _, cl := range b.server.Clients.GetAll() {
		cl.Stop(packets.ErrServerShuttingDown)
	}
	if !b.closed {
		must(b.t, b.server.Close())
	}
	b.closed = true
}

// TestWhatAWillSays: a subscriber gets it with all that the client gave it, and
// keeps it where it is retained.
func TestWhatAWillSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		defer b.stop()
		watcher := b.admitted(b.leaf("watcher"), 5, "watcher", nil)
		watcher.subscribe("will")
		p := b.admitted(b.leaf("sensor"), 5, "sensor", func(p *packets.Packet) {
			willing(3, 60)(p)
			p.Connect.WillRetain, p.Connect.WillQos = true, 1
			w := &p.Connect.WillProperties
			w.PayloadFormat, w.PayloadFormatFlag = 1, true
			w.MessageExpiryInterval, w.ContentType, w.ResponseTopic = 100, "text/plain", "answers"
			w.CorrelationData, w.User = []byte("42"), []packets.UserProperty{{Key: "k", Val: "v"}}
		})
		_ = p.conn.Close()
		check := func(who string, pk packets.Packet, expiry uint32) {
			t.Helper()
			w := pk.Properties
			if pk.FixedHeader.Type != packets.Publish || pk.TopicName != "will" || string(pk.Payload) != "gone" || !pk.FixedHeader.Retain ||
				w.PayloadFormat != 1 || !w.PayloadFormatFlag || w.MessageExpiryInterval != expiry || w.ContentType != "text/plain" ||
				w.ResponseTopic != "answers" || string(w.CorrelationData) != "42" || len(w.User) != 1 || w.User[0].Val != "v" {
				t.Errorf("%s got %+v", who, pk)
			}
		}
		check("the watcher", <-watcher.in, 100) // from when it is published
		time.Sleep(40 * time.Second)
		late := b.admitted(b.leaf("late"), 5, "late", nil)
		late.subscribe("will")
		check("who came later", <-late.in, 60)
		time.Sleep(61 * time.Second)
		last := b.admitted(b.leaf("last"), 5, "last", nil)
		last.subscribe("will")
		synctest.Wait()
		if len(last.in) != 0 {
			t.Error("it is still retained after its time")
		}
	})
}

// TestWhatNoBytesMean: a password of none is taken, and so is a will, which clears
// what is retained.
func TestWhatNoBytesMean(t *testing.T) {
	for _, version := range []byte{4, 5} {
		synctest.Test(t, func(t *testing.T) {
			b := newBubble(t, nil)
			defer b.stop()
			must(t, b.server.Publish("will", []byte("here"), true, 0))
			p := b.admitted(b.leaf("sensor"), version, "sensor", func(p *packets.Packet) {
				willing(0, 0)(p)
				p.Connect.WillPayload, p.Connect.WillRetain = nil, true
				p.Connect.UsernameFlag, p.Connect.Username, p.Connect.PasswordFlag = true, []byte("sensor"), true
			})
			_ = p.conn.Close()
			synctest.Wait()
			if left := b.server.Topics.Messages("will"); len(left) != 0 {
				t.Errorf("version %d: %q is still retained", version, left[0].Payload)
			}
		})
	}
}
