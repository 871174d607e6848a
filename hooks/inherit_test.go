package hooks_test

import (
	"testing"
	"testing/synctest"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
)

const noSecrets = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Deny","Action":"iot:Subscribe","Resource":["arn:aws:iot:*:*:topicfilter/secret/*","arn:aws:iot:*:*:topicfilter/quiet/*"]},
 {"Effect":"Deny","Action":"iot:Receive","Resource":["arn:aws:iot:*:*:topic/secret/*","arn:aws:iot:*:*:topic/open/hidden"]}]}`

// TestWhatATakeoverInherits: another certificate that may use the client ID goes
// on with the session, as far as its own policies allow: not with subscriptions,
// messages that wait, or retained messages of what is denied to it.
func TestWhatATakeoverInherits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		defer b.stop()
		first, second := b.leaf("first"), b.leaf("second")
		b.restrict(second)
		p := b.admitted(first, 5, "shared", kept(60))
		p.subscribe("secret/#")
		p.subscribe("open/#")
		p.subscribe("quiet/#") // may be received, and not subscribed to
		_ = p.conn.Close()
		synctest.Wait()
		for _, topic := range []string{"secret/waits", "open/waits", "open/hidden"} {
			must(t, b.server.Publish(topic, nil, false, 1))
		}
		p = b.admitted(second, 5, "shared", resuming)
		synctest.Wait()
		for _, topic := range []string{"secret/new", "quiet/new", "open/new"} {
			must(t, b.server.Publish(topic, nil, false, 1))
		}
		for _, topic := range []string{"open/kept", "open/hidden"} {
			must(t, b.server.Publish(topic, []byte("x"), true, 1))
		}
		synctest.Wait()
		p.write(packets.Packet{ // brings what is retained once more
			FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, PacketID: 200,
			Filters: packets.Subscriptions{{Filter: "open/#", Qos: 1}},
		})
		synctest.Wait()
		got := map[string]int{}
		for len(p.in) > 0 {
			if pk := <-p.in; pk.FixedHeader.Type == packets.Publish {
				got[pk.TopicName]++
			}
		}
		if len(got) != 3 || got["open/waits"] != 1 || got["open/new"] != 1 || got["open/kept"] != 2 {
			t.Errorf("delivered %v", got)
		}
	})
}

// restrict has a device register, and then takes some of its rights.
func (b *bubble) restrict(l *mint.Leaf) {
	b.t.Helper()
	b.admitted(l, 5, "registers", nil).leave(0, -1)
	synctest.Wait()
	_, err := b.store.CreatePolicy(b.t.Context(), account, "nosecrets", noSecrets, nil)
	must(b.t, err)
	must(b.t, b.store.AttachPolicy(b.t.Context(), account, "nosecrets", muster.KindCertificate, muster.Fingerprint(l.Cert.Raw)))
}

// TestSharedSubscriptionSparesTheDenied: a member of the group that may not
// receive a message does not swallow it.
func TestSharedSubscriptionSparesTheDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		defer b.stop()
		denied := b.leaf("denied")
		b.restrict(denied)
		p, q := b.admitted(denied, 5, "denied", nil), b.admitted(b.leaf("allowed"), 5, "allowed", nil)
		for _, member := range []*peer{p, q} {
			member.subscribe("$share/group/open/#")
		}
		const n = 20 // mochi chooses at random
		for range n {
			must(t, b.server.Publish("open/hidden", nil, false, 0))
			must(t, b.server.Publish("open/seen", nil, false, 0))
		}
		synctest.Wait()
		got := map[string]int{}
		for _, member := range []*peer{p, q} {
			for len(member.in) > 0 {
				got[(<-member.in).TopicName]++
			}
		}
		if got["open/hidden"] != n || got["open/seen"] != n {
			t.Errorf("delivered %v, want %d each", got, n)
		}
		if err := q.conn.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		must(t, b.server.Publish("open/hidden", nil, false, 0)) // nobody may have it
		must(t, b.server.Publish("open/seen", nil, false, 0))
		synctest.Wait()
		if pk := <-p.in; pk.TopicName != "open/seen" || len(p.in) > 0 {
			t.Errorf("%s was delivered", pk.TopicName)
		}
	})
}
