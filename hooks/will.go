package hooks

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
)

// testament is what a client wants said when its connection ends without a
// goodbye. mochi gets to know of none: it would lose most properties of a will
// [MQTT-3.1.2-7], and one whose delay is longer than the session that it belongs
// to, and would judge nothing when a delayed one goes out. The zero value is
// none.
type testament struct {
	message packets.Packet // without a topic: no will
	delay   time.Duration

	goodbye bool // the client took leave; owned by the connection's goroutine

	// Under the mutex of wills:
	closed  bool // the connection has ended
	settled bool // published, or never to be
	heir    heir
	timer   *time.Timer // of a will that is delayed
}

// heir is the connection that followed with the same client ID.
type heir byte

const (
	nobody   heir = iota
	stranger      // began a session of its own
	resumed       // goes on with the session
)

// wills holds those that wait for their delay to pass. The zero value is ready.
type wills struct {
	mu      sync.Mutex
	delayed map[*Session]struct{}
	stopped bool // nothing is delayed any more
}

// testamentOf takes the will of a CONNECT away from mochi.
func testamentOf(cl *mqtt.Client, connect *packets.ConnectParams) testament {
	cl.Properties.Will = mqtt.Will{}
	if !connect.WillFlag {
		return testament{}
	}
	p, payload := connect.WillProperties, connect.WillPayload
	if len(payload) == 1 && &payload[0] == &emptyWill[0] {
		payload = nil
	}
	return testament{
		delay: time.Duration(p.WillDelayInterval) * time.Second,
		message: packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: connect.WillQos, Retain: connect.WillRetain},
			TopicName:   connect.WillTopic, Payload: payload,
			PacketID: uint16(connect.WillQos), // mochi wants some number for QoS 1 and 2
			Properties: packets.Properties{
				PayloadFormat: p.PayloadFormat, PayloadFormatFlag: p.PayloadFormatFlag,
				MessageExpiryInterval: p.MessageExpiryInterval, ContentType: p.ContentType,
				ResponseTopic: p.ResponseTopic, CorrelationData: p.CorrelationData, User: p.User,
			},
		},
	}
}

// emptyWill stands for a payload of no bytes until mochi, which takes that for a
// will without a payload, has passed the CONNECT. It is known by its address.
var emptyWill = []byte{0}

// bequeath decides what becomes of the will now that the connection has ended:
// it goes out at once, or when its delay has passed or the session ends,
// whichever is first, or not at all (MQTT 5 §3.1.2.5, §3.1.3.2.2; 3.1.1
// §3.1.2.5). Only the first call counts.
func (s *Session) bequeath() {
	w, all := &s.will, &s.hook.wills
	all.mu.Lock()
	if w.message.TopicName == "" || !s.begun || w.closed {
		all.mu.Unlock()
		return
	}
	w.closed = true
	delay := min(w.delay, time.Duration(s.client.Properties.Props.SessionExpiryInterval)*time.Second)
	switch {
	case w.goodbye, delay > 0 && w.heir == resumed: // [MQTT-3.14.4-3] [MQTT-3.1.3-9]
		w.settled = true
	case delay > 0 && w.heir == nobody && !all.stopped:
		if all.delayed == nil {
			all.delayed = map[*Session]struct{}{}
		}
		all.delayed[s] = struct{}{}
		w.timer = time.AfterFunc(delay, s.execute)
	}
	waits := w.settled || w.timer != nil
	all.mu.Unlock()
	if !waits {
		s.execute()
	}
}

// succeed tells a session of the connection that follows with its client ID,
// before that takes the session over.
func (s *Session) succeed(by heir) {
	w, all := &s.will, &s.hook.wills
	all.mu.Lock()
	w.heir = by
	delayed := w.timer != nil && !w.settled
	if delayed && by == resumed {
		w.settled = true
		w.timer.Stop()
		delete(all.delayed, s)
	}
	all.mu.Unlock()
	if delayed && by == stranger { // the session ends [MQTT-3.1.2-8]
		s.execute()
	}
}

// execute publishes the will, once, where the policies allow it now.
func (s *Session) execute() {
	defer s.hook.guard("will", func() {})
	w, all := &s.will, &s.hook.wills
	all.mu.Lock()
	done := w.settled
	w.settled = true
	if w.timer != nil {
		w.timer.Stop()
	}
	delete(all.delayed, s)
	all.mu.Unlock()
	if done {
		return
	}
	if err := s.publishWill(); err != nil {
		s.hook.refusalLog.Warn().Err(err).Str("event", "will_withheld").Str("certificate", s.candidate.ID).
			Str("client", fmt.Sprintf("%.128s", s.client.ID)).Str("account", s.candidate.Account).Msg("a will was not published")
	}
}

func (s *Session) publishWill() error {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	m := s.will.message
	g, err := s.refresh(ctx)
	if err != nil && !errors.Is(err, muster.ErrNotFound) {
		return fmt.Errorf("reading the policies: %w", err)
	}
	if !s.mayPublish(m.TopicName, m.FixedHeader.Retain) {
		if err != nil { // by the last policies of a certificate whose record is gone
			return fmt.Errorf("its topic %.128q was not allowed when the certificate was deleted", m.TopicName)
		}
		return errors.New(g.willDenial(m.TopicName, m.FixedHeader.Retain))
	}
	// In the client's name, for subscriptions that leave out what it publishes
	// itself [MQTT-3.8.3-3].
	from := s.hook.server.NewClient(nil, mqtt.LocalListener, s.client.ID, true)
	from.Properties.ProtocolVersion = s.client.Properties.ProtocolVersion
	return s.hook.server.InjectPacket(from, m)
}

// OnSessionEstablish runs when nothing keeps the client out any more, and before
// it takes over the session of its ID.
func (h *Hook) OnSessionEstablish(cl *mqtt.Client, pk packets.Packet) {
	defer h.guard("OnSessionEstablish", func() { cl.Stop(packets.ErrNotAuthorized) })
	s := sessionOf(cl)
	if s == nil {
		return
	}
	s.begun = true
	old, ok := h.server.Clients.Get(cl.ID)
	if !ok {
		s.begins(nil)
		return
	}
	o := sessionOf(old)
	s.begins(o)
	if o != nil {
		by := resumed
		if pk.Connect.Clean || o.transient() {
			by = stranger
		}
		o.succeed(by)
	}
}

// OnStopped publishes the wills that wait still: nobody will later.
func (h *Hook) OnStopped() {
	defer h.guard("OnStopped", func() {})
	h.wills.mu.Lock()
	h.wills.stopped = true
	var waiting []*Session
	for s := range h.wills.delayed {
		waiting = append(waiting, s)
	}
	h.wills.mu.Unlock()
	for _, s := range waiting {
		s.execute()
	}
}
