package broker_test

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster/broker"
	"github.com/muster-mqtt/muster/internal/mint"
)

// TestAnnouncedSize: five bytes announce 256 MB, and nothing is set aside for
// it, whoever sends them.
func TestAnnouncedSize(t *testing.T) {
	const header = "\x30\xFF\xFF\xFF\x7F"
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, options{})
			f.policy("all", allowAll)
			c := f.raw(f.registered("sensor", "all"), version)
			c.admitted("sensor", nil)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			c.bytes([]byte(header)...)
			last := c.end()
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
				t.Errorf("%d MB were allocated for it", grown>>20)
			}
			if version == 5 && last.ReasonCode != 0x95 {
				t.Errorf("ended with %s 0x%02X", packets.PacketNames[last.FixedHeader.Type], last.ReasonCode)
			}
		})
	}
}

// TestDribbledGreeting sends a ClientHello byte by byte: the time for it does not
// begin anew with each.
func TestDribbledGreeting(t *testing.T) {
	f := newFixture(t, options{broker: func(c *broker.Config) { c.HandshakeTimeout = 300 * time.Millisecond }})
	conn, err := net.Dial("tcp", f.address)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = newRaw(t, conn, 5).drain()
	}()
	greeting := append([]byte{0x16, 0x03, 0x01, 0x01, 0x00, 0x01, 0x00, 0x00, 0xFC, 0x03, 0x03}, make([]byte, 240)...) // would take 12 s
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ended:
			f.seen.wait(t, "handshake handshake_timeout", func(n int) bool { return n == 1 })
			return
		case <-tick.C:
		}
		if i == len(greeting) {
			t.Fatal("a ClientHello of 12 s was waited for")
		}
		_, _ = conn.Write(greeting[i : i+1]) // fails when it is closed
	}
}

// TestReceiveMaximum has a client begin more messages of QoS 2 than the server
// said that it takes at once [MQTT-3.3.4-9].
func TestReceiveMaximum(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	c := f.raw(f.registered("sensor", "all"), 5)
	most := c.admitted("sensor", nil).Properties.ReceiveMaximum
	ended := make(chan packets.Packet, 1)
	go func() {
		last, _ := c.drain()
		ended <- last
	}()
	for i := range int(most) + 1 {
		p := binary.BigEndian.AppendUint16([]byte{0x34, 7, 0, 1, 'a'}, uint16(i+1))
		if _, err := c.conn.Write(append(p, 0, 'x')); err != nil {
			break
		}
	}
	select {
	case last := <-ended:
		if last.FixedHeader.Type != packets.Disconnect || last.ReasonCode != 0x93 {
			t.Errorf("ended with %s 0x%02X", packets.PacketNames[last.FixedHeader.Type], last.ReasonCode)
		}
	case <-time.After(patience):
		t.Errorf("%d messages at once are taken, %d were allowed", most+1, most)
	}
}

// TestMaximumPacketSize: what is larger than a client takes is not sent to it, and
// does as if it had arrived [MQTT-3.1.2-24] [MQTT-3.1.2-25]: its window does not
// fill with what can never be acknowledged.
func TestMaximumPacketSize(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	small := f.raw(f.registered("small", "all"), 5)
	small.admitted("small", func(p *packets.Packet) { p.Properties.MaximumPacketSize = 100 })
	if got := small.replies(small.subscribePacket("news")); got != suback(1) {
		t.Fatal(got)
	}
	writer := f.admitted(f.registered("writer", "all"), "writer")
	const more = 600 // than the window holds
	for range more {
		_, err := writer.publish(t, &paho.Publish{Topic: "news", QoS: 1, Payload: make([]byte, 200)})
		must(t, err)
	}
	_, err := writer.publish(t, &paho.Publish{Topic: "news", QoS: 1, Payload: []byte("short")})
	must(t, err)
	p, err := small.read()
	if err != nil || p.FixedHeader.Type != packets.Publish || string(p.Payload) != "short" {
		t.Errorf("%s %q %v", packets.PacketNames[p.FixedHeader.Type], p.Payload, err)
	}
	if !small.alive() {
		t.Error("disconnected")
	}
}

// TestManyAuthorities has more authorities in the registry than a
// CertificateRequest could name: crypto/tls would fail each handshake at 1,500.
// None is named, and a connect costs what it costs with one.
func TestManyAuthorities(t *testing.T) {
	f := newFixture(t, options{})
	f.policy("all", allowAll)
	first := f.authority("authority-0", template)
	connect := func(l *mint.Leaf) {
		d := tls.Dialer{Config: &tls.Config{RootCAs: f.roots, ServerName: "localhost",
			GetClientCertificate: func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(r.AcceptableCAs) > 0 {
					t.Errorf("the CertificateRequest names %d authorities", len(r.AcceptableCAs))
				}
				c := l.TLS()
				return &c, nil
			}}}
		conn, err := d.DialContext(t.Context(), "tcp", f.address)
		must(t, err)
		defer conn.Close()
		newRaw(t, conn, 5).admitted(l.Cert.Subject.CommonName, nil)
	}
	known := f.leaf(first, "known")
	connect(known) // registers it
	cost := func() float64 { return testing.AllocsPerRun(20, func() { connect(known) }) }
	alone := cost()
	last := first
	for i := range 1500 {
		last = f.authority(fmt.Sprintf("authority-%d", i+1), template)
	}
	connect(f.leaf(last, "late"))
	if among := cost(); among > 1.5*alone {
		t.Errorf("a connect has %.0f allocations among 1,501 authorities, %.0f alone", among, alone)
	}
}
