package broker_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster/internal/mint"
)

// raw is a client that sends what it is told and reads packet by packet, of
// MQTT 3.1.1 (version 4) or 5.
type raw struct {
	t       testing.TB
	conn    net.Conn
	in      *bufio.Reader
	version byte
	id      uint16 // of the last packet that needed one
}

func (f *fixture) raw(l *mint.Leaf, version byte) *raw {
	f.t.Helper()
	conn, err := f.dial(l)
	must(f.t, err)
	f.t.Cleanup(func() { _ = conn.Close() })
	return newRaw(f.t, conn, version)
}

func newRaw(t testing.TB, conn net.Conn, version byte) *raw {
	return &raw{t: t, conn: conn, in: bufio.NewReader(conn), version: version}
}

func connectPacket(version byte, clientID string) packets.Packet {
	return packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Connect}, ProtocolVersion: version,
		Connect: packets.ConnectParams{
			ProtocolName: []byte("MQTT"), Clean: true, Keepalive: 60, ClientIdentifier: clientID,
		},
	}
}

// connect sends CONNECT and returns the CONNACK, or fails with what came
// instead.
func (r *raw) connect(clientID string, edit func(*packets.Packet)) (packets.Packet, error) {
	p := connectPacket(r.version, clientID)
	if edit != nil {
		edit(&p)
	}
	if err := r.write(p); err != nil {
		return packets.Packet{}, err
	}
	ack, err := r.read()
	if err == nil && ack.FixedHeader.Type != packets.Connack {
		err = fmt.Errorf("packet %d instead of CONNACK", ack.FixedHeader.Type)
	}
	return ack, err
}

// admitted is connect for who is sure of it.
func (r *raw) admitted(clientID string, edit func(*packets.Packet)) packets.Packet {
	r.t.Helper()
	ack, err := r.connect(clientID, edit)
	if err != nil || ack.ReasonCode != 0 {
		r.t.Fatalf("client %s: CONNACK 0x%02X, %v", clientID, ack.ReasonCode, err)
	}
	return ack
}

func (r *raw) write(p packets.Packet) error {
	p.ProtocolVersion = r.version
	var b bytes.Buffer
	var err error
	switch p.FixedHeader.Type {
	case packets.Connect:
		err = p.ConnectEncode(&b)
	case packets.Publish:
		err = p.PublishEncode(&b)
	case packets.Subscribe:
		err = p.SubscribeEncode(&b)
	case packets.Pingreq:
		err = p.PingreqEncode(&b)
	default:
		err = fmt.Errorf("packet type %d is not written here", p.FixedHeader.Type)
	}
	if err == nil {
		_, err = r.conn.Write(b.Bytes())
	}
	return err
}

func (r *raw) bytes(b ...byte) {
	r.t.Helper()
	_, err := r.conn.Write(b)
	must(r.t, err)
}

// read returns the next packet.
func (r *raw) read() (p packets.Packet, err error) {
	if err := r.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return p, err
	}
	first, err := r.in.ReadByte()
	if err != nil {
		return p, err
	}
	if err := p.FixedHeader.Decode(first); err != nil {
		return p, err
	}
	if p.FixedHeader.Remaining, _, err = packets.DecodeLength(r.in); err != nil {
		return p, err
	}
	body := make([]byte, p.FixedHeader.Remaining)
	if _, err := io.ReadFull(r.in, body); err != nil {
		return p, err
	}
	p.ProtocolVersion = r.version
	switch p.FixedHeader.Type {
	case packets.Connack:
		return p, p.ConnackDecode(body)
	case packets.Publish:
		return p, p.PublishDecode(body)
	case packets.Puback:
		return p, p.PubackDecode(body)
	case packets.Pubrec:
		return p, p.PubrecDecode(body)
	case packets.Pubrel:
		return p, p.PubrelDecode(body)
	case packets.Pubcomp:
		return p, p.PubcompDecode(body)
	case packets.Suback:
		return p, p.SubackDecode(body)
	case packets.Unsuback:
		return p, p.UnsubackDecode(body)
	case packets.Disconnect:
		return p, p.DisconnectDecode(body)
	case packets.Pingresp:
		return p, nil
	}
	return p, fmt.Errorf("packet type %d is not read here", p.FixedHeader.Type)
}

// replies sends a packet and tells in short what comes back.
func (r *raw) replies(p packets.Packet) string {
	r.t.Helper()
	must(r.t, r.write(p))
	return r.answers()
}

// answers tells in short what comes until the answer to a PINGREQ, or until the
// end of the connection.
func (r *raw) answers() string {
	r.t.Helper()
	_ = r.write(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingreq}}) // may find it closed
	var seen []string
	for {
		in, err := r.read()
		switch {
		case isTimeout(err):
			r.t.Fatalf("no answer; so far %q", seen)
		case err != nil:
			return strings.Join(append(seen, "closed"), " ")
		}
		name := packets.PacketNames[in.FixedHeader.Type]
		switch in.FixedHeader.Type {
		case packets.Pingresp:
			return strings.Join(seen, " ")
		case packets.Suback, packets.Unsuback:
			name = strings.TrimSpace(fmt.Sprintf("%s %X", name, in.ReasonCodes)) // UNSUBACK of 3.1.1 has none
		default:
			name += fmt.Sprintf(" %02X", in.ReasonCode)
		}
		seen = append(seen, name)
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

// alive reports whether the connection answers.
func (r *raw) alive() bool {
	return r.write(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingreq}}) == nil && r.pong()
}

func (r *raw) pong() bool {
	p, err := r.read()
	return err == nil && p.FixedHeader.Type == packets.Pingresp
}

// end reads until the connection ends and returns the last packet before it.
func (r *raw) end() packets.Packet {
	r.t.Helper()
	last, err := r.drain()
	if isTimeout(err) {
		r.t.Fatal("the connection is still open")
	}
	return last
}

// drain reads until an error, and returns the last packet before it.
func (r *raw) drain() (last packets.Packet, err error) {
	for {
		p, err := r.read()
		if err != nil {
			return last, err
		}
		last = p
	}
}

// next is the number of the next packet that needs one.
func (r *raw) next() uint16 {
	r.id++
	return r.id
}

func (r *raw) publishPacket(topic string, qos byte) packets.Packet {
	p := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos}, TopicName: topic, Payload: []byte("x"),
	}
	if qos > 0 {
		p.PacketID = r.next()
	}
	return p
}

func (r *raw) subscribePacket(filters ...string) packets.Packet {
	p := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, PacketID: r.next()}
	for _, f := range filters {
		p.Filters = append(p.Filters, packets.Subscription{Filter: f, Qos: 1})
	}
	return p
}
