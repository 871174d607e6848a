package broker

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gorilla/websocket"
)

// What a client of WebSocket asks for: the path that MQTT over WebSocket has
// everywhere, and the name that the standard gives the protocol [MQTT-6.0.0-3].
const (
	webPath     = "/mqtt"
	subprotocol = "mqtt"
)

// maxRequest is how many bytes the request may have that opens a WebSocket, its
// cookies included.
const maxRequest = 16 << 10

// webError is what a client did wrong before there was MQTT. With a status it is
// an answer of HTTP.
type webError struct {
	status int
	detail string
	header http.Header // that the status calls for
}

func (e *webError) Error() string { return e.detail }

// answer writes the response of HTTP, one sentence.
func (e *webError) answer(w io.Writer) error {
	text := http.StatusText(e.status) + ": " + e.detail + ".\n"
	header := http.Header{"Content-Type": {"text/plain; charset=utf-8"}}
	for name, values := range e.header {
		header[name] = values
	}
	response := http.Response{
		StatusCode: e.status, ProtoMajor: 1, ProtoMinor: 1, Header: header, Close: true,
		Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)),
	}
	return response.Write(w)
}

// readRequest reads the head of a request. A body is nobody's.
func readRequest(from io.Reader) (*http.Request, error) {
	bounded := &io.LimitedReader{R: from, N: maxRequest}
	in := bufio.NewReaderSize(bounded, ioBufferSize)
	first, err := in.Peek(1)
	if err != nil {
		return nil, err
	}
	looks := resemblance(first)
	r, err := http.ReadRequest(in)
	var network net.Error
	switch {
	case err == nil && in.Buffered() > 0:
		return nil, &webError{status: http.StatusBadRequest, detail: "the client sent more than its request before it was answered"}
	case err == nil:
		return r, nil
	case bounded.N <= 0:
		return nil, &webError{status: http.StatusRequestHeaderFieldsTooLarge,
			detail: fmt.Sprintf("the request has more than %d bytes", maxRequest)}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, io.EOF
	case errors.Is(err, io.EOF), errors.As(err, &network):
		return nil, err
	}
	return nil, &webError{status: http.StatusBadRequest, detail: "the first bytes are no request of HTTP" + looks}
}

// judgeRequest says what is wrong with a request to open a WebSocket for MQTT;
// nil for nothing.
func judgeRequest(r *http.Request) *webError {
	switch {
	case r.URL.Path != webPath:
		return &webError{status: http.StatusNotFound, detail: fmt.Sprintf("the path is %.64q; MQTT is at %s", r.URL.Path, webPath)}
	case r.Method != http.MethodGet:
		return &webError{http.StatusMethodNotAllowed, fmt.Sprintf("the method is %.16q; a WebSocket is opened by GET", r.Method),
			http.Header{"Allow": {http.MethodGet}}}
	case !r.ProtoAtLeast(1, 1): // RFC 6455 §4.1
		return &webError{status: http.StatusBadRequest, detail: "a WebSocket is opened by HTTP/1.1"}
	case !websocket.IsWebSocketUpgrade(r):
		return &webError{http.StatusUpgradeRequired, "the request asks for no WebSocket; MQTT is spoken on nothing else here",
			http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}}}
	case r.Header.Get("Sec-Websocket-Version") != "13": // RFC 6455 §4.4
		return &webError{http.StatusUpgradeRequired, fmt.Sprintf("the version of WebSocket is %.16q, not 13", r.Header.Get("Sec-Websocket-Version")),
			http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"}}}
	case !sameOrigin(r):
		return &webError{status: http.StatusForbidden, detail: fmt.Sprintf("the origin is %.64q; a page from elsewhere may not use the certificate of who looks at it", r.Header.Get("Origin"))}
	}
	// The library reads the first line of that name only; there may be several
	// (RFC 6455 §11.3.4).
	r.Header.Set("Sec-Websocket-Protocol", strings.Join(r.Header.Values("Sec-Websocket-Protocol"), ","))
	if offered := websocket.Subprotocols(r); !slices.Contains(offered, subprotocol) {
		return &webError{status: http.StatusBadRequest, detail: fmt.Sprintf("the client offers the subprotocols %.32q, and not mqtt", offered[:min(len(offered), maxProtocols)])}
	}
	return nil
}

func wrongKey() *webError {
	return &webError{status: http.StatusBadRequest, detail: "the header Sec-WebSocket-Key is not 16 bytes in base64"}
}

// sameOrigin reports whether no browser speaks, or one that shows a page of this
// very host and port. A browser uses a certificate for whatever page asks; only
// here, not in the browser, a page from elsewhere can be stopped (RFC 6455 §10.2).
func sameOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	u, err := url.Parse(origins[0])
	return err == nil && len(origins) == 1 && u.Scheme == "https" && strings.EqualFold(withPort(u.Host), withPort(r.Host))
}

// withPort adds the port of HTTPS where there is none.
func withPort(host string) string {
	u := url.URL{Host: host}
	if u.Port() != "" {
		return host
	}
	return strings.TrimSuffix(host, ":") + ":443"
}
