package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/muster-mqtt/muster/internal/mint"
)

// connectionWalks are about how the device connects: TLS, templates, policies
// and the CONNECT packet.
func connectionWalks() map[string]func(*walker) {
	return map[string]func(*walker){
		"no-certificate": func(w *walker) { w.fails(w.tls(nil)); w.tells(nil) },
		"key-of-another": otherKeyWalk,
		"tls-1.1":        tlsWalk(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11 }),
		"cipher": tlsWalk(func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
		}),
		"alpn":             tlsWalk(func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }),
		"server-distrust":  tlsWalk(func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }),
		"server-name":      tlsWalk(func(c *tls.Config) { c.ServerName = "broker.muster.test" }),
		"without-tls":      bytesWalk(string(oldConnect("MQTT", &paho.Connect{ClientID: "x"}))),
		"http":             bytesWalk("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		"left":             leftWalk,
		"first-packet":     packetWalk([]byte{0xC0, 0}), // PINGREQ
		"connect-protocol": protocolWalk,
		"connect-large": packetWalk(oldConnect("MQTT", &paho.Connect{ClientID: "x",
			WillMessage: &paho.WillMessage{Topic: "w", Payload: []byte(strings.Repeat("x", 1<<16-1))}})),
		"template-attribute": templateWalk(template, true, pkix.Name{Organization: []string{"Nobody"}}),
		"template-type":      templateWalk(strings.Replace(template, `"sensor"`, `"nowhere"`, 1), true, pkix.Name{CommonName: "t"}),
		"template-policy":    templateWalk(`{"Resources": {"policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "nowhere"}},`+only, true, pkix.Name{CommonName: "t"}),
		"template-disabled":  templateWalk(`{"Resources": {`+only, false, pkix.Name{CommonName: "t"}),
		"template-value":     templateWalk(perDevice, true, pkix.Name{CommonName: "*"}),
		"policy-none":        policyWalk(),
		"policy-client":      policyClientWalk,
		"policy-deny":        policyWalk(devicePolicy, denial),
		"will-topic":         willWalk(paho.WillMessage{Topic: "elsewhere"}),
		"will-retain":        willWalk(paho.WillMessage{Topic: "last", Retain: true}),
		"will-dollar":        willWalk(paho.WillMessage{Topic: "$SYS/x"}),
		"will-wildcard":      willWalk(paho.WillMessage{Topic: "last/#"}),
		"taken-over":         takenOverWalk,
	}
}

func otherKeyWalk(w *walker) {
	g, other := w.alone("ACTIVE"), w.device(w.authority(), nil)
	g.pair.PrivateKey = other.pair.PrivateKey
	w.fails(w.tls(g))
	w.tells(nil)
}

// tlsWalk is a device with a certificate whose handshake fails for another cause.
func tlsWalk(edit func(*tls.Config)) func(*walker) {
	return func(w *walker) {
		c := w.tls(w.device(w.authority(), nil))
		edit(c)
		w.fails(c)
		w.tells(nil)
	}
}

// bytesWalk sends bytes that are no TLS.
func bytesWalk(first string) func(*walker) {
	return func(w *walker) {
		ctx, cancel := w.within()
		defer cancel()
		conn := w.dial(ctx)
		_, err := conn.Write([]byte(first))
		w.must(err)
		w.ended(hearsNothing(conn))
		w.tells(nil)
	}
}

// hearsNothing returns how a connection ended, and nil if it told something. A
// TLS alert to who speaks no TLS is nothing.
func hearsNothing(conn net.Conn) error {
	for b := make([]byte, 64); ; {
		n, err := conn.Read(b)
		if err != nil {
			return err
		}
		if b[0] != 0x15 {
			return fmt.Errorf("it said %x", b[:n])
		}
	}
}

func leftWalk(w *walker) {
	ctx, cancel := w.within()
	defer cancel()
	w.must(w.dial(ctx).Close())
	w.tells(nil)
}

// packetWalk is a known device that begins with these bytes after TLS.
func packetWalk(first []byte) func(*walker) {
	return func(w *walker) {
		g := w.alone("ACTIVE", devicePolicy)
		ctx, cancel := w.within()
		defer cancel()
		conn, err := w.secure(ctx, w.tls(g))
		w.must(err)
		_, _ = conn.Write(first) // the server may not take all of it
		w.ended(hearsNothing(conn))
		w.tells(g)
	}
}

// protocolWalk names another protocol, in the form of each version.
func protocolWalk(w *walker) {
	g := w.alone("ACTIVE", devicePolicy)
	var codes []string
	for _, level := range []byte{5, 4} {
		first := oldConnect("MQTX", g.connect())
		if level == 5 {
			first = append(first[:2], append([]byte{0, 4, 'M', 'Q', 'T', 'X', 5, 2, 0, 60, 0, 0, 1}, 'x')...)
			first[1] = byte(len(first) - 2)
		}
		ctx, cancel := w.within()
		conn, err := w.secure(ctx, w.tls(g))
		w.must(err)
		_, err = conn.Write(first)
		w.must(err)
		answer, err := io.ReadAll(conn)
		w.must(err)
		cancel()
		if level == 4 {
			codes = append(codes, fmt.Sprint(answer[3]))
			continue
		}
		ack, err := packets.ReadPacket(bytes.NewReader(answer))
		w.must(err)
		c := ack.Content.(*packets.Connack)
		codes = append(codes, fmt.Sprintf("0x%02X", c.ReasonCode))
		if !exactly(w.told).MatchString(c.Properties.ReasonString) {
			w.t.Errorf("the reason string is %q, want %q", c.Properties.ReasonString, w.told)
		}
	}
	if got := strings.Join(codes, " "); got != w.connack {
		w.t.Errorf("CONNACK %s, want %s", got, w.connack)
	}
	w.tells(g)
}

// only ends a template whose certificate becomes ACTIVE.
const only = `"certificate": {"Type": "AWS::IoT::Certificate", "Properties": {
  "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"}}}}`

const perDevice = `{"Parameters": {"AWS::IoT::Certificate::CommonName": {"Type": "String"}},
 "Resources": {"policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": {
  "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:Connect", "Resource":
   {"Fn::Join": ["", ["arn:aws:iot:*:*:client/", {"Ref": "AWS::IoT::Certificate::CommonName"}]]}}]}}},` + only

const denial = `{"Version": "2012-10-17", "Statement": {"Sid": "Maintenance", "Effect": "Deny", "Action": "iot:Connect", "Resource": "*"}}`

// templateWalk is the first connect of a device whose authority has a template.
func templateWalk(body string, enabled bool, subject pkix.Name) func(*walker) {
	return func(w *walker) {
		w.s.call(w.t, "POST", "/provisioning-templates", nil, object{"templateName": w.name, "type": "JITP",
			"templateBody": body, "enabled": enabled, "provisioningRoleArn": role})
		w.refused(w.registered(object{"registrationConfig": object{"templateName": w.name}},
			func(r *mint.Request) { r.Subject = subject }))
	}
}

func policyWalk(documents ...string) func(*walker) {
	return func(w *walker) {
		w.asks = []string{"--client", w.name}
		w.refused(w.alone("ACTIVE", documents...))
	}
}

func policyClientWalk(w *walker) {
	g := w.alone("ACTIVE", devicePolicy)
	g.client = "another"
	w.asks = []string{"--client", "another"}
	w.refused(g)
}

const willPolicy = `{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"},
  {"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topic/last"}]}`

func willWalk(m paho.WillMessage) func(*walker) {
	return func(w *walker) {
		g := w.alone("ACTIVE", willPolicy)
		m.Payload = []byte("gone")
		w.asks = []string{"--client", w.name, "--will", m.Topic}
		if m.Retain {
			w.asks = append(w.asks, "--retain")
		}
		g.will = &paho.Connect{WillMessage: &m}
		w.refused(g)
	}
}

// takenOverWalk: two devices with one client ID.
func takenOverWalk(w *walker) {
	const both = `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}}`
	g := w.alone("ACTIVE", both)
	ctx, cancel := w.within()
	defer cancel()
	lost := make(chan *paho.Disconnect, 1)
	_, err := w.connect(ctx, g, func(d *paho.Disconnect) { lost <- d })
	w.must(err)
	second := w.device(w.authority(), nil)
	w.s.call(w.t, "POST", "/certificate/register-no-ca", nil, object{"certificatePem": readFile(w.t, second.cert), "status": "ACTIVE"})
	w.s.attach(w.t, w.name+"-0", &second.certificate)
	_, err = w.connect(ctx, second, nil)
	w.must(err)
	select {
	case d := <-lost:
		if d.ReasonCode != 0x8E {
			w.t.Errorf("DISCONNECT 0x%02X, want 0x8E", d.ReasonCode)
		}
	case <-ctx.Done():
		w.t.Error("the first device was not told")
	}
	w.tells(g)
}

// impatient makes what takes seconds take one, and what takes a crowd take a few.
var impatient = map[string]string{
	"handshake_timeout": "1s", "connect_timeout": "1s", "handshakes": "4", "connects_per_address": "5",
}

func impatientWalks() map[string]func(*walker) {
	return map[string]func(*walker){
		"handshake-slow":   slowWalk,
		"connect-slow":     noConnectWalk,
		"connects-fast":    fastWalk,
		"handshakes-limit": crowdWalk,
	}
}

func slowWalk(w *walker) {
	ctx, cancel := w.within()
	defer cancel()
	w.ended(hearsNothing(w.dial(ctx)))
	w.tells(nil)
}

func noConnectWalk(w *walker) {
	g := w.alone("ACTIVE", devicePolicy)
	ctx, cancel := w.within()
	defer cancel()
	conn, err := w.secure(ctx, w.tls(g))
	w.must(err)
	_, err = conn.Read(make([]byte, 1))
	w.ended(err)
	w.tells(g)
}

// fastWalk connects until the burst of one address is used up.
func fastWalk(w *walker) {
	ctx, cancel := w.within()
	defer cancel()
	for range 20 {
		_ = w.dial(ctx).Close()
	}
	w.tells(nil)
}

// crowdWalk opens connections that do nothing until one is closed at once.
func crowdWalk(w *walker) {
	ctx, cancel := w.within()
	defer cancel()
	eventually(w.t, 10*time.Second, "a connection is closed", func() bool {
		conn := w.dial(ctx)
		w.must(conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)))
		err := hearsNothing(conn)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return false // it waits for a ClientHello
		}
		w.ended(err)
		return true
	})
	w.tells(nil)
}

// asAWS is a server that refuses as AWS IoT does, and is small.
var asAWS = map[string]string{"refusals": "hangup", "first_connection": "close", "connections": "2"}

func walksAsAWS() map[string]func(*walker) {
	return map[string]func(*walker){
		"aws-hangup":           func(w *walker) { w.refused(w.registered(object{}, nil)) },
		"aws-first-connection": firstConnectionWalk,
		"connections-limit":    crowdWalk,
		"shutdown":             shutdownWalk,
	}
}

func firstConnectionWalk(w *walker) {
	body := object{"registrationConfig": object{"templateBody": `{"Resources": {` + only, "roleArn": role}}
	g := w.registered(body, nil)
	w.connects5(g)
	w.tells(g)
}

// shutdownWalk comes last, by its name.
func shutdownWalk(w *walker) {
	g := w.alone("ACTIVE", willPolicy)
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	lost := make(chan *paho.Disconnect, 1)
	_, err := w.connect(ctx, g, func(d *paho.Disconnect) { lost <- d })
	w.must(err)
	w.s.stop(w.t)
	select {
	case d := <-lost:
		if d.ReasonCode != 0x8B || d.Properties == nil || !exactly(w.told).MatchString(d.Properties.ReasonString) {
			w.t.Errorf("DISCONNECT %+v, want 0x8B %q", d, w.told)
		}
	case <-time.After(10 * time.Second):
		w.t.Error("the device was not told")
	}
	w.logs(g)
	w.explainsCertificate(g)
}
