package e2e_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/gorilla/websocket"
)

// TestPahoGo has Eclipse Paho for Go publish and subscribe by MQTT 5 over TLS and
// over WebSocket, also from IPv6.
func TestPahoGo(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.configure(t, map[string]string{"websocket": `["127.0.0.1:0", "[::1]:0"]`})
	s.start(t)
	c := s.known(t, "application", everything)
	web := s.addresses(t).WebSocket
	for name, dial := range map[string]func(context.Context, *tls.Config) (net.Conn, error){
		"TLS": func(ctx context.Context, tc *tls.Config) (net.Conn, error) {
			return (&tls.Dialer{Config: tc}).DialContext(ctx, "tcp", s.vars["MUSTER_MQTT"])
		},
		"WebSocket":           overWebSocket(web[0]),
		"WebSocket over IPv6": overWebSocket(web[1]),
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), deviceTimeout)
			defer cancel()
			conn, err := dial(ctx, s.clientTLS(t, c))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			got := make(chan string, 10)
			client := paho.NewClient(paho.ClientConfig{
				Conn: packets.NewThreadSafeConn(conn), PacketTimeout: deviceTimeout,
				OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
					got <- string(p.Packet.Payload)
					return true, nil
				}},
			})
			if _, err := client.Connect(ctx, &paho.Connect{ClientID: c.name, KeepAlive: 30, CleanStart: true}); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "go/+", QoS: 2}}}); err != nil {
				t.Fatal(err)
			}
			for qos := range byte(3) {
				text := fmt.Sprint("by QoS ", qos)
				if _, err := client.Publish(ctx, &paho.Publish{Topic: "go/x", QoS: qos, Payload: []byte(text)}); err != nil {
					t.Error(err)
				}
				select {
				case is := <-got:
					if is != text {
						t.Errorf("got %q, want %q", is, text)
					}
				case <-ctx.Done():
					t.Fatalf("nothing came %s", text)
				}
			}
			if err := client.Disconnect(&paho.Disconnect{}); err != nil {
				t.Error(err)
			}
		})
	}
}

// clientTLS is what a client with a certificate does, whatever the address.
func (s *server) clientTLS(t *testing.T, c *certificate) *tls.Config {
	t.Helper()
	roots, err := s.roots("MUSTER_CA")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{pair}}
}

func overWebSocket(address string) func(context.Context, *tls.Config) (net.Conn, error) {
	return func(ctx context.Context, c *tls.Config) (net.Conn, error) {
		d := websocket.Dialer{Subprotocols: []string{"mqtt"}, TLSClientConfig: c}
		ws, _, err := d.DialContext(ctx, "wss://"+address+"/mqtt", nil)
		if err != nil {
			return nil, err
		}
		return &webStream{Conn: ws}, nil
	}
}

// webStream is a WebSocket as a stream of bytes.
type webStream struct {
	*websocket.Conn
	message io.Reader
}

func (s *webStream) Read(p []byte) (n int, err error) {
	for n == 0 && err == nil {
		if s.message == nil {
			if _, s.message, err = s.NextReader(); err != nil {
				return 0, err
			}
		}
		if n, err = s.message.Read(p); err == io.EOF {
			s.message, err = nil, nil
		}
	}
	return n, err
}

func (s *webStream) Write(p []byte) (int, error) {
	return len(p), s.WriteMessage(websocket.BinaryMessage, p)
}

func (s *webStream) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}
