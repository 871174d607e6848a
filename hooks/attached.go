package hooks

import (
	"net"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// attached is the connection of an admitted client: it leads from mochi's
// client to the session without a look-up.
type attached struct {
	net.Conn
	session *Session

	// Whether mochi's reader acts on a packet, and has written a DISCONNECT. mochi
	// reads from the connection that it was given, past this one: nothing here
	// sees what comes.
	acting, told atomic.Bool
	fault        packets.Code // of the packet that OnPacketRead refused; the reader's own
}

// SetDeadline is mochi's keep-alive. It sets it anew for each packet that the
// client sends, and may so bound nothing but reading. It rounds the half of the
// keep-alive down, and would cut off a client that sends something each second,
// as it said [MQTT-3.1.2-22].
func (a *attached) SetDeadline(t time.Time) error {
	if !t.IsZero() && a.session.client.State.Keepalive%2 == 1 {
		t = t.Add(time.Second / 2)
	}
	return a.SetReadDeadline(t)
}

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
