package hooks

import (
	"fmt"
	"net"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
)

// served answers requests on one topic.
type served struct{ requests []Request }

const servedTopic = "$aws/certificates/create/json"

func (*served) Serves(topic string) bool { return topic == servedTopic }
func (s *served) Request(r Request)      { s.requests = append(s.requests, r) }

// TestCovers: which filters of a client's own cover a topic of the server's.
func TestCovers(t *testing.T) {
	for filter, want := range map[string]bool{
		"$a/b/c": true, "$a/b/+": true, "$a/+/c": true, "$a/#": true, "$a/b/#": true, "$a/b/c/#": true,
		"$a/b": false, "$a/b/c/d": false, "$a/b/c/+": false, "$a/+": false, "$b/#": false, "$a/b/d": false,
		"#": false, "+/b/c": false, "+/#": false, "": false, "a/b/c": false, "$share/g/$a/b/c": false, "$SHARE/g/$a/#": false,
	} {
		if got := covers(filter, "$a/b/c"); got != want {
			t.Errorf("%q covers $a/b/c: %v, want %v", filter, got, want)
		}
	}
}

// TestWhoMayAsk: topics of the server's are closed but for those of requests, to
// those whose policies allow them, and not to wills.
func TestWhoMayAsk(t *testing.T) {
	h, cl := admitted(t)
	s := sessionOf(cl)
	may := func(topic string) bool { return h.OnACLCheck(cl, topic, true) }
	if may(servedTopic) {
		t.Error("allowed without anyone to answer")
	}
	r := &served{}
	h.requests = r
	for topic, want := range map[string]bool{servedTopic: true, "$aws/other": false, "$SYS/x": false, "": true, "d/1": true} {
		if may(topic) != want {
			t.Errorf("%q: %v, want %v", topic, !want, want)
		}
	}
	if s.mayPublish(servedTopic, false) {
		t.Error("a will may be a request")
	}
	if n := testing.AllocsPerRun(100, func() { may(servedTopic) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	out, err := h.OnPublish(cl, packets.Packet{TopicName: servedTopic, FixedHeader: packets.FixedHeader{Retain: true}})
	if err != nil || !out.Ignore || out.FixedHeader.Retain {
		t.Errorf("%+v %v: it would go to others or be retained", out, err)
	}
	h.OnPublished(cl, out)
	h.OnPublished(cl, packets.Packet{TopicName: servedTopic})
	h.OnPublished(cl, packets.Packet{TopicName: "d/1", Ignore: true})
	if len(r.requests) != 1 || r.requests[0].Topic != servedTopic || r.requests[0].ClientID != "sensor" || r.requests[0].Session != s {
		t.Errorf("%d requests: %+v", len(r.requests), r.requests)
	}
}

// TestAliasedRequest: a request under an alias is judged as any other.
func TestAliasedRequest(t *testing.T) {
	h, cl := admitted(t)
	cl.Properties.ProtocolVersion = 5
	aliased := packets.Packet{TopicName: servedTopic, FixedHeader: packets.FixedHeader{Qos: 1}, Properties: packets.Properties{TopicAliasFlag: true}}
	if _, err := h.OnPublish(cl, aliased); err == nil {
		t.Error("allowed without anyone to answer")
	}
	h.requests = &served{}
	if out, err := h.OnPublish(cl, aliased); err != nil || !out.Ignore {
		t.Errorf("%v %v", out.Ignore, err)
	}
}

// TestAnswer: it goes to the connection that asked, as long as that listens.
func TestAnswer(t *testing.T) {
	h, cl := admitted(t)
	h.writeTimeout = time.Second
	ours, theirs := net.Pipe()
	defer theirs.Close()
	cl.Properties.ProtocolVersion = 5
	cl.Net.Conn.(*attached).Conn = ours
	s := sessionOf(cl)
	if s.Listens(servedTopic+"/accepted") || s.Answer(servedTopic+"/accepted", []byte("secret")) == nil {
		t.Error("answered though it is not subscribed")
	}
	cl.State.Subscriptions.Add("$aws/#", packets.Subscription{Filter: "$aws/#", Qos: 2, Identifier: 7})
	read := make(chan string)
	go func() {
		b := make([]byte, 200)
		n, _ := theirs.Read(b)
		read <- string(b[:n])
	}()
	if err := s.Answer(servedTopic+"/accepted", []byte("secret")); err != nil {
		t.Fatal(err)
	}
	got := <-read
	want := fmt.Sprintf("\x30%c\x00\x26%s/accepted\x02\x0b\x07secret", 2+38+3+6, servedTopic)
	if got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
	if n := cl.State.Inflight.Len(); n != 0 {
		t.Errorf("%d messages are kept", n)
	}
	s.Kick(muster.ReasonRevoked, "")
	if !s.Gone() || s.Listens(servedTopic+"/accepted") {
		t.Error("answered though it has to go")
	}
}

// TestClaimsDisplaceClaims and nobody else.
func TestClaimsDisplaceClaims(t *testing.T) {
	h, cl := admitted(t)
	s := sessionOf(cl)
	other := mqtt.New(nil).NewClient(nil, "test", cl.ID, false) // brought back from a store
	_, held := admitted(t)
	for _, test := range []struct {
		claim  bool
		old    *mqtt.Client
		heldBy bool // a claim
		want   bool
	}{
		{false, held, false, true}, {false, other, false, true},
		{true, held, false, false}, {true, held, true, true}, {true, other, false, false},
	} {
		s.claim, sessionOf(held).claim = test.claim, test.heldBy
		if got := s.mayDisplace(test.old); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
	s.beginClaim()
	if !s.transient() {
		t.Error("the session of a claim outlives its connection")
	}
	pk := h.OnPacketEncode(cl, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connack}})
	if !pk.Properties.SessionExpiryIntervalFlag || pk.Properties.SessionExpiryInterval != 0 {
		t.Errorf("%+v", pk.Properties)
	}
}

// TestClaimsHaveFewSubscriptions: strangers may have one, and the star in its
// policy takes filters of any length.
func TestClaimsHaveFewSubscriptions(t *testing.T) {
	h, cl := admitted(t)
	sessionOf(cl).claim = true
	asked := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe}}
	for i := range maxClaimSubscriptions + 1 {
		asked.Filters = append(asked.Filters, packets.Subscription{Filter: fmt.Sprint("$aws/certificates/create/", i, "/accepted")})
	}
	granted := h.OnSubscribe(cl, asked)
	codes := make([]byte, len(asked.Filters))
	h.OnSubscribed(cl, granted, codes)
	for i, code := range codes {
		want := packets.CodeGrantedQos0.Code
		if i == maxClaimSubscriptions {
			want = packets.ErrUnspecifiedError.Code // as MQTT 3.1.1 says it
		}
		if code != want {
			t.Errorf("subscription %d: 0x%02X, want 0x%02X", i, code, want)
		}
	}
}
