package broker_test

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/gorilla/websocket"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/broker"
	"github.com/muster-mqtt/muster/hooks"
	"github.com/muster-mqtt/muster/internal/mint"
)

// newWebFixture is a broker whose listener is one of WebSocket, and a device
// that may do everything.
func newWebFixture(t testing.TB, o options) (*fixture, *mint.Leaf) {
	t.Helper()
	o.listener = func(l net.Listener) net.Listener { return broker.WebSocket{Listener: l} }
	f := newFixture(t, o)
	f.policy("all", allowAll)
	return f, f.registered("sensor", "all")
}

// open opens a WebSocket as the library does for clients, which then writes
// frames of so many bytes; 0 for its default.
func (f *fixture) open(l *mint.Leaf, frame int) *stream {
	f.t.Helper()
	d := websocket.Dialer{
		Subprotocols: []string{"mqtt"}, HandshakeTimeout: patience, WriteBufferSize: frame,
		TLSClientConfig: &tls.Config{RootCAs: f.roots, ServerName: "localhost", Certificates: []tls.Certificate{l.TLS()}},
	}
	ws, _, err := d.Dial("wss://"+f.address+"/mqtt", nil)
	must(f.t, err)
	f.t.Cleanup(func() { _ = ws.Close() })
	if ws.Subprotocol() != "mqtt" { // [MQTT-6.0.0-4]
		f.t.Errorf("the server chose the subprotocol %q", ws.Subprotocol())
	}
	return &stream{Conn: ws}
}

// stream is a WebSocket as a stream of bytes.
type stream struct {
	*websocket.Conn
	message int // bytes of one message; 0: one for each write
	in      io.Reader
}

func (s *stream) Read(p []byte) (int, error) {
	for {
		if s.in == nil {
			kind, r, err := s.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, errors.New("the server sent text")
			}
			s.in = r
		}
		if n, err := s.in.Read(p); err != io.EOF {
			return n, err
		}
		s.in = nil
	}
}

func (s *stream) Write(p []byte) (int, error) {
	for part := range slices.Chunk(p, max(s.message, cmp.Or(s.message, len(p)), 1)) {
		if err := s.WriteMessage(websocket.BinaryMessage, part); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (s *stream) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// closing reads to the end and returns the code of the server's close frame; 0
// if there was none.
func (s *stream) closing(t *testing.T) int {
	t.Helper()
	must(t, s.SetReadDeadline(time.Now().Add(patience)))
	_, err := io.Copy(io.Discard, s)
	if isTimeout(err) {
		t.Fatal("the connection is still open")
	}
	var c *websocket.CloseError
	if !errors.As(err, &c) || c.Code == websocket.CloseAbnormalClosure {
		return 0
	}
	return c.Code
}

// TestWebSocketFrames: where packets begin and end has nothing to do with frames
// and messages [MQTT-6.0.0-2].
func TestWebSocketFrames(t *testing.T) {
	f, l := newWebFixture(t, options{})
	for name, tc := range map[string]struct{ frame, message int }{
		"a message a packet":          {0, 0},
		"frames of one byte":          {1, 0},
		"messages of one byte":        {0, 1},
		"frames of 3, messages of 10": {3, 10},
	} {
		t.Run(name, func(t *testing.T) {
			s := f.open(l, tc.frame)
			s.message = tc.message
			c, err := connectOver(s, "sensor", nil)
			must(t, err)
			c.subscribe(t, "in/#")
			for qos := range byte(3) {
				want := bytes.Repeat([]byte{'0' + qos}, 3000)
				_, err := c.publish(t, &paho.Publish{Topic: "in/x", QoS: qos, Payload: want})
				must(t, err)
				if got := c.next(t); !bytes.Equal(got.Payload, want) {
					t.Errorf("QoS %d: %d bytes came back", qos, len(got.Payload))
				}
			}
			must(t, c.Disconnect(&paho.Disconnect{}))
			f.seen.wait(t, "open", func(n int) bool { return n == 0 })
		})
	}
}

// TestWebSocketBatch: several packets in one message, an empty message and
// pings between them.
func TestWebSocketBatch(t *testing.T) {
	f, l := newWebFixture(t, options{})
	s := f.open(l, 0)
	pongs := make(chan string, 1)
	s.SetPongHandler(func(text string) error { pongs <- text; return nil })
	var b bytes.Buffer
	connect := connectPacket(4, "sensor")
	must(t, connect.ConnectEncode(&b))
	b.Write(bytes.Repeat([]byte{0xC0, 0}, 3)) // PINGREQ
	must(t, s.WriteMessage(websocket.BinaryMessage, nil))
	must(t, s.WriteControl(websocket.PingMessage, []byte("there?"), time.Now().Add(patience)))
	_, err := s.Write(b.Bytes())
	must(t, err)
	want := []byte{0x20, 2, 0, 0, 0xD0, 0, 0xD0, 0, 0xD0, 0}
	got := make([]byte, len(want))
	must(t, s.SetReadDeadline(time.Now().Add(patience)))
	if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the answer is %x, %v, want %x", got, err, want)
	}
	if text := <-pongs; text != "there?" {
		t.Errorf("pong %q", text)
	}
}

// TestWebSocketEnds has each end of a connection told by a close frame, and
// remembered where it came instead of CONNECT.
func TestWebSocketEnds(t *testing.T) {
	f, l := newWebFixture(t, options{broker: func(c *broker.Config) { c.MaxPacketSize = 4 << 10 }})
	const limit = 4<<10 + 64<<10
	for name, tc := range map[string]struct {
		does   func(*stream) error
		code   int
		detail string // "": nobody is told
	}{
		"text": {func(s *stream) error { return s.WriteMessage(websocket.TextMessage, []byte("hello")) },
			websocket.CloseUnsupportedData, "text message"},
		"too long a message": {func(s *stream) error {
			p := connectPacket(4, "sensor")
			var b bytes.Buffer
			must(t, p.ConnectEncode(&b))
			_, err := s.Write(append(b.Bytes(), bytes.Repeat([]byte{0xC0, 0}, limit/2)...))
			return err
		}, websocket.CloseMessageTooBig, ""},
		"a frame that claims more": {func(s *stream) error {
			_, err := s.NetConn().Write([]byte{0x82, 0xFF, 0, 0, 0, 0, 0, 1, 1 << 4, 1, 0, 0, 0, 0})
			return err
		}, websocket.CloseMessageTooBig, "read limit"},
		"no mask": {func(s *stream) error { _, err := s.NetConn().Write([]byte{0x82, 0x02, 0x10, 0x00}); return err },
			websocket.CloseProtocolError, "MASK"},
		"compressed": {func(s *stream) error { _, err := s.NetConn().Write([]byte{0xC2, 0x80, 1, 2, 3, 4}); return err },
			websocket.CloseProtocolError, "RSV1"},
		"goodbye": {func(s *stream) error {
			return s.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, ""), time.Now().Add(patience))
		}, websocket.CloseGoingAway, ""},
		"a DISCONNECT": {func(s *stream) error {
			p := connectPacket(4, "sensor")
			var b bytes.Buffer
			must(t, p.ConnectEncode(&b))
			_, err := s.Write(append(b.Bytes(), 0xE0, 0))
			return err
		}, websocket.CloseNormalClosure, ""},
	} {
		t.Run(name, func(t *testing.T) {
			counted := f.seen.count("refused connect_invalid")
			s := f.open(l, 0)
			must(t, tc.does(s))
			if got := s.closing(t); got != tc.code {
				t.Errorf("closed with %d, want %d", got, tc.code)
			}
			f.seen.wait(t, "open", func(n int) bool { return n == 0 })
			if tc.detail == "" {
				if f.seen.count("refused connect_invalid") != counted {
					t.Error("that was counted as a refusal")
				}
				return
			}
			f.seen.wait(t, "refused connect_invalid", func(n int) bool { return n == counted+1 })
			f.recalls(t, l, muster.ReasonConnectInvalid, tc.detail)
		})
	}
}

// TestWebSocketRevocation: a revoked device is told by MQTT, and then by a close
// frame.
func TestWebSocketRevocation(t *testing.T) {
	f, l := newWebFixture(t, options{})
	s := f.open(l, 0)
	r := newRaw(t, s, 5)
	r.admitted("sensor", nil)
	_, err := f.store.UpdateCertificateStatus(t.Context(), account, id(l), muster.Revoked)
	must(t, err)
	p, err := r.read()
	if err != nil || p.FixedHeader.Type != packets.Disconnect || p.ReasonCode != packets.ErrNotAuthorized.Code && p.ReasonCode != 0x98 {
		t.Errorf("packet %d 0x%02X, %v instead of a DISCONNECT", p.FixedHeader.Type, p.ReasonCode, err)
	}
	if code := s.closing(t); code != websocket.CloseNormalClosure {
		t.Errorf("closed with %d", code)
	}
}

// TestWebSocketSilence: the request, the answer and CONNECT have one deadline
// together, which nothing that is no packet moves.
func TestWebSocketSilence(t *testing.T) {
	const short = 500 * time.Millisecond
	f, l := newWebFixture(t, options{broker: func(c *broker.Config) { c.ConnectTimeout = short }})
	for name, does := range map[string]func(){
		"no request":     func() { f.says(l, "") },
		"half a request": func() { f.says(l, "GET /mqtt HTTP/1.1\r\n") },
		"no CONNECT":     func() { f.open(l, 0) },
		"pings": func() {
			s := f.open(l, 0)
			go repeat(func() error { return s.WriteControl(websocket.PingMessage, nil, time.Now().Add(patience)) })
		},
		"empty messages": func() {
			s := f.open(l, 0)
			go repeat(func() error { return s.WriteMessage(websocket.BinaryMessage, nil) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			counted := f.seen.count("refused handshake_timeout")
			does()
			f.seen.wait(t, "refused handshake_timeout", func(n int) bool { return n == counted+1 })
			f.recalls(t, l, muster.ReasonHandshakeTimeout, "no CONNECT came within 500ms after TLS")
			f.seen.wait(t, "open", func(n int) bool { return n == 0 })
		})
	}
}

// says sends text inside TLS, and leaves the connection open until the test ends.
func (f *fixture) says(l *mint.Leaf, text string) {
	f.t.Helper()
	c, err := f.dial(l)
	must(f.t, err)
	f.t.Cleanup(func() { _ = c.Close() })
	_, err = io.WriteString(c, text)
	must(f.t, err)
}

// repeat does it until it fails.
func repeat(do func() error) {
	for do() == nil {
	}
}

// TestWebSocketKeepAlive: pings of WebSocket are no packets [MQTT-3.1.2-22].
func TestWebSocketKeepAlive(t *testing.T) {
	f, l := newWebFixture(t, options{})
	s := f.open(l, 0)
	newRaw(t, s, 4).admitted("sensor", func(p *packets.Packet) { p.Connect.Keepalive = 1 })
	go repeat(func() error { return s.WriteControl(websocket.PingMessage, nil, time.Now().Add(patience)) })
	s.closing(t)
	f.seen.wait(t, "open", func(n int) bool { return n == 0 })
}

// TestWebSocketSlowReader: who does not read is cut off, and so is who does not
// take its close frame.
func TestWebSocketSlowReader(t *testing.T) {
	f, l := newWebFixture(t, options{hook: func(c *hooks.Config) { c.WriteTimeout = 200 * time.Millisecond }})
	r := newRaw(t, f.open(l, 0), 4)
	r.admitted("sensor", nil)
	r.replies(r.subscribePacket("in/#"))
	publisher, err := connectOver(f.open(f.registered("publisher", "all"), 0), "publisher", nil)
	must(t, err)
	deadline := time.Now().Add(patience)
	for f.seen.count("open") == 2 {
		if time.Now().After(deadline) {
			t.Fatal("the connection is still open")
		}
		_, err := publisher.publish(t, &paho.Publish{Topic: "in/x", Payload: make([]byte, 200<<10)})
		must(t, err)
		_, err = publisher.publish(t, &paho.Publish{Topic: "other", QoS: 1}) // what was sent is read by now
		must(t, err)
	}
}

// TestWebSocketALPN: each kind of listener refuses what is spoken at the other,
// and says where that belongs.
func TestWebSocketALPN(t *testing.T) {
	f, l := newWebFixture(t, options{})
	for _, protocol := range []string{"mqtt", "x-amzn-mqtt-ca", "h2"} {
		counted := f.seen.count("handshake handshake_failed")
		c := &tls.Config{RootCAs: f.roots, ServerName: "localhost", Certificates: []tls.Certificate{l.TLS()}, NextProtos: []string{protocol}}
		if _, err := tls.Dial("tcp", f.address, c); err == nil {
			t.Errorf("%s is taken", protocol)
		}
		f.seen.wait(t, "handshake handshake_failed", func(n int) bool { return n == counted+1 })
		f.remembered(t, muster.ReasonHandshakeFailed, admission.CauseWebProtocol,
			fmt.Sprintf(`[%q] (ALPN); this server speaks ["http/1.1"]`, protocol))
	}
	c := &tls.Config{RootCAs: f.roots, ServerName: "localhost", Certificates: []tls.Certificate{l.TLS()}, NextProtos: []string{"h2", "http/1.1"}}
	conn, err := tls.Dial("tcp", f.address, c)
	must(t, err)
	if got := conn.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("the protocol is %q", got)
	}
	_ = conn.Close()
}

// recalls demands that the latest refusal of a certificate is this.
func (f *fixture) recalls(t *testing.T, l *mint.Leaf, reason muster.Reason, says string) {
	t.Helper()
	r := f.memory.Recall(id(l))
	if len(r) == 0 || r[0].Reason != reason || !bytes.Contains([]byte(r[0].Detail), []byte(says)) {
		t.Errorf("remembered %+v, want %s: … %s …", r, reason, says)
	}
}

// TestWebSocketGoodbyeOfOneByte: the code of such a DISCONNECT is found inside the
// frames as well.
func TestWebSocketGoodbyeOfOneByte(t *testing.T) {
	f, l := newWebFixture(t, options{})
	watcher := newRaw(t, f.open(f.registered("watcher", "all"), 0), 5)
	watcher.admitted("watcher", nil)
	must(t, watcher.write(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, PacketID: 1,
		Filters: packets.Subscriptions{{Filter: "out/1"}}}))
	if ack, err := watcher.read(); err != nil || ack.FixedHeader.Type != packets.Suback {
		t.Fatalf("%+v, %v", ack, err)
	}
	s := f.open(l, 0)
	newRaw(t, s, 5).admitted("sensor", withWill("out/1"))
	_, err := s.Write([]byte{packets.Disconnect << 4, 1, packets.CodeDisconnect.Code})
	must(t, err)
	f.seen.wait(t, "open", func(n int) bool { return n == 1 })
	if got := watcher.answers(); got != "" {
		t.Errorf("%s came: the will of one who took leave", got)
	}
}
