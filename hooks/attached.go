package hooks

import (
	"net"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
)

// attached is the connection of an admitted client: it leads from mochi's
// client to the session without a look-up.
type attached struct {
	net.Conn
	session *Session
}

// Close also frees the client ID, for a connection that ends before its
// CONNACK, unless whoever drives it calls Session.End.
func (a *attached) Close() error {
	if _, driven := a.Conn.(Connection); !driven {
		defer a.session.unlock()
	}
	return a.Conn.Close()
}

// SetDeadline is mochi's keep-alive. It sets it anew for each packet that the
// client sends, and may so bound nothing but reading.
func (a *attached) SetDeadline(t time.Time) error { return a.SetReadDeadline(t) }

// Write gives every write its own time. mochi holds the client's lock while it
// writes and takes the same lock to number a message of QoS 1 for the client,
// on the publisher's goroutine: a client that does not read would hold up
// everyone who publishes to it. One whose time is up is cut off, for mochi
// would go on.
func (a *attached) Write(p []byte) (int, error) {
	if err := a.SetWriteDeadline(time.Now().Add(a.session.hook.writeTimeout)); err != nil {
		return 0, err
	}
	n, err := a.Conn.Write(p)
	if err != nil {
		_ = a.Conn.Close()
	}
	return n, err
}

func sessionOf(cl *mqtt.Client) *Session {
	if a, ok := cl.Net.Conn.(*attached); ok {
		return a.session
	}
	return nil
}
