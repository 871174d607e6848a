package broker

import (
	"maps"
	"slices"

	mqtt "github.com/mochi-mqtt/server/v2"
)

// Traffic is what the MQTT servers of all accounts together have seen. Those of
// received and sent count since the start, the others tell of now.
type Traffic struct {
	PacketsReceived, PacketsSent   int64
	BytesReceived, BytesSent       int64
	MessagesReceived, MessagesSent int64 // PUBLISH packets

	Connected       int64 // sessions with a connection
	Away            int64 // sessions that wait for their client
	Subscriptions   int64
	Retained        int64 // messages of clients
	Inflight        int64 // messages of QoS 1 and 2 that are not acknowledged
	InflightDropped int64 // those that grew too old; since the start
}

// Traffic adds up the figures of the accounts.
func (b *Broker) Traffic() Traffic {
	b.servers.mu.Lock()
	running := slices.Collect(maps.Values(b.servers.byName))
	b.servers.mu.Unlock()
	var t Traffic
	for _, s := range running {
		info := s.Info.Clone()
		t.PacketsReceived += info.PacketsReceived
		t.PacketsSent += info.PacketsSent
		t.BytesReceived += info.BytesReceived
		t.BytesSent += info.BytesSent
		t.MessagesReceived += info.MessagesReceived
		t.MessagesSent += info.MessagesSent
		t.Connected += info.ClientsConnected
		// One more than the sessions: mochi's inline client. A client that is just
		// coming or going may be in one figure already and not in the other.
		t.Away += max(0, int64(s.Clients.Len())-1-info.ClientsConnected)
		t.Subscriptions += info.Subscriptions
		t.Retained += int64(s.Topics.Retained.Len() - len(s.Topics.Messages(mqtt.SysPrefix+"/#")))
		// mochi's own figure goes below zero: a session that is taken up again
		// brings messages that it has already counted off.
		for _, cl := range s.Clients.GetAll() {
			t.Inflight += int64(cl.State.Inflight.Len())
		}
		t.InflightDropped += info.InflightDropped
	}
	return t
}
