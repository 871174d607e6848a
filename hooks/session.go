package hooks

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/policy"
)

// Session is an admitted client with what its policies allow it. It lives as
// long as mochi keeps the client, which for a persistent session is longer
// than its connection.
type Session struct {
	hook      *Hook
	client    *mqtt.Client
	candidate *admission.Candidate
	transport net.Conn
	asked     policy.ConnectAttributes     // set before anyone else knows the session
	claim     bool                         // of a claim certificate; the same
	bound     atomic.Pointer[policy.Bound] // read on the publish path
	exclusive atomic.Value                 // string: the thing that had the certificate exclusively at its CONNECT; "" for none

	kicked      atomic.Pointer[kick] // why it has to go; it may do nothing more meanwhile
	established atomic.Bool          // its CONNACK was sent
	parting     atomic.Bool          // its connection is being closed
	begun       bool                 // nothing keeps it out any more; its connection's goroutine owns this
	will        testament
	expiry      *time.Timer // of the certificate, where nobody drives the connection; the same
	presence    presence

	// Its connection's goroutine owns these.
	unlock func() // frees the client ID
	ending bool   // the client ID was taken once more, to clean up
	excess []int  // which filters of the SUBSCRIBE at hand are too many

	refreshing sync.Mutex // held while bound and watched are made anew
	watched    []muster.ResourceKey
}

// kick is why a session has to go, and since when that is known.
type kick struct {
	admission.Decision
	known time.Time
}

// Rejudge asks the rules and the policies again after a change, and closes the
// connection or takes away the subscriptions that are not allowed any more. The
// change was told at the time given: from then on the kick is measured.
func (s *Session) Rejudge(ctx context.Context, told time.Time) {
	failed := func(why string) {
		s.kick(kick{admission.Decision{Reason: muster.ReasonInternalError, Detail: why}, told})
	}
	defer s.hook.guard("Rejudge", func() { failed("it could not be judged") })
	if d := s.hook.gate.Standing(ctx, s.candidate); d.Verdict != admission.Admit {
		s.kick(kick{d, told})
		return
	}
	g, err := s.refresh(ctx)
	if err != nil {
		s.hook.log.Error().Err(err).Str("certificate", s.candidate.ID).Msg("policies could not be read; the connection is closed")
		failed("the policies could not be read")
		return
	}
	if s.bound.Load().Evaluate(policy.Connect, s.client.ID) != policy.Allowed {
		s.kick(kick{admission.Decision{Reason: muster.ReasonPolicyDenied, Detail: g.denial(policy.Connect, s.client.ID)}, told})
		return
	}
	s.judgeSubscriptions()
}

// Recheck has OCSP asked again, and closes the connection if the answer does not
// let it stay.
func (s *Session) Recheck(ctx context.Context) (d admission.Decision, asked bool) {
	defer s.hook.guard("Recheck", func() { s.Kick(muster.ReasonInternalError, "it could not be judged") })
	start := time.Now()
	d, asked = s.hook.gate.Recheck(ctx, s.candidate)
	if !asked || d.Verdict == admission.Admit {
		return d, asked
	}
	known := s.candidate.Learned()
	if known.Before(start) { // there was no answer
		known = time.Now()
	}
	s.kick(kick{d, known})
	return d, asked
}

// refresh reads the principal and binds its policies. It reads once more after
// what it watches has grown, for a change before the watching was not told.
func (s *Session) refresh(ctx context.Context) (grounds, error) {
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	for {
		p, err := s.hook.principals.Principal(ctx, s.candidate.Account, s.candidate.ID, s.client.ID)
		if err != nil {
			return grounds{}, err
		}
		g, err := s.hook.grounds(p, s.candidate, s.client.ID, s.asked)
		if err != nil {
			return grounds{}, err
		}
		s.bound.Store(g.bind())
		s.exclusive.CompareAndSwap(nil, exclusiveThing(&p))
		if !s.watch(p.Watch) {
			return g, nil
		}
	}
}

// exclusiveThing returns the name of the thing that has the certificate exclusively,
// and so is the connection whatever its client ID; "" if none has.
func exclusiveThing(p *muster.Principal) string {
	if p.Thing == nil || !p.Certificate.Exclusive {
		return ""
	}
	return p.Thing.Name
}

// watch notes what to watch and reports whether anything is new.
func (s *Session) watch(keys []muster.ResourceKey) (grown bool) {
	known := make(map[muster.ResourceKey]bool, len(s.watched))
	for _, k := range s.watched {
		known[k] = true
	}
	for _, k := range keys {
		grown = grown || !known[k]
	}
	s.watched = keys
	if c, ok := s.transport.(Connection); ok && grown {
		c.Watch(keys)
	}
	return grown
}

// judgeSubscriptions takes away the subscriptions that no policy allows, those
// that were inherited from an earlier connection among them.
func (s *Session) judgeSubscriptions() {
	var taken []string
	for filter := range s.client.State.Subscriptions.GetAll() {
		if !s.maySubscribe(filter) {
			s.unsubscribe(filter)
			taken = append(taken, filter)
		}
	}
	s.unsubscribed(taken)
}

// judgeWaiting takes away the messages that wait since an earlier connection of
// the client ID and may not be delivered now. When they were published, mochi
// asked the session of that time, and it sends them again without asking. One
// that is larger than the client takes now would end each of its connections.
func (s *Session) judgeWaiting() {
	waiting := s.client.State.Inflight
	for _, pk := range waiting.GetAll(false) {
		if pk.FixedHeader.Type == packets.Publish && (!s.allowed(policy.Receive, pk.TopicName) ||
			oversized(pk, s.client.Properties.Props.MaximumPacketSize)) {
			waiting.Delete(pk.PacketID)
		}
	}
}

func (s *Session) unsubscribe(filter string) {
	s.client.State.Subscriptions.Delete(filter)
	if s.hook.server.Topics.Unsubscribe(filter, s.client.ID) {
		atomic.AddInt64(&s.hook.server.Info.Subscriptions, -1)
	}
}

// maySubscribe judges a filter: one of a shared subscription as what follows
// the group's name (MQTT 5 §4.8.2).
func (s *Session) maySubscribe(filter string) bool {
	if mqtt.IsSharedFilter(filter) { // in any case of its letters, as mochi takes it
		_, group, _ := strings.Cut(filter, "/")
		_, filter, _ = strings.Cut(group, "/")
	}
	return filter != "" && s.allowed(policy.Subscribe, filter)
}

func (s *Session) allowed(a policy.Action, name string) bool {
	return s.bound.Load().Evaluate(a, name) == policy.Allowed
}

// mayPublish judges a topic name. Topics that begin with $ belong to the
// server, and only the server publishes there; mayAsk judges what clients ask it.
func (s *Session) mayPublish(topic string, retain bool) bool {
	if topic == "" || topic[0] == '$' || tooDeep(topic) || !s.allowed(policy.Publish, topic) {
		return false
	}
	return !retain || s.allowed(policy.RetainPublish, topic)
}

// kickTimeout bounds what the farewell to a client that does not read may cost.
const kickTimeout = time.Second

// Kick closes the connection at once and does not wait for it. A client of
// MQTT 5 is told why; 3.1.1 has no packet for that.
func (s *Session) Kick(r muster.Reason, detail string) {
	s.kick(kick{admission.Decision{Reason: r, Detail: detail}, time.Now()})
}

func (s *Session) kick(k kick) {
	if s.kicked.CompareAndSwap(nil, &k) && s.established.Load() {
		s.depart()
	}
}

// admit notes that the CONNACK is sent. No DISCONNECT may come before it
// [MQTT-3.14.0-1], so that who was kicked meanwhile goes now; before that,
// OnConnect refuses.
func (s *Session) admit() {
	s.established.Store(true)
	if s.kicked.Load() != nil {
		s.depart()
	}
}

// depart carries out a kick.
func (s *Session) depart() {
	k := s.kicked.Load()
	r, detail := k.Reason, k.Detail
	first := s.part(packets.Code{Code: disconnectOf(r).Code, Reason: reasonString(r, detail, s.client.Properties.Props)}, func() {
		s.hook.observer.Kicked(r, time.Since(k.known))
	})
	if !first {
		return
	}
	s.hook.refusalLog.Info().Str("event", "kicked").Str("reason", string(r)).Str("detail", detail).
		Str("certificate", s.candidate.ID).Str("client", fmt.Sprintf("%.128s", s.client.ID)).Str("account", s.candidate.Account).
		Str("remote", s.candidate.Remote).Msg("connection closed")
	if r != muster.ReasonShutdown { // all at once would push out what is worth remembering
		s.hook.gate.Closed(s.candidate, k.Decision, s.client.ID)
	}
}

// overflow disconnects a subscriber that cannot keep up, and reports whether
// this was the first time.
func (s *Session) overflow(detail string) bool {
	s.presence.throttled.Store(true)
	first := s.part(packets.ErrQuotaExceeded, func() {})
	if first {
		s.hook.refusalLog.Warn().Str("event", "overflow").Str("detail", detail).Str("certificate", s.candidate.ID).
			Str("client", fmt.Sprintf("%.128s", s.client.ID)).Str("account", s.candidate.Account).Msg("slow subscriber disconnected")
	}
	return first
}

// part closes the connection on a goroutine of its own, for a peer that does
// not read must not hold up the caller, and then calls closed. It reports
// whether it was the first to.
func (s *Session) part(c packets.Code, closed func()) bool {
	if s.parting.Swap(true) {
		return false
	}
	go func() {
		defer s.hook.guard("close", func() { _ = s.transport.Close() })
		s.close(c)
		closed()
	}()
	return true
}

// close ends the connection, with a DISCONNECT in MQTT 5. A write deadline
// could not bound that: mochi moves it with each packet that the peer sends.
func (s *Session) close(c packets.Code) {
	defer cutAfter(kickTimeout, s.transport)()
	if s.client.Properties.ProtocolVersion == 5 && s.established.Load() {
		s.disconnect(c)
	}
	s.client.Stop(c)
}

// propertiesAside is what a DISCONNECT has besides its reason string, in bytes.
const propertiesAside = 16

// disconnect writes a DISCONNECT past mochi's buffer: while messages wait in the
// client's queue mochi keeps small packets back for the next of them, and this
// one has no next. The lock is the one under which mochi writes whole packets.
func (s *Session) disconnect(c packets.Code) {
	asked := s.client.Properties.Props
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Disconnect}, ProtocolVersion: 5, ReasonCode: c.Code,
		Properties: packets.Properties{ReasonString: c.Reason},
	}
	tight := asked.MaximumPacketSize > 0 && int64(asked.MaximumPacketSize) < int64(len(c.Reason)+propertiesAside) // [MQTT-3.14.2-3]
	silent := asked.RequestProblemInfoFlag && asked.RequestProblemInfo == 0
	if tight || silent {
		pk.Properties.ReasonString = ""
	}
	var b bytes.Buffer
	if pk.DisconnectEncode(&b) != nil {
		return
	}
	s.client.Lock()
	defer s.client.Unlock()
	_, _ = s.client.Net.Conn.Write(b.Bytes())
}

// cutAfter closes a connection when the time is up, unless what it returns is
// called before.
func cutAfter(d time.Duration, c net.Conn) (stop func()) {
	cut := time.AfterFunc(d, func() { _ = c.Close() })
	return func() { cut.Stop() }
}

// End is called by whoever drives the connection when EstablishConnection has
// returned or panicked. If mochi broke off before it had cleaned up, the rest
// is done here: the will goes out, the session ends.
func (s *Session) End(panicked bool) {
	defer func() { s.unlock() }() // the one that holdID may set
	defer s.bequeath()
	defer s.vanishAt(panicked)
	if !s.current() || !panicked && !s.transient() {
		return
	}
	s.holdID()
	if !s.current() {
		return
	}
	if panicked {
		s.answerFault(packets.ErrMalformedPacket)
		s.client.Stop(packets.ErrMalformedPacket)
	}
	s.succeed(stranger) // nobody will resume the session [MQTT-3.1.2-8]
	s.hook.keeper.Ended(s.client)
	s.client.ClearInflights()
	s.hook.server.UnsubscribeClient(s.client)
	s.hook.server.Clients.Delete(s.client.ID)
}

// current reports whether the client ID still stands for this session.
func (s *Session) current() bool {
	c, ok := s.hook.server.Clients.Get(s.client.ID)
	return ok && c == s.client
}

// holdID takes the client ID once more, until End. mochi asks whether a client
// was taken over and then removes it by its ID: without the lock that could be
// the one that took over in between, whom nobody would find any more.
func (s *Session) holdID() {
	if s.ending {
		return
	}
	s.unlock() // where no CONNACK did: it would wait for itself
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	unlock, err := s.hook.ids.lock(ctx, s.client.ID)
	if err != nil {
		s.hook.log.Warn().Str("client", fmt.Sprintf("%.128s", s.client.ID)).Msg("a client is removed while others take over its ID")
		return
	}
	s.ending, s.unlock = true, unlock
}

// transient reports whether the session ends with its connection.
func (s *Session) transient() bool {
	p := &s.client.Properties // no copy: mochi takes the will out of them when the connection ends
	return p.ProtocolVersion == 5 && p.Props.SessionExpiryInterval == 0 || p.ProtocolVersion < 5 && p.Clean
}
