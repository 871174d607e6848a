package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/muster-mqtt/muster"
)

// visitor is a connection of MQTT 5 that sends the server name of its choice, or
// none, which mosquitto's clients cannot.
type visitor struct {
	*paho.Client
	parted chan string // the reason string of the server's DISCONNECT

	mu       sync.Mutex
	messages []string
}

// visit connects at an endpoint; "" sends no server name.
func (s *server) visit(t *testing.T, c *certificate, endpoint string) (*visitor, *paho.Connack, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deviceTimeout)
	defer cancel()
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := s.roots("MUSTER_CA")
	if err != nil {
		t.Fatal(err)
	}
	secure := &tls.Config{RootCAs: roots, ServerName: endpoint, Certificates: []tls.Certificate{pair}}
	if endpoint == "" { // Go's client sends the name that it verifies
		secure.InsecureSkipVerify = true
		secure.VerifyConnection = func(cs tls.ConnectionState) error {
			_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots})
			return err
		}
	}
	conn, err := (&tls.Dialer{Config: secure}).DialContext(ctx, "tcp", s.vars["MUSTER_MQTT"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	v := &visitor{parted: make(chan string, 1)}
	v.Client = paho.NewClient(paho.ClientConfig{
		Conn: packets.NewThreadSafeConn(conn), PacketTimeout: deviceTimeout,
		OnPublishReceived:  []func(paho.PublishReceived) (bool, error){v.hear},
		OnServerDisconnect: func(d *paho.Disconnect) { v.parted <- d.Properties.ReasonString },
	})
	ack, err := v.Connect(ctx, &paho.Connect{ClientID: c.name, KeepAlive: 60, CleanStart: true})
	return v, ack, err
}

func (v *visitor) hear(p paho.PublishReceived) (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.messages = append(v.messages, string(p.Packet.Payload))
	return true, nil
}

func (v *visitor) heard() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.messages)
}

func (v *visitor) await(t *testing.T, message string) {
	t.Helper()
	eventually(t, 10*time.Second, "the message "+message, func() bool { return slices.Contains(v.heard(), message) })
}

// enters is visit for who must be let in.
func (s *server) enters(t *testing.T, c *certificate, endpoint string) *visitor {
	t.Helper()
	v, _, err := s.visit(t, c, endpoint)
	if err != nil {
		t.Fatalf("%s at %q: %v\n%s", c.name, endpoint, err, s.explain(t, c.cert).stdout)
	}
	return v
}

// says is a device that comes, says something, and goes.
func (s *server) says(t *testing.T, c *certificate, endpoint, message string) {
	t.Helper()
	v := s.enters(t, c, endpoint)
	if _, err := v.Publish(t.Context(), &paho.Publish{QoS: 1, Topic: "said/" + c.name, Payload: []byte(message)}); err != nil {
		t.Errorf("%s at %q: %v", c.name, endpoint, err)
	}
	if err := v.Disconnect(&paho.Disconnect{}); err != nil {
		t.Error(err)
	}
}

// listener is an application without an authority that hears all of its account.
func (s *server) listener(t *testing.T, endpoint string) *visitor {
	t.Helper()
	c := selfSigned(t, t.TempDir(), "application")
	made := s.call(t, "POST", "/certificate/register-no-ca", nil, object{"certificatePem": readFile(t, c.cert), "status": "ACTIVE"})
	s.call(t, "PUT", "/target-policies/all", nil, object{"target": made["certificateArn"]})
	v := s.enters(t, &c, endpoint)
	if _, err := v.Subscribe(t.Context(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "#", QoS: 1}}}); err != nil {
		t.Fatal(err)
	}
	return v
}

// refusedAt demands that a device is refused at an endpoint, and told why.
func (s *server) refusedAt(t *testing.T, c *certificate, endpoint string, reason muster.Reason) {
	t.Helper()
	_, ack, err := s.visit(t, c, endpoint)
	if err == nil || ack == nil || ack.Properties == nil || !strings.HasPrefix(ack.Properties.ReasonString, string(reason)+":") {
		t.Errorf("%s at %q: CONNACK %+v, %v, want %s", c.name, endpoint, ack, err, reason)
	}
}

// closedFor demands that the server ends a connection, and says why.
func (v *visitor) closedFor(t *testing.T, reason muster.Reason) {
	t.Helper()
	select {
	case told := <-v.parted:
		if !strings.HasPrefix(told, string(reason)+":") {
			t.Errorf("the connection was closed: %q, want %s", told, reason)
		}
	case <-time.After(deviceTimeout):
		t.Errorf("the connection is open, want it closed for %s", reason)
	}
}

// showsCertificate demands that muster cert show says all these words of a certificate.
func (s *server) showsCertificate(t *testing.T, c *certificate, account string, words ...string) {
	t.Helper()
	out := s.succeeds(t, "cert", "show", "--account", account, c.cert)
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("muster cert show in account %s does not say %q:\n%s", account, w, out)
		}
	}
}
