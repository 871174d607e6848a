package e2e_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

const everything = `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}}`

const narrow = `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:client/narrow"}}`

// known registers a certificate without an authority, with one policy of its own.
func (s *server) known(t *testing.T, name, policy string) *certificate {
	t.Helper()
	c := selfSigned(t, t.TempDir(), name)
	s.call(t, "POST", "/certificate/register-no-ca", nil, object{"certificatePem": readFile(t, c.cert), "status": "ACTIVE"})
	s.call(t, "POST", "/policies/"+name, nil, object{"policyDocument": policy})
	s.attach(t, name, &c)
	return &c
}

// startWeb starts a server that listens for WebSocket, too.
func startWeb(t *testing.T) *server {
	t.Helper()
	s := newServer(t)
	s.configure(t, map[string]string{"websocket": anyPort})
	s.start(t)
	return s
}

// addresses reads addresses.json.
func (s *server) addresses(t *testing.T) (a struct{ MQTT, WebSocket []string }) {
	t.Helper()
	if err := json.Unmarshal([]byte(readFile(t, s.path("addresses.json"))), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestListeners: several of each kind, by the configuration; the log, the file,
// muster env and muster config check have all of them.
func TestListeners(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.configure(t, map[string]string{"websocket": `["127.0.0.1:0", "[::1]:0"]`})
	s.mqtt = []string{anyPort, "[::1]:0"}
	s.start(t)
	a := s.addresses(t)
	if len(a.MQTT) != 2 || len(a.WebSocket) != 2 {
		t.Fatalf("addresses.json has %+v", a)
	}
	l := s.await(t, 0, "it listens", func(l line) bool { return l.Event == "listening" })
	var said struct{ MQTT, WebSocket []string }
	if err := json.Unmarshal([]byte(l.text), &said); err != nil || !slices.Equal(said.MQTT, a.MQTT) || !slices.Equal(said.WebSocket, a.WebSocket) {
		t.Errorf("the log tells of %+v, %v; the file of %+v", said, err, a)
	}
	if s.vars["MUSTER_MQTT"] != a.MQTT[0] || s.vars["MUSTER_WEBSOCKET"] != a.WebSocket[0] {
		t.Errorf("muster env has %v", s.vars)
	}
	c := s.known(t, "sensor", everything)
	for _, address := range a.MQTT {
		s.vars["MUSTER_MQTT"] = address
		s.admit(t, v5, c)
	}

	other := newServer(t)
	for _, taken := range [][]string{
		{"--websocket", a.WebSocket[0], "mqtt.websocket"}, {"--mqtt", a.MQTT[1], "mqtt.address"},
	} {
		out := program(t, "serve", "--config", other.config(), "--mqtt", anyPort, taken[0], taken[1])
		if out.code != 1 || !strings.Contains(out.stderr, "muster: "+taken[2]+": ") || !strings.Contains(out.stderr, "choose another with "+taken[0]) {
			t.Errorf("%v: %+v", taken, out)
		}
	}
	fails(t, program(t, "serve", "--config", other.config(), "--websocket", "8884"), 2, "--websocket", "host:port")
	other.configure(t, map[string]string{"address": `"[::1]:8883"`, "websocket": `["[0:0::1]:8883", "127.0.0.1:8883"]`})
	out := program(t, "config", "check", "--config", other.config())
	if out.code != 1 || !strings.Contains(out.stdout+out.stderr, "mqtt.websocket: [0:0::1]:8883 is taken by mqtt.address, [::1]:8883") {
		t.Errorf("%+v", out)
	}
}

// TestIPv6: devices come by IPv6, and by IPv4 to a listener of both, and are
// shown by the address that an operator knows them by.
func TestIPv6(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.configure(t, map[string]string{"websocket": `"[::1]:0"`})
	s.mqtt = []string{"[::]:0"}
	s.start(t)
	_, port, err := net.SplitHostPort(s.addresses(t).MQTT[0])
	if err != nil {
		t.Fatal(err)
	}
	local := s.known(t, "local", `{"Version": "2012-10-17", "Statement": [
	  {"Effect": "Allow", "Action": "iot:Publish", "Resource": "*"},
	  {"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:client/local-${aws:SourceIp}"}]}`)
	for from, client := range map[string]string{"::1": "local-::1", "127.0.0.1": "local-127.0.0.1"} {
		args := []string{"-V", v5, "-h", from, "-p", port, "--cafile", s.vars["MUSTER_CA"], "--cert", local.cert, "--key", local.key,
			"-t", "x", "-m", "x", "-i"}
		if out := command(t, nil, "mosquitto_pub", append(args, client)...); out.code != 0 {
			t.Errorf("from %s: %+v", from, out)
		}
		mark := s.log.len()
		if out := command(t, nil, "mosquitto_pub", append(args, "local-elsewhere")...); out.code != 0x87 {
			t.Errorf("from %s, another: %+v", from, out)
		}
		l := s.await(t, mark, "it is refused", func(l line) bool { return l.Event == "refused" })
		var said struct{ Remote string }
		if err := json.Unmarshal([]byte(l.text), &said); err != nil {
			t.Fatal(err)
		}
		if host, _, _ := net.SplitHostPort(said.Remote); host != from {
			t.Errorf("from %s: the log has %q", from, said.Remote)
		}
		for _, asked := range map[string][]string{"::1": {"::1", "0:0::1"}, "127.0.0.1": {"127.0.0.1", "::ffff:127.0.0.1"}}[from] {
			out := program(t, "explain", "--config", s.config(), "--from", asked)
			if out.code != 0 || !strings.Contains(out.stdout, "policy_denied") || !strings.Contains(out.stdout, "from "+said.Remote) {
				t.Errorf("explain --from %s: %+v", asked, out)
			}
		}
	}
}

// webSocketWalks are the ways to get it wrong on a port of WebSocket.
func webSocketWalks() map[string]func(*walker) {
	plain := "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n"
	return map[string]func(*walker){
		"websocket-alpn":        tlsWalk(func(c *tls.Config) { c.NextProtos = []string{"mqtt"} }),
		"websocket-path":        packetWalk([]byte(fmt.Sprintf(plain, "/", "Sec-WebSocket-Protocol: mqtt\r\n"))),
		"websocket-subprotocol": packetWalk([]byte(fmt.Sprintf(plain, "/mqtt", ""))),
		"websocket-origin":      packetWalk([]byte(fmt.Sprintf(plain, "/mqtt", "Sec-WebSocket-Protocol: mqtt\r\nOrigin: https://page.example\r\n"))),
		"websocket-without":     packetWalk([]byte("\x10\x0D\x00\x04MQTT\x04\x02\x00\x3C\x00\x01x")),
		"websocket-text":        textWalk,
	}
}

// toWebSocket has the walks on a server go to its port of WebSocket.
func toWebSocket(_ *testing.T, s *server) { s.vars["MUSTER_MQTT"] = s.vars["MUSTER_WEBSOCKET"] }

func textWalk(w *walker) {
	g := w.alone("ACTIVE", devicePolicy)
	ctx, cancel := w.within()
	defer cancel()
	d := websocket.Dialer{
		Subprotocols: []string{"mqtt"}, TLSClientConfig: w.tls(g),
		NetDialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return w.dial(ctx), nil },
	}
	ws, _, err := d.DialContext(ctx, "wss://localhost/mqtt", http.Header{})
	w.must(err)
	w.must(ws.WriteMessage(websocket.TextMessage, []byte("hello")))
	_, _, err = ws.ReadMessage()
	if !websocket.IsCloseError(err, websocket.CloseUnsupportedData) {
		w.t.Errorf("the server ends with %v", err)
	}
	w.ended(err)
	w.tells(g)
}

func TestTransportsPage(t *testing.T) {
	t.Parallel()
	testPage(t, "../docs/transports.md", "")
}
