package hooks_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// mute is a connection on which nothing can be written any more.
type mute struct {
	net.Conn
	muted atomic.Bool
}

func (m *mute) Write(p []byte) (int, error) {
	if m.muted.Load() {
		return 0, errors.New("muted")
	}
	return m.Conn.Write(p)
}

// TestWillOfOneWhoHearsNoConnack: who was let in and could not be told has a will,
// in one's own mochi server too, which calls OnDisconnect for those alone whom it
// could tell.
func TestWillOfOneWhoHearsNoConnack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		defer b.stop()
		var wills atomic.Int32
		must(t, b.server.Subscribe("will", 1, func(*mqtt.Client, packets.Subscription, packets.Packet) { wills.Add(1) }))
		ours, theirs := net.Pipe()
		m := &mute{Conn: theirs}
		_, certificate := serverCertificate()
		roots := x509.NewCertPool()
		roots.AddCert(certificate.Leaf)
		go func() {
			_ = b.server.EstablishConnection("own", tls.Server(m, b.gate.TLSConfig(&tls.Config{Certificates: []tls.Certificate{certificate}})))
		}()
		device := tls.Client(ours, &tls.Config{
			RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{b.leaf("sensor").TLS()},
			MaxVersion: tls.VersionTLS12, // the server writes nothing more when the handshake is done
		})
		must(t, device.Handshake())
		m.muted.Store(true)
		c := connectPacket("sensor")
		willing(0, 0)(&c)
		c.ProtocolVersion = 5
		var out bytes.Buffer
		must(t, c.ConnectEncode(&out))
		_, err := device.Write(out.Bytes())
		must(t, err)
		_, _ = io.Copy(io.Discard, device)
		synctest.Wait()
		if n := wills.Load(); n != 1 {
			t.Errorf("%d wills", n)
		}
	})
}
