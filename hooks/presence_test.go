package hooks

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
)

// TestVersionsRise, also over a restart, and where the clock stands still or goes
// back.
func TestVersionsRise(t *testing.T) {
	start := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	var v versions
	last := int64(0)
	for _, after := range []time.Duration{0, 0, time.Second, -time.Hour, time.Minute} {
		n := v.next(start.Add(after))
		if n <= last {
			t.Errorf("%d follows %d", n, last)
		}
		last = n
	}
	var restarted versions
	if n := restarted.next(start.Add(2 * time.Minute)); n <= last || n >= 1<<53 {
		t.Errorf("after a restart %d follows %d", n, last)
	}
	const many = 1000
	seen := make(chan int64, many)
	var all sync.WaitGroup
	for range many {
		all.Go(func() { seen <- v.next(start) })
	}
	all.Wait()
	distinct := map[int64]bool{}
	for range many {
		distinct[<-seen] = true
	}
	if len(distinct) != many {
		t.Errorf("%d of %d differ", len(distinct), many)
	}
}

// TestDisconnectReasonOfCodes holds the words that no connection of a test ends
// with.
func TestDisconnectReasonOfCodes(t *testing.T) {
	_, cl := admitted(t)
	s := sessionOf(cl)
	for _, test := range []struct {
		cause error
		want  DisconnectReason
	}{
		{nil, DisconnectConnectionLost},
		{packets.CodeDisconnect, DisconnectClientInitiated},
		{packets.CodeDisconnectWillMessage, DisconnectClientInitiated},
		{packets.ErrSessionTakenOver, DisconnectDuplicate},
		{packets.ErrServerShuttingDown, DisconnectServerInitiated},
		{packets.ErrReceiveMaximum, DisconnectClientError},
		{packets.ErrRejectPacket, DisconnectServerError},
		{errors.New("no valid packet available; 0"), DisconnectClientError},
	} {
		if got := s.disconnectReason(test.cause); got != test.want {
			t.Errorf("%v is %s, want %s", test.cause, got, test.want)
		}
	}
	s.overflow("it does not read") // and so may be cut off before it is told
	if got := s.disconnectReason(net.ErrClosed); got != DisconnectThrottled {
		t.Errorf("a subscriber that does not keep up: %s", got)
	}
	for reason, want := range map[muster.Reason]DisconnectReason{
		muster.ReasonShutdown: DisconnectServerInitiated, muster.ReasonTakenOver: DisconnectDuplicate,
		muster.ReasonPolicyDenied: DisconnectForbidden, muster.ReasonInternalError: DisconnectServerError,
		muster.ReasonBusy: DisconnectThrottled, muster.ReasonSessionQuota: DisconnectThrottled,
		muster.ReasonOutsideValidity: DisconnectAuthError, muster.ReasonTransferred: DisconnectAuthError,
		muster.ReasonRevocationUnknown: DisconnectAuthError,
	} {
		if got := kickedFor(reason); got != want {
			t.Errorf("%s is %s, want %s", reason, got, want)
		}
	}
}

func TestIPOf(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:1883": "192.0.2.1", "[::ffff:192.0.2.1]:1883": "192.0.2.1", "[2001:db8::1]:1883": "2001:db8::1",
		"[fe80::1%eth0]:1883": "fe80::1", "pipe": "", "": "",
	} {
		if got := ipOf(remote); got != want {
			t.Errorf("%q: %q, want %q", remote, got, want)
		}
	}
}

// TestPresenceWithoutConnack: who was let in and could not be told appears and is
// gone, once, whoever drives the connection; who was refused does neither.
func TestPresenceWithoutConnack(t *testing.T) {
	for name, end := range map[string]func(*Session){
		"a server of our own":         func(s *Session) { s.transport = driven{s.transport}; s.End(false) },
		"one that it serves":          func(s *Session) { s.presence.served.Store(true); s.hook.OnDisconnect(s.client, io.EOF, false) },
		"somebody's own mochi server": func(s *Session) { _ = s.client.Net.Conn.Close() },
	} {
		h, cl := admitted(t)
		var heard []string
		err := h.server.Subscribe("$aws/events/presence/#", 1, func(_ *mqtt.Client, _ packets.Subscription, pk packets.Packet) {
			heard = append(heard, pk.TopicName)
		})
		if err != nil {
			t.Fatal(err)
		}
		s := sessionOf(cl)
		end(s)
		if len(heard) > 0 {
			t.Errorf("%s: a refused client is told of: %q", name, heard)
		}
		s.begins(nil)
		end(s)
		end(s)
		want := []string{"$aws/events/presence/connected/" + cl.ID, "$aws/events/presence/disconnected/" + cl.ID}
		if !slices.Equal(heard, want) {
			t.Errorf("%s: heard %q", name, heard)
		}
	}
}

// TestNobodyListens: then nothing is published.
func TestNobodyListens(t *testing.T) {
	h, cl := admitted(t)
	s := sessionOf(cl)
	for _, listen := range []bool{false, true} {
		if listen {
			if err := h.server.Subscribe("$aws/events/#", 1, func(*mqtt.Client, packets.Subscription, packets.Packet) {}); err != nil {
				t.Fatal(err)
			}
		}
		before := h.server.Info.Clone().MessagesReceived
		s.begins(nil)
		s.presence.here, s.presence.gone = false, false
		s.appear()
		s.subscribed([]string{"news"})
		s.vanish(nil)
		if n := h.server.Info.Clone().MessagesReceived - before; listen != (n > 0) {
			t.Errorf("listened to: %v; %d published", listen, n)
		}
	}
}
