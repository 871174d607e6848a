package broker

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// WebSocket is a listener, for Serve, whose clients speak MQTT over WebSocket
// inside TLS (MQTT 5 §6). They open it by GET /mqtt.
type WebSocket struct{ net.Listener }

// door is what is spoken to those who come by a listener.
type door struct {
	tls      *tls.Config
	upgrader *websocket.Upgrader // nil where MQTT needs no WebSocket
}

// webProtocols are what a client of WebSocket may ask for by ALPN (RFC 7301):
// WebSocket begins as HTTP/1.1.
var webProtocols = []string{"http/1.1"}

// webDoor makes the door of WebSocket listeners of that of the others. An idle
// client has no buffer for writing.
func webDoor(config *tls.Config) *door {
	config = config.Clone()
	config.NextProtos = webProtocols
	return &door{config, &websocket.Upgrader{
		Subprotocols:   []string{subprotocol},
		ReadBufferSize: ioBufferSize, WriteBufferSize: ioBufferSize, WriteBufferPool: new(sync.Pool),
		CheckOrigin: func(*http.Request) bool { return true }, // judged before, by https alone
		Error:       func(http.ResponseWriter, *http.Request, int, error) {},
	}}
}

func (b *Broker) doorOf(l net.Listener) *door {
	if _, ok := l.(WebSocket); ok {
		return b.web
	}
	return b.plain
}

// transport returns what MQTT is spoken on: the connection itself, or the
// WebSocket that the client opens in it, until the deadline. A client that does
// that wrongly is told so by HTTP, and the error is a *webError.
func (b *Broker) transport(d *door, c *conn, deadline time.Time) (net.Conn, error) {
	if d.upgrader == nil {
		return c, nil
	}
	w, err := upgrade(d.upgrader, c, deadline)
	var wrong *webError
	if errors.As(err, &wrong) {
		_ = wrong.answer(c)
	}
	if err != nil {
		return nil, err
	}
	w.ws.SetReadLimit(int64(b.servers.maxPacketSize) + roomBeside)
	return w, nil
}

// roomBeside is how many bytes one message may have besides the largest packet:
// packets need not begin and end with messages [MQTT-6.0.0-2], and some clients
// send many at once. A message is never in memory as a whole.
const roomBeside = 64 << 10

func upgrade(u *websocket.Upgrader, c *conn, deadline time.Time) (*webConn, error) {
	r, err := readRequest(c)
	if err != nil {
		return nil, err
	}
	if wrong := judgeRequest(r); wrong != nil {
		return nil, wrong
	}
	ws, err := u.Upgrade(&hijacked{conn: c.Conn}, r, nil)
	var bad websocket.HandshakeError
	if errors.As(err, &bad) {
		return nil, wrongKey()
	}
	if err != nil {
		return nil, err
	}
	w := &webConn{conn: c, ws: ws}
	return w, w.SetDeadline(deadline) // Upgrade has taken it away
}

// hijacked gives the upgrader the connection. It has nothing else of HTTP.
type hijacked struct {
	http.ResponseWriter
	conn net.Conn
}

// Hijack is asked for first: the buffers are empty, for a client waits for the
// answer before it sends more (RFC 6455 §4.1).
func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReaderSize(h.conn, 1), bufio.NewWriterSize(h.conn, ioBufferSize)), nil
}

// webConn is a conn whose client speaks WebSocket. Mochi reads and writes a
// stream of bytes on it, as on any other.
type webConn struct {
	*conn
	ws      *websocket.Conn
	message io.Reader // the message that is being read; the reader's own

	writing sync.Mutex // held while a message is written: the library panics on two

	mu      sync.Mutex
	writeBy time.Time
}

// Read reads on in the messages of the client. Control frames are answered
// meanwhile, and none of them moves the deadline: a client that sends pings of
// WebSocket and no packets is silent to MQTT.
func (c *webConn) Read(p []byte) (int, error) {
	for {
		if c.message == nil {
			kind, r, err := c.ws.NextReader()
			if err != nil {
				return 0, readError(err)
			}
			if kind != websocket.BinaryMessage { // [MQTT-6.0.0-1]
				c.bye(websocket.CloseUnsupportedData)
				return 0, &webError{detail: "the client sent a text message; MQTT goes in binary ones"}
			}
			c.message = r
		}
		n, err := c.message.Read(p)
		if n > 0 {
			c.last = p[n-1]
		}
		if err == io.EOF {
			c.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, readError(err)
		}
	}
}

// readError gives the library's errors the names that they have on a plain
// connection: it hides those of the network.
func readError(err error) error {
	var closed *websocket.CloseError
	var network net.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &closed): // also by none at all
		return io.EOF
	case errors.As(err, &network) && network.Timeout():
		return os.ErrDeadlineExceeded
	case errors.As(err, &network):
		return io.EOF
	}
	return &webError{detail: "the client broke the rules of WebSocket: " + err.Error()}
}

// Write sends p as one message.
func (c *webConn) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	by := c.writeBy
	c.mu.Unlock()
	if err := c.ws.SetWriteDeadline(by); err != nil {
		return 0, err
	}
	if err := c.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// SetDeadline bounds reading and writing.
func (c *webConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetWriteDeadline bounds messages, also one that is being written. The library
// gives each write a deadline of its own, that of control frames among them.
func (c *webConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeBy = t
	return c.conn.SetWriteDeadline(t)
}

// Close says goodbye and ends the connection, as soon as it would end without
// WebSocket, whatever the peer does.
func (c *webConn) Close() error {
	cut := time.AfterFunc(closeTimeout, func() { _ = c.NetConn().Close() })
	defer cut.Stop()
	c.bye(websocket.CloseNormalClosure)
	return c.conn.Close()
}

// bye sends a close frame, the first time that it is called.
func (c *webConn) bye(code int) {
	_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(closeTimeout))
}
