package e2e_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

// device is a client in this process, for what many or unusual ones do at once.
type device struct {
	name       string
	key        tls.Certificate
	id         string // fingerprint
	endpoint   string // the server name that it sends; "": localhost
	maxVersion uint16 // of TLS; 0: the newest
	secured    func() // called between TLS and CONNECT; nil for nothing
}

const deviceTimeout = 30 * time.Second

// connect does what firmware does: TCP, TLS, CONNECT. It returns nil only when
// a CONNACK said 0, and leaves the connection to close.
func (d *device) connect(ctx context.Context, address string, roots *x509.CertPool) (close func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, deviceTimeout)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{
		RootCAs: roots, ServerName: cmp.Or(d.endpoint, "localhost"), MaxVersion: d.maxVersion, Certificates: []tls.Certificate{d.key},
	}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	close = func() { _ = conn.Close() } // the server may have closed it
	if d.secured != nil {
		d.secured()
	}
	client := paho.NewClient(paho.ClientConfig{Conn: packets.NewThreadSafeConn(conn), PacketTimeout: deviceTimeout})
	ack, err := client.Connect(ctx, &paho.Connect{ClientID: d.name, KeepAlive: 60, CleanStart: true})
	if err != nil {
		close()
		return nil, err
	}
	if ack.ReasonCode != 0 {
		close()
		return nil, fmt.Errorf("CONNACK 0x%02X", ack.ReasonCode)
	}
	return close, nil
}
