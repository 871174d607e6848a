package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
)

// gadget is a device of a walk, with what is odd about it.
type gadget struct {
	certificate
	pair       tls.Certificate
	client     string        // ID; its name if empty
	serverName string        // that it sends instead of localhost
	maxVersion uint16        // of TLS
	exotic     bool          // mosquitto's TLS library would not use such a certificate
	will       *paho.Connect // the CONNECT with its will; nil for none
	keeps      bool          // it asks for a session that outlives the connection
}

// authority makes one that nobody registered.
func (w *walker) authority() *mint.Authority {
	w.t.Helper()
	a, err := mint.NewAuthority(w.name + " CA")
	w.must(err)
	return a
}

// device issues a certificate by an authority, which is named as the walk.
func (w *walker) device(a *mint.Authority, edit func(*mint.Request)) *gadget {
	w.t.Helper()
	r := mint.Request{Subject: pkix.Name{CommonName: w.name}}
	if edit != nil {
		edit(&r)
	}
	l, err := a.Issue(r)
	w.must(err)
	return w.gadget(l, 0)
}

// gadget writes a certificate, with so many of its chain as the device sends.
func (w *walker) gadget(l *mint.Leaf, sent int) *gadget {
	w.t.Helper()
	dir := w.t.TempDir()
	g := &gadget{pair: tls.Certificate{Certificate: [][]byte{l.Cert.Raw}, PrivateKey: l.Key}}
	text := l.CertPEM()
	for _, c := range l.Chain[:sent] {
		g.pair.Certificate = append(g.pair.Certificate, c.Raw)
		text = append(text, mint.CertPEM(c)...)
	}
	g.certificate = certificate{name: w.name, id: muster.Fingerprint(l.Cert.Raw),
		cert: writeFile(w.t, filepath.Join(dir, "device.pem"), string(text)),
		key:  writeFile(w.t, filepath.Join(dir, "device.key"), string(l.KeyPEM()))}
	return g
}

// ofFiles is a device whose certificate openssl made.
func (w *walker) ofFiles(c *certificate) *gadget {
	w.t.Helper()
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	w.must(err)
	return &gadget{certificate: *c, pair: pair}
}

// tls is what the device does by itself.
func (w *walker) tls(g *gadget) *tls.Config {
	w.t.Helper()
	c := &tls.Config{ServerName: "localhost", MinVersion: tls.VersionTLS10}
	roots, err := w.s.roots("MUSTER_CA")
	w.must(err)
	c.RootCAs = roots
	if g == nil {
		return c
	}
	c.MaxVersion = g.maxVersion
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &g.pair, nil }
	if g.serverName != "" {
		// The server's certificate of muster init is for localhost alone.
		c.ServerName, c.InsecureSkipVerify = g.serverName, true
		c.VerifyConnection = func(s tls.ConnectionState) error {
			_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots})
			return err
		}
	}
	return c
}

// dial opens a TCP connection from the walk's own address.
func (w *walker) dial(ctx context.Context) net.Conn {
	w.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: w.from}}
	conn, err := d.DialContext(ctx, "tcp", w.mustAddress())
	w.must(err)
	w.t.Cleanup(func() { _ = conn.Close() })
	if deadline, ok := ctx.Deadline(); ok {
		w.must(conn.SetDeadline(deadline))
	}
	return conn
}

// secure does the TLS handshake, and reads what ends it: in TLS 1.3 a client is
// told only when it reads.
func (w *walker) secure(ctx context.Context, c *tls.Config) (*tls.Conn, error) {
	w.t.Helper()
	conn := tls.Client(w.dial(ctx), c)
	return conn, conn.HandshakeContext(ctx)
}

// fails demands that TLS ends.
func (w *walker) fails(c *tls.Config) {
	w.t.Helper()
	ctx, cancel := w.within()
	defer cancel()
	conn, err := w.secure(ctx, c)
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
	}
	w.ended(err)
}

// connect is a CONNECT of MQTT 5 by Paho; nil if there was no CONNACK.
func (w *walker) connect(ctx context.Context, g *gadget, lost func(*paho.Disconnect)) (*paho.Connack, error) {
	w.t.Helper()
	conn, err := w.secure(ctx, w.tls(g))
	if err != nil {
		return nil, err
	}
	client := paho.NewClient(paho.ClientConfig{
		Conn: packets.NewThreadSafeConn(conn), PacketTimeout: deviceTimeout, OnServerDisconnect: lost,
	})
	return client.Connect(ctx, g.connect())
}

func (g *gadget) connect() *paho.Connect {
	c := &paho.Connect{ClientID: g.clientID(), KeepAlive: 60, CleanStart: true}
	if g.will != nil {
		c.WillMessage = g.will.WillMessage
	}
	if g.keeps {
		hour := uint32(3600)
		c.CleanStart, c.Properties = false, &paho.ConnectProperties{SessionExpiryInterval: &hour, RequestProblemInfo: true}
	}
	return c
}

func (g *gadget) clientID() string {
	if g.client != "" {
		return g.client
	}
	return g.name
}

// connects5 demands the code and the reason string of MQTT 5.
func (w *walker) connects5(g *gadget) {
	w.t.Helper()
	ctx, cancel := w.within()
	defer cancel()
	ack, err := w.connect(ctx, g, nil)
	if w.connack == "none" {
		if ack != nil {
			w.t.Errorf("the device got a CONNACK 0x%02X", ack.ReasonCode)
		}
		w.ended(err)
		return
	}
	if ack == nil {
		w.t.Fatalf("the device got no CONNACK: %v", err)
	}
	code := fmt.Sprintf("0x%02X", ack.ReasonCode)
	told := ""
	if ack.Properties != nil {
		told = ack.Properties.ReasonString
	}
	if want, _, _ := strings.Cut(w.connack, " "); code != want || !exactly(w.told).MatchString(told) {
		w.t.Errorf("CONNACK of MQTT 5: %s %q, want %s %q", code, told, want, w.told)
	}
}

// connects3 demands the code of MQTT 3.1.1: by mosquitto, which exits with it,
// where that can do what the walk needs.
func (w *walker) connects3(g *gadget) {
	w.t.Helper()
	got := "none"
	if !g.exotic && g.serverName == "" && g.maxVersion == 0 && g.will == nil && !g.keeps {
		c := g.certificate
		c.name = g.clientID()
		out := command(w.t, nil, "mosquitto_pub", w.s.mosquitto(w.t, v3, &c, "-A", w.from.String(), "-t", "x", "-m", "x")...)
		if 0 <= out.code && out.code <= 5 { // the CONNACK's; above are those of lost connections and of TLS
			got = strconv.Itoa(out.code)
		}
	} else if code, err := w.connectOld(g); err == nil {
		got = strconv.Itoa(int(code))
	}
	_, want, ok := strings.Cut(w.connack, " ")
	if !ok {
		want = w.connack
	}
	if got != want {
		w.t.Errorf("CONNACK of MQTT 3.1.1: %s, want %s", got, want)
	}
}

// connectOld is a CONNECT of MQTT 3.1.1 by hand.
func (w *walker) connectOld(g *gadget) (byte, error) {
	w.t.Helper()
	ctx, cancel := w.within()
	defer cancel()
	conn, err := w.secure(ctx, w.tls(g))
	if err != nil {
		return 0, err
	}
	if _, err := conn.Write(oldConnect("MQTT", g.connect())); err != nil {
		return 0, err
	}
	var ack [4]byte
	if _, err := io.ReadFull(conn, ack[:]); err != nil {
		return 0, err
	}
	return ack[3], nil
}

// oldConnect encodes a CONNECT of MQTT 3.1.1 (§3.1).
func oldConnect(protocol string, c *paho.Connect) []byte {
	var body []byte
	field := func(s string) { body = append(append(body, byte(len(s)>>8), byte(len(s))), s...) }
	field(protocol)
	var flags byte
	if c.CleanStart {
		flags = 0x02
	}
	if w := c.WillMessage; w != nil {
		flags |= 0x04
		if w.Retain {
			flags |= 0x20
		}
	}
	body = append(body, 4, flags, 0, 60)
	field(c.ClientID)
	if w := c.WillMessage; w != nil {
		field(w.Topic)
		field(string(w.Payload))
	}
	packet := []byte{0x10}
	for n := len(body); ; {
		digit := byte(n % 128)
		if n /= 128; n > 0 {
			packet = append(packet, digit|0x80)
			continue
		}
		return append(append(packet, digit), body...)
	}
}

// register registers an authority of a walk.
func (w *walker) register(a *mint.Authority, body object) string {
	w.t.Helper()
	return w.registerAt(w.s, a, body)
}

func (w *walker) registerAt(s *server, a *mint.Authority, body object) string {
	w.t.Helper()
	if body["certificateMode"] == nil {
		code, _ := s.call(w.t, "GET", "/registrationcode", nil, nil)["registrationCode"].(string)
		proof, err := a.Verification(code)
		w.must(err)
		body["verificationCertificate"] = string(proof.CertPEM())
	}
	body["caCertificate"] = string(a.CertPEM())
	query := map[string][]string{"setAsActive": {"true"}, "allowAutoRegistration": {"true"}}
	id, _ := s.call(w.t, "POST", "/cacertificate", query, body)["certificateId"].(string)
	if id != muster.Fingerprint(a.Cert.Raw) {
		w.t.Fatalf("the authority is registered as %s", id)
	}
	return id
}

// alone registers a certificate without an authority, with these policies.
func (w *walker) alone(status string, documents ...string) *gadget {
	w.t.Helper()
	g := w.device(w.authority(), nil)
	w.s.call(w.t, "POST", "/certificate/register-no-ca", nil, object{"certificatePem": readFile(w.t, g.cert), "status": status})
	for i, d := range documents {
		name := fmt.Sprintf("%s-%d", w.name, i)
		w.s.call(w.t, "POST", "/policies/"+name, nil, object{"policyDocument": d})
		w.s.attach(w.t, name, &g.certificate)
	}
	return g
}
