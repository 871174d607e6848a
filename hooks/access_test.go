package hooks

import (
	"net"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/policy"
)

const everything = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Deny","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/private/*"},
 {"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`

// admitted is a hook with a client whose policies allow nearly everything.
func admitted(tb testing.TB) (*Hook, *mqtt.Client) {
	tb.Helper()
	server := mqtt.New(&mqtt.Options{InlineClient: true})
	h := &Hook{server: server, keeper: unkept{}, observer: unobserved{}}
	ours, theirs := net.Pipe()
	tb.Cleanup(func() {
		_ = ours.Close()
		_ = theirs.Close()
	})
	cl := server.NewClient(ours, "test", "sensor", false)
	d, err := policy.Parse([]byte(everything))
	if err != nil {
		tb.Fatal(err)
	}
	s := &Session{hook: h, client: cl, candidate: &admission.Candidate{}, transport: ours, unlock: func() {}}
	s.bound.Store(policy.NewRealm("us-east-1", "123456789012").Bind([]*policy.Document{d}, policy.Variables{ClientID: "sensor"}))
	cl.Net.Conn = &attached{Conn: ours, session: s}
	return h, cl
}

// TestACLCheckDoesNotAllocate: it runs for each message and each of its
// deliveries.
func TestACLCheckDoesNotAllocate(t *testing.T) {
	h, cl := admitted(t)
	for _, write := range []bool{true, false} {
		n := testing.AllocsPerRun(100, func() {
			if !h.OnACLCheck(cl, "d/sensor-1/up", write) {
				t.Error("denied")
			}
		})
		if n != 0 {
			t.Errorf("write %v: %v allocations", write, n)
		}
	}
	if h.OnACLCheck(cl, "private/1", true) {
		t.Error("allowed")
	}
}

// TestACLCheckOfOneWhoIsKicked: it may do nothing while its connection ends.
func TestACLCheckOfOneWhoIsKicked(t *testing.T) {
	h, cl := admitted(t)
	sessionOf(cl).Kick(muster.ReasonRevoked, "")
	for _, write := range []bool{true, false} {
		if h.OnACLCheck(cl, "d/sensor-1/up", write) {
			t.Errorf("write %v: allowed", write)
		}
	}
}

// TestSharedMessagesWaitForNobodyInVain: members of a group who are connected come
// before those who are away, for whom a message waits where nobody is connected.
func TestSharedMessagesWaitForNobodyInVain(t *testing.T) {
	h, cl := admitted(t)
	away := h.server.NewClient(nil, "test", "away", false) // brought back from a store
	h.server.Clients.Add(cl)
	h.server.Clients.Add(away)
	chosen := func() int {
		members := map[string]packets.Subscription{cl.ID: {}, away.ID: {}}
		subs := h.OnSelectSubscribers(&mqtt.Subscribers{Shared: map[string]map[string]packets.Subscription{"$share/g/a": members}}, packets.Packet{TopicName: "a"})
		return len(subs.Shared["$share/g/a"])
	}
	if n := chosen(); n != 1 {
		t.Errorf("%d members may be chosen while one of them is connected", n)
	}
	cl.Stop(nil)
	if n := chosen(); n != 2 {
		t.Errorf("%d members may be chosen while both are away", n)
	}
}

func BenchmarkACLCheck(b *testing.B) {
	h, cl := admitted(b)
	b.ReportAllocs()
	for b.Loop() {
		if !h.OnACLCheck(cl, "d/sensor-1/up", false) {
			b.Fatal("denied")
		}
	}
}
