package broker_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
)

// TestUpgrade has each request to open a WebSocket answered, and what is wrong
// with it remembered. A test case changes the request: it puts these headers
// into the place of those of the same name, and "" leaves one out.
func TestUpgrade(t *testing.T) {
	f, l := newWebFixture(t, options{})
	port := f.address[strings.LastIndex(f.address, ":"):]
	for name, tc := range map[string]struct {
		line    string // the first; "": GET /mqtt HTTP/1.1
		headers []string
		status  int
		says    string   // in the answer and to who asks explain
		answers []string // headers of the answer
	}{
		"good":              {status: 101, answers: []string{"Sec-WebSocket-Protocol: mqtt"}},
		"a query":           {line: "GET /mqtt?x=y HTTP/1.1", status: 101},
		"an older one, too": {headers: []string{"Sec-WebSocket-Protocol: mqttv3.1, mqtt"}, status: 101, answers: []string{"Sec-WebSocket-Protocol: mqtt"}},
		"two lines":         {headers: []string{"Sec-WebSocket-Protocol: mqttv3.1\r\nSec-WebSocket-Protocol: mqtt"}, status: 101},
		"compression":       {headers: []string{"Sec-WebSocket-Extensions: permessage-deflate"}, status: 101, answers: []string{"Sec-WebSocket-Extensions: "}},
		"same origin":       {headers: []string{"Origin: https://LOCALHOST" + port}, status: 101},
		"port of https":     {headers: []string{"Host: localhost:443", "Origin: https://localhost"}, status: 101},

		"root":               {line: "GET / HTTP/1.1", status: 404, says: `the path is "/"; MQTT is at /mqtt`},
		"another path":       {line: "POST /mqtt/x HTTP/1.1", status: 404, says: `the path is "/mqtt/x"`},
		"POST":               {line: "POST /mqtt HTTP/1.1", status: 405, says: `the method is "POST"`, answers: []string{"Allow: GET"}},
		"HTTP/1.0":           {line: "GET /mqtt HTTP/1.0", status: 400, says: "HTTP/1.1"},
		"a plain GET":        {headers: []string{"Upgrade: "}, status: 426, says: "no WebSocket", answers: []string{"Upgrade: websocket"}},
		"h2c":                {headers: []string{"Upgrade: h2c"}, status: 426, says: "no WebSocket"},
		"version 8":          {headers: []string{"Sec-WebSocket-Version: 8"}, status: 426, says: `"8", not 13`, answers: []string{"Sec-WebSocket-Version: 13"}},
		"a foreign page":     {headers: []string{"Origin: https://evil.example"}, status: 403, says: `"https://evil.example"`},
		"another port":       {headers: []string{"Origin: https://localhost"}, status: 403, says: "origin"},
		"a page without TLS": {headers: []string{"Host: localhost", "Origin: http://localhost"}, status: 403, says: "origin"},
		"a file":             {headers: []string{"Origin: null"}, status: 403, says: "origin"},
		"two origins":        {headers: []string{"Origin: https://localhost" + port + "\r\nOrigin: https://evil.example"}, status: 403, says: "origin"},
		"no subprotocol":     {headers: []string{"Sec-WebSocket-Protocol: "}, status: 400, says: "subprotocols [], and not mqtt"},
		"an older one":       {headers: []string{"Sec-WebSocket-Protocol: mqttv3.1"}, status: 400, says: `["mqttv3.1"], and not mqtt`},
		"upper case":         {headers: []string{"Sec-WebSocket-Protocol: MQTT"}, status: 400, says: "subprotocol"},
		"no key":             {headers: []string{"Sec-WebSocket-Key: "}, status: 400, says: "Sec-WebSocket-Key"},
		"a short key":        {headers: []string{"Sec-WebSocket-Key: AAAA"}, status: 400, says: "Sec-WebSocket-Key"},
		"16 KiB of headers":  {headers: []string{"Cookie: " + strings.Repeat("x", 16<<10)}, status: 431, says: "16384 bytes"},
		"endless":            {line: "GET /" + strings.Repeat("x", 32<<10), status: 431, says: "16384 bytes"},
		"no HTTP":            {line: "EHLO muster", status: 400, says: "no request of HTTP"},
		"MQTT":               {line: "\x10\x0C\x00\x04MQTT\x04\x02\x00\x3C\x00\x00", status: 400, says: "no request of HTTP; they look like MQTT"},
		"a frame at once":    {headers: []string{"X: y\r\n\r\n\x82\x80\x00\x00\x00\x00"}, status: 400, says: "before it was answered"},
	} {
		t.Run(name, func(t *testing.T) {
			line := tc.line
			if line == "" {
				line = "GET /mqtt HTTP/1.1"
			}
			request := line + "\r\n"
			for _, h := range append(tc.headers, "Host: "+"localhost"+port, "Connection: keep-alive, Upgrade", "Upgrade: WebSocket",
				"Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: mqtt", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==") {
				name, value, _ := strings.Cut(h, ": ")
				if strings.Contains(request, "\r\n"+name+": ") {
					continue // given before
				}
				if value == "" {
					h = name + ": "
				}
				request += h + "\r\n"
			}
			counted := f.seen.count("refused connect_invalid")
			conn, err := f.dial(l)
			must(t, err)
			defer conn.Close()
			must(t, conn.SetDeadline(time.Now().Add(patience)))
			_, _ = io.WriteString(conn, request+"\r\n") // the server may not read all of it
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			must(t, err)
			text := ""
			if answer.StatusCode != http.StatusSwitchingProtocols {
				b, err := io.ReadAll(answer.Body) // to the end of the connection, too
				must(t, err)
				text = string(b)
			}
			if answer.StatusCode != tc.status || !strings.Contains(text, tc.says) || strings.Count(text, "\n") > 1 {
				t.Errorf("the answer is %s %q, want %d and %q", answer.Status, text, tc.status, tc.says)
			}
			for _, h := range tc.answers {
				if name, value, _ := strings.Cut(h, ": "); answer.Header.Get(name) != value {
					t.Errorf("the answer has %s: %q, want %q", name, answer.Header.Get(name), value)
				}
			}
			if tc.status == http.StatusSwitchingProtocols {
				return
			}
			f.seen.wait(t, "refused connect_invalid", func(n int) bool { return n == counted+1 })
			f.recalls(t, l, muster.ReasonConnectInvalid, tc.says)
		})
	}
}
