package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

// neighbour is a well-behaved client that sends itself messages of QoS 1, one
// after the other, and waits for each.
type neighbour struct {
	name     string
	client   *paho.Client
	arrived  chan string
	failed   chan error
	messages atomic.Int64
	slowest  atomic.Int64 // nanoseconds from PUBLISH to its arrival
}

// neighbourPatience is how late a message may come on a machine that is busy.
const neighbourPatience = 20 * time.Second

const neighbourPolicy = `{"Effect":"Allow","Action":"iot:*","Resource":"*"}`

func newNeighbour(ctx context.Context, address, name string, key tls.Certificate, roots *x509.CertPool) (*neighbour, error) {
	n := &neighbour{name: name, arrived: make(chan string, 16), failed: make(chan error, 4)}
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{key}}}
	ctx, cancel := context.WithTimeout(ctx, deviceTimeout)
	defer cancel()
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	n.client = paho.NewClient(paho.ClientConfig{
		Conn: packets.NewThreadSafeConn(conn), PacketTimeout: neighbourPatience,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			n.arrived <- string(p.Packet.Payload)
			return true, nil
		}},
		OnServerDisconnect: func(d *paho.Disconnect) { n.failed <- fmt.Errorf("DISCONNECT 0x%02X", d.ReasonCode) },
		OnClientError:      func(err error) { n.failed <- err },
	})
	if ack, err := n.client.Connect(ctx, &paho.Connect{ClientID: name, KeepAlive: 60, CleanStart: true}); err != nil {
		return nil, err
	} else if ack.ReasonCode != 0 {
		return nil, fmt.Errorf("CONNACK 0x%02X", ack.ReasonCode)
	}
	_, err = n.client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "good/" + name, QoS: 1}}})
	return n, err
}

// live sends messages until ctx ends, and returns what went wrong.
func (n *neighbour) live(ctx context.Context, pause time.Duration) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for i := 0; ; i++ {
		if err := n.message(strconv.Itoa(i)); err != nil {
			return fmt.Errorf("%s, message %d: %w", n.name, i, err)
		}
		select {
		case <-ctx.Done():
			return n.client.Disconnect(&paho.Disconnect{})
		case err := <-n.failed:
			return fmt.Errorf("%s: %w", n.name, err)
		case <-tick.C:
		}
	}
}

func (n *neighbour) message(payload string) error {
	ctx, cancel := context.WithTimeout(context.Background(), neighbourPatience)
	defer cancel()
	start := time.Now()
	if _, err := n.client.Publish(ctx, &paho.Publish{Topic: "good/" + n.name, QoS: 1, Payload: []byte(payload)}); err != nil {
		return err
	}
	select {
	case got := <-n.arrived:
		if got != payload {
			return fmt.Errorf("message %s came instead", got)
		}
	case err := <-n.failed:
		return err
	case <-ctx.Done():
		return errors.New("it did not come")
	}
	n.messages.Add(1)
	n.slowest.Store(max(n.slowest.Load(), int64(time.Since(start))))
	return nil
}

// neighbours connects so many of them, each with a certificate of its own.
func (s *server) neighbours(t *testing.T, count int) []*neighbour {
	t.Helper()
	roots := s.trusted(t)
	all := make([]*neighbour, count)
	for i := range all {
		name := fmt.Sprintf("good-%d", i)
		c := s.registered(t, name, statements(neighbourPolicy))
		var err error
		if all[i], err = newNeighbour(t.Context(), s.vars["MUSTER_MQTT"], name, loadKey(t, c), roots); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return all
}

func (s *server) trusted(t *testing.T) *x509.CertPool {
	t.Helper()
	roots, err := s.roots("MUSTER_CA")
	if err != nil {
		t.Fatal(err)
	}
	return roots
}

func loadKey(t *testing.T, c *certificate) tls.Certificate {
	t.Helper()
	key, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
