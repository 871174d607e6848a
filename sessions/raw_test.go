package sessions_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2/packets"
)

// rawClient is an MQTT 5 client that does only what a test tells it.
type rawClient struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

// raw resumes a session that lasts an hour.
func (f *fixture) raw(id string) *rawClient {
	return f.rawWith(id, mochi.Properties{SessionExpiryInterval: 3600, SessionExpiryIntervalFlag: true})
}

func (f *fixture) rawWith(id string, p mochi.Properties) *rawClient {
	f.t.Helper()
	ours := f.dial()
	c := &rawClient{f.t, ours, bufio.NewReader(ours)}
	must(f.t, ours.SetDeadline(time.Now().Add(patience)))
	c.send(mochi.Packet{FixedHeader: mochi.FixedHeader{Type: mochi.Connect},
		Connect: mochi.ConnectParams{ProtocolName: []byte("MQTT"), ClientIdentifier: id, Keepalive: 60}, Properties: p})
	c.await(mochi.Connack)
	return c
}

// subscribe asks for QoS 1.
func (c *rawClient) subscribe(filter string) {
	c.t.Helper()
	c.send(mochi.Packet{FixedHeader: mochi.FixedHeader{Type: mochi.Subscribe, Qos: 1}, PacketID: 1, Filters: mochi.Subscriptions{{Filter: filter, Qos: 1}}})
	c.await(mochi.Suback)
}

func (c *rawClient) close() { _ = c.conn.Close() }

func (c *rawClient) send(pk mochi.Packet) {
	c.t.Helper()
	pk.ProtocolVersion = 5
	var b bytes.Buffer
	encode := map[byte]func(*bytes.Buffer) error{
		mochi.Connect: pk.ConnectEncode, mochi.Publish: pk.PublishEncode, mochi.Subscribe: pk.SubscribeEncode,
		mochi.Puback: pk.PubackEncode, mochi.Pubrec: pk.PubrecEncode, mochi.Pubrel: pk.PubrelEncode, mochi.Pubcomp: pk.PubcompEncode,
	}[pk.FixedHeader.Type]
	must(c.t, encode(&b))
	_, err := c.conn.Write(b.Bytes())
	must(c.t, err)
}

// await reads until a packet of one of these types comes.
func (c *rawClient) await(types ...byte) mochi.Packet {
	c.t.Helper()
	for {
		first, err := c.in.ReadByte()
		must(c.t, err)
		pk := mochi.Packet{ProtocolVersion: 5}
		must(c.t, pk.FixedHeader.Decode(first))
		pk.FixedHeader.Remaining, _, err = mochi.DecodeLength(c.in)
		must(c.t, err)
		body := make([]byte, pk.FixedHeader.Remaining)
		_, err = io.ReadFull(c.in, body)
		must(c.t, err)
		decode := map[byte]func([]byte) error{
			mochi.Connack: pk.ConnackDecode, mochi.Publish: pk.PublishDecode, mochi.Suback: pk.SubackDecode,
			mochi.Puback: pk.PubackDecode, mochi.Pubrec: pk.PubrecDecode, mochi.Pubrel: pk.PubrelDecode, mochi.Pubcomp: pk.PubcompDecode,
		}[pk.FixedHeader.Type]
		must(c.t, decode(body))
		if slices.Contains(types, pk.FixedHeader.Type) {
			return pk
		}
	}
}
