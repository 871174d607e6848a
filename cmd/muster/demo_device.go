package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
)

// device is one client of the demo.
type device struct {
	name     string
	leaf     *mint.Leaf
	client   *paho.Client
	received chan *paho.Publish
	closed   chan string // why the server ended the connection
}

// refusal is a CONNACK that says no.
type refusal struct {
	code   byte
	reason muster.Reason
	text   string
}

func (r refusal) Error() string { return fmt.Sprintf("refused with 0x%02X %s", r.code, r.text) }

// connect does what firmware does: TCP, TLS with its certificate, CONNECT. A
// CONNACK that refuses is a refusal; anything else went wrong before.
func (d *device) connect(ctx context.Context, address string, roots *x509.CertPool) (time.Duration, error) {
	start := time.Now()
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{},
		Config: &tls.Config{
			RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12,
			Certificates: []tls.Certificate{{Certificate: [][]byte{d.leaf.Cert.Raw}, PrivateKey: d.leaf.Key}},
		},
	}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return time.Since(start), err
	}
	d.received = make(chan *paho.Publish, 1024)
	d.closed = make(chan string, 4)
	d.client = paho.NewClient(paho.ClientConfig{
		Conn: packets.NewThreadSafeConn(conn),
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			select {
			case d.received <- p.Packet:
			default:
			}
			return true, nil
		}},
		OnServerDisconnect: func(p *paho.Disconnect) {
			text := ""
			if p.Properties != nil {
				text = p.Properties.ReasonString
			}
			d.end(fmt.Sprintf("DISCONNECT 0x%02X %s", p.ReasonCode, text))
		},
		OnClientError: func(err error) { d.end(err.Error()) },
	})
	ack, err := d.client.Connect(ctx, &paho.Connect{ClientID: d.name, KeepAlive: 60, CleanStart: true})
	took := time.Since(start)
	if ack != nil && ack.ReasonCode >= 0x80 {
		text := ""
		if ack.Properties != nil {
			text = ack.Properties.ReasonString
		}
		word, _, _ := strings.Cut(text, ":")
		return took, refusal{ack.ReasonCode, muster.Reason(word), text}
	}
	return took, err
}

func (d *device) end(why string) {
	select {
	case d.closed <- why:
	default:
	}
}

func (d *device) publish(ctx context.Context, topic, payload string) error {
	r, err := d.client.Publish(ctx, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(payload)})
	if r != nil && r.ReasonCode >= 0x80 {
		return fmt.Errorf("PUBACK 0x%02X on %s", r.ReasonCode, topic)
	}
	return err
}

func (d *device) subscribe(ctx context.Context, filters ...string) error {
	s := &paho.Subscribe{}
	for _, f := range filters {
		s.Subscriptions = append(s.Subscriptions, paho.SubscribeOptions{Topic: f, QoS: 1})
	}
	_, err := d.client.Subscribe(ctx, s)
	return err
}

// next waits for a message that fits.
func (d *device) next(ctx context.Context, fits func(*paho.Publish) bool) (*paho.Publish, error) {
	for {
		select {
		case p := <-d.received:
			if fits(p) {
				return p, nil
			}
		case why := <-d.closed:
			return nil, fmt.Errorf("the connection of %s ended: %s", d.name, why)
		case <-ctx.Done():
			return nil, fmt.Errorf("%s waited for a message: %w", d.name, ctx.Err())
		}
	}
}

func (d *device) disconnect() {
	if d.client != nil {
		_ = d.client.Disconnect(&paho.Disconnect{}) // it may have ended already
	}
}
