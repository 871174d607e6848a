package hooks

import (
	"bytes"
	"context"
	"errors"
	"net"
	"runtime/debug"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
)

// Principals tells what a connection may act as.
type Principals interface {
	Principal(ctx context.Context, account, certificateID, clientID string) (muster.Principal, error)
}

// Connection is a transport whose TLS handshake was judged by Gate.Inspect
// before mochi met it. A plain *tls.Conn serves too: then OnConnect inspects.
type Connection interface {
	net.Conn
	Candidate() *admission.Candidate
	// Attach hands the session over before it may act, so that changes of the
	// registry find it from then on.
	Attach(s admission.Session)
	// Watch replaces the resources whose change calls for Session.Rejudge.
	Watch(keys []muster.ResourceKey)
}

// Observer counts what happened. Its methods are called on the connections'
// own goroutines and must not block.
type Observer interface {
	// Judged tells what Gate.Connect did, for admitted and refused alike.
	Judged(out admission.Outcome, took time.Duration)
	Connected(out admission.Outcome)
	Refused(reason muster.Reason)
	// Kicked tells that a live session was closed for a reason, and how long
	// after that was known.
	Kicked(reason muster.Reason, took time.Duration)
	Dropped(n int)  // messages that did not fit into a subscriber's queue
	ProtocolError() // a client sent a packet against the standard, and is closed
}

// Keeper keeps the sessions that outlive their connection.
type Keeper interface {
	// Refuses tells why a session of that kind cannot begin for a client ID; ""
	// when it can.
	Refuses(clientID string) (r muster.Reason, detail string)
	// Ended tells that a session is taken from the server by other means than
	// those that mochi has hooks for.
	Ended(cl *mqtt.Client)
}

// Refusals says how a refused client is told.
type Refusals string

// The ways to refuse.
const (
	RefuseConnack Refusals = "connack" // with the reason; the default
	RefuseHangup  Refusals = "hangup"  // by closing the connection, as AWS IoT does
)

// Config is what a Hook is made of.
type Config struct {
	Server     *mqtt.Server // the one that the hook is added to; its InlineClient option must be on
	Gate       *admission.Gate
	Principals Principals
	Policies   *Policies // shared by all hooks
	Region     string    // of ARNs; default us-east-1
	Refusals   Refusals
	// CloseFirst closes the connection that provisioned its certificate, as
	// AWS IoT does, instead of admitting it.
	CloseFirst bool
	// OneConnection is OneACertificate where a newer connection of a certificate
	// closes the older one, whatever client IDs they have.
	OneConnection OneConnection
	// KeepAliveMax is the longest keep-alive granted to MQTT 5 clients, which
	// are told; those of MQTT 3.1.1 cannot be told and keep what they asked
	// for. Default 20 minutes, at most 12 hours.
	KeepAliveMax time.Duration
	// WriteTimeout is how long a client may take to accept one packet before it
	// is cut off; so long it may hold up those who publish to it. Default 5 s.
	WriteTimeout time.Duration
	Keeper       Keeper   // of the same server's sessions; nil for none
	Requests     Requests // what clients may ask on topics that begin with $; nil for nothing
	Observer     Observer // nil for none
	Log          zerolog.Logger
}

// maxKeepAlive is the largest keep-alive, in seconds, whose half more does not
// overflow mochi's 16 bits: 43691 would be a deadline in the past.
const maxKeepAlive = 43690

// maxRefusalLines is how many refusals, and live connections that were closed for
// a reason, an account's log tells of in a second; the metrics count all of them,
// and explain remembers the latest of each device.
const maxRefusalLines = 200

// Hook is the only auth and access hook of one mochi server, which serves one
// account. Every method recovers its own panics and denies, because some run
// on goroutines of mochi that recover nothing.
type Hook struct {
	mqtt.HookBase
	server       *mqtt.Server
	gate         *admission.Gate
	principals   Principals
	policies     *Policies
	region       string
	refusals     Refusals
	closeFirst   bool
	keepAlive    uint16
	writeTimeout time.Duration
	keeper       Keeper
	requests     Requests
	observer     Observer
	log          zerolog.Logger
	refusalLog   zerolog.Logger // bounded rate, for what devices cause again and again
	ids          idLocks
	sole         *soles // nil where a certificate may have several connections
	wills        wills
	events       eventLimiter
	versions     versions
	overflowed   int64 // messages that found a full window, as last told; owned by OnSysInfoTick
}

// New makes a hook. Add it with Server.AddHook(hook, nil).
func New(c Config) (*Hook, error) {
	if c.Server == nil || c.Gate == nil || c.Principals == nil || c.Policies == nil {
		return nil, errors.New("hooks: Server, Gate, Principals and Policies are needed")
	}
	if !c.Server.Options.InlineClient {
		return nil, errors.New("hooks: the server's option InlineClient must be on, for events are published through it")
	}
	if c.KeepAliveMax == 0 {
		c.KeepAliveMax = 20 * time.Minute
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = 5 * time.Second
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.Observer == nil {
		c.Observer = unobserved{}
	}
	if c.Keeper == nil {
		c.Keeper = unkept{}
	}
	var sole *soles
	if c.OneConnection == OneACertificate {
		sole = &soles{newest: map[string]*Session{}}
	}
	return &Hook{
		sole:       sole,
		refusalLog: c.Log.Sample(&zerolog.BurstSampler{Burst: maxRefusalLines, Period: time.Second}),
		server:     c.Server, gate: c.Gate, principals: c.Principals, policies: c.Policies, region: c.Region,
		refusals: c.Refusals, closeFirst: c.CloseFirst,
		keepAlive:    uint16(min(max(c.KeepAliveMax/time.Second, 1), maxKeepAlive)),
		writeTimeout: c.WriteTimeout, keeper: c.Keeper, requests: c.Requests, observer: c.Observer, log: c.Log,
	}, nil
}

// ID names the hook in mochi's log.
func (h *Hook) ID() string { return "muster" }

// Provides lists the methods that mochi shall call.
func (h *Hook) Provides(b byte) bool {
	return bytes.IndexByte([]byte{
		mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnSubscribe, mqtt.OnSubscribed, mqtt.OnUnsubscribe, mqtt.OnUnsubscribed,
		mqtt.OnSessionEstablish, mqtt.OnSessionEstablished, mqtt.OnSelectSubscribers, mqtt.OnPublish, mqtt.OnPublished, mqtt.OnPublishDropped, mqtt.OnQosPublish, mqtt.OnSysInfoTick,
		mqtt.OnPacketRead, mqtt.OnPacketProcessed, mqtt.OnPacketEncode, mqtt.OnPacketSent, mqtt.OnDisconnect, mqtt.OnStopped,
	}, b) >= 0
}

// guard recovers a panic of the method that defers it and runs deny.
func (h *Hook) guard(method string, deny func()) {
	if r := recover(); r != nil {
		h.log.Error().Str("hook", method).Interface("panic", r).Bytes("stack", debug.Stack()).
			Msg("a hook panicked; what it was asked is denied")
		deny()
	}
}

// OnConnectAuthenticate has nothing left to judge: OnConnect attached a
// session, or the connection is not ours.
func (h *Hook) OnConnectAuthenticate(cl *mqtt.Client, _ packets.Packet) (ok bool) {
	defer h.guard("OnConnectAuthenticate", func() { ok = false })
	return sessionOf(cl) != nil
}

// OnPacketEncode keeps back the DISCONNECT that mochi would send to clients of
// MQTT 3.1.1, where only they send it (§3.14): a type that mochi cannot encode
// is not written. And it corrects the CONNACK of a CONNECT that mochi refuses by
// itself, and the PUBREC of a message that it has.
func (h *Hook) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) (out packets.Packet) {
	defer h.guard("OnPacketEncode", func() { out.FixedHeader.Type = packets.Reserved })
	switch pk.FixedHeader.Type {
	case packets.Connack:
		correct(&pk)
		h.announce(&pk)
		if s := sessionOf(cl); s != nil && s.claim { // MQTT 5 §3.2.2.3.2
			pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = 0, true
		}
	case packets.Pubrec: // of a message that was sent again, which 0x91 would end [MQTT-4.3.3-10]
		if pk.ReasonCode == packets.ErrPacketIdentifierInUse.Code {
			pk.ReasonCode, pk.Properties.ReasonString = packets.CodeSuccess.Code, ""
		}
	case packets.Publish:
		aged(&pk)
		h.skipOversized(cl, pk)
	case packets.Disconnect:
		if cl.Properties.ProtocolVersion < 5 {
			pk.FixedHeader.Type = packets.Reserved
		} else if a, ok := cl.Net.Conn.(*attached); ok {
			a.told.Store(true)
		}
	}
	return pk
}

// OnPacketSent lets the next connection with the client ID go on: now that the
// CONNACK is written, a takeover may follow it with a DISCONNECT [MQTT-3.14.0-1].
// It is also the one moment between the session's inheriting what waits for the
// client ID and its sending.
func (h *Hook) OnPacketSent(cl *mqtt.Client, pk packets.Packet, _ []byte) {
	s := sessionOf(cl)
	if s == nil || pk.FixedHeader.Type != packets.Connack {
		return
	}
	defer h.guard("OnPacketSent", func() { _ = cl.Net.Conn.Close() })
	defer s.unlock()
	if pk.ReasonCode == packets.CodeSuccess.Code {
		s.judgeWaiting()
		s.appear()
		s.admit()
	}
}

// OnDisconnect runs just before mochi removes a client that has gone. Only who
// drives the connection can tell when that is done.
func (h *Hook) OnDisconnect(cl *mqtt.Client, err error, _ bool) {
	defer h.guard("OnDisconnect", func() {})
	if s := sessionOf(cl); s != nil {
		s.answerFault(err)
		s.vanish(cl.StopCause())
		s.bequeath()
		s.unattend()
		if _, driven := s.transport.(Connection); driven {
			s.holdID()
		}
	}
}

type unkept struct{}

func (unkept) Refuses(string) (muster.Reason, string) { return "", "" }
func (unkept) Ended(*mqtt.Client)                     {}

type unobserved struct{}

func (unobserved) Judged(admission.Outcome, time.Duration) {}
func (unobserved) Connected(admission.Outcome)             {}
func (unobserved) Refused(muster.Reason)                   {}
func (unobserved) Kicked(muster.Reason, time.Duration)     {}
func (unobserved) Dropped(int)                             {}
func (unobserved) ProtocolError()                          {}
