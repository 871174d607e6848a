package e2e_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
)

// keeper is a client that keeps its own half of a session, as the standard wants
// it to be kept, over connections and servers: what it sent and has no answer to,
// and which messages of QoS 2 it has. It knows no more of MQTT than that needs.
type keeper struct {
	name    string
	version byte // 4 or 5
	cert    *certificate

	mu       sync.Mutex
	answer   func() // called when a message is acknowledged to it, before anything else; nil for nothing
	conn     net.Conn
	present  bool                 // what the last CONNACK said of the session
	unsent   map[uint16]*outgoing // by packet identifier: not acknowledged
	lastID   uint16
	received map[uint16]bool // QoS 2, PUBREL is missing
	got      []incoming      // messages, each as often as an application gets it
	told     []string        // what was acknowledged to it: payloads
	answers  int
}

type outgoing struct {
	topic, payload string
	qos            byte
	retain         bool
	order          int
	released       bool // PUBREC came
}

type incoming struct {
	topic, payload string
	qos            byte
	retained       bool
}

func newKeeper(name string, version byte, c *certificate) *keeper {
	return &keeper{name: name, version: version, cert: c, unsent: map[uint16]*outgoing{}, received: map[uint16]bool{}}
}

// The packets of MQTT, by the first four bits.
const (
	mqttConnect = iota + 1
	mqttConnack
	mqttPublish
	mqttPuback
	mqttPubrec
	mqttPubrel
	mqttPubcomp
	mqttSubscribe
	mqttSuback
	_
	_
	_
	_
	mqttDisconnect
)

func packetOf(first byte, body []byte) []byte {
	b := []byte{first}
	for n := len(body); ; {
		digit := byte(n & 127)
		if n >>= 7; n > 0 {
			digit |= 128
		}
		if b = append(b, digit); n == 0 {
			return append(b, body...)
		}
	}
}

func stringOf(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// properties are none, in MQTT 5.
func (k *keeper) properties(b []byte) []byte {
	if k.version == 5 {
		b = append(b, 0)
	}
	return b
}

// connect resumes the session, or begins it, sends again what has no answer, and
// reads on a goroutine of its own until the connection ends.
func (k *keeper) connect(s *server, clean bool) (ended <-chan struct{}, err error) {
	pair, err := tls.LoadX509KeyPair(k.cert.cert, k.cert.key)
	if err != nil {
		return nil, err
	}
	roots, err := s.roots("MUSTER_CA")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), deviceTimeout)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{pair}}}
	conn, err := dialer.DialContext(ctx, "tcp", s.vars["MUSTER_MQTT"])
	if err != nil {
		return nil, err
	}
	flags := byte(0)
	if clean {
		flags = 2
	}
	body := append(stringOf(nil, "MQTT"), k.version, flags, 0, 60)
	if k.version == 5 {
		body = append(body, 5, 0x11, 0, 0, 0x0E, 0x10) // the session lasts an hour
	}
	if _, err = conn.Write(packetOf(mqttConnect<<4, stringOf(body, k.name))); err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	first, ack, err := readFrame(in)
	if err != nil || first>>4 != mqttConnack || ack[1] != 0 {
		_ = conn.Close()
		return nil, errors.Join(err, fmt.Errorf("%s: CONNACK %x", k.name, ack))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conn, k.present = conn, ack[0]&1 == 1
	if !k.present {
		clear(k.received)
	}
	k.again()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			first, body, err := readFrame(in)
			if err != nil {
				return
			}
			k.take(first, body)
		}
	}()
	return done, nil
}

func readFrame(in *bufio.Reader) (first byte, body []byte, err error) {
	if first, err = in.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(in) // the same form, of four bytes at most
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, n)
	_, err = io.ReadFull(in, body)
	return first, body, err
}

// again sends what has no answer, in the order in which it was sent first
// [MQTT-4.4.0-1]. mu is held.
func (k *keeper) again() {
	ids := slices.SortedFunc(maps.Keys(k.unsent), func(a, b uint16) int { return k.unsent[a].order - k.unsent[b].order })
	for _, id := range ids {
		if k.unsent[id].released {
			k.send(packetOf(mqttPubrel<<4|2, binary.BigEndian.AppendUint16(nil, id)))
		} else {
			k.send(k.publication(id, true))
		}
	}
}

// send ignores what fails: the reader sees the end, too.
func (k *keeper) send(b []byte) { _, _ = k.conn.Write(b) }

func (k *keeper) publication(id uint16, dup bool) []byte {
	o := k.unsent[id]
	first := byte(mqttPublish<<4) | o.qos<<1
	if dup {
		first |= 8
	}
	if o.retain {
		first |= 1
	}
	return packetOf(first, append(k.properties(binary.BigEndian.AppendUint16(stringOf(nil, o.topic), id)), o.payload...))
}

// publish sends a message. It returns before the answer.
func (k *keeper) publish(o outgoing) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.lastID++; k.lastID == 0 || k.unsent[k.lastID] != nil; k.lastID++ {
	}
	k.unsent[k.lastID] = &o
	k.send(k.publication(k.lastID, false))
}

// subscribe asks for QoS 2 and waits for the answer.
func (k *keeper) subscribe(t *testing.T, filter string) {
	t.Helper()
	k.mu.Lock()
	before := k.answers
	k.send(packetOf(mqttSubscribe<<4|2, append(stringOf(k.properties([]byte{0xFF, 0xF0}), filter), 2)))
	k.mu.Unlock()
	eventually(t, deviceTimeout, k.name+" is subscribed", func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.answers > before
	})
}

// take deals with a packet of the server.
func (k *keeper) take(first byte, body []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch first >> 4 {
	case mqttPublish:
		k.takeMessage(first, body)
	case mqttPuback, mqttPubrec, mqttPubcomp:
		k.takeAnswer(first>>4, body)
	case mqttPubrel:
		delete(k.received, binary.BigEndian.Uint16(body))
		k.send(packetOf(mqttPubcomp<<4, body[:2]))
	case mqttSuback:
		k.answers++
	}
}

func (k *keeper) takeMessage(first byte, body []byte) {
	qos := first >> 1 & 3
	n := int(binary.BigEndian.Uint16(body)) + 2
	topic, rest := string(body[2:n]), body[n:]
	var id []byte
	if qos > 0 {
		id, rest = rest[:2], rest[2:]
	}
	if k.version == 5 {
		rest = rest[1+int(rest[0]):]
	}
	m := incoming{topic, string(rest), qos, first&1 == 1}
	if qos < 2 || !k.received[binary.BigEndian.Uint16(id)] {
		k.got = append(k.got, m)
	}
	switch qos {
	case 1:
		k.send(packetOf(mqttPuback<<4, id))
	case 2:
		k.received[binary.BigEndian.Uint16(id)] = true
		k.send(packetOf(mqttPubrec<<4, id))
	}
}

func (k *keeper) takeAnswer(kind byte, body []byte) {
	id := binary.BigEndian.Uint16(body)
	o := k.unsent[id]
	if o == nil || len(body) > 2 && body[2] >= 0x80 && kind != mqttPubcomp {
		return
	}
	if kind != mqttPubcomp && k.answer != nil {
		k.answer()
	}
	switch kind {
	case mqttPubrec:
		if !o.released {
			k.told = append(k.told, o.payload)
		}
		o.released = true
		k.send(packetOf(mqttPubrel<<4|2, body[:2]))
	case mqttPuback:
		k.told = append(k.told, o.payload)
		delete(k.unsent, id)
	case mqttPubcomp:
		delete(k.unsent, id)
	}
}

func (k *keeper) whenAnswered(call func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.answer = call
}

// pending returns how many messages have no final answer, and acknowledged how
// many have one.
func (k *keeper) pending() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.unsent)
}

func (k *keeper) acknowledged() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.told)
}

func (k *keeper) messages() []incoming {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.got)
}

// leave says goodbye and keeps the session.
func (k *keeper) leave(ended <-chan struct{}) {
	k.mu.Lock()
	k.send(packetOf(mqttDisconnect<<4, nil))
	_ = k.conn.Close()
	k.mu.Unlock()
	<-ended
}
