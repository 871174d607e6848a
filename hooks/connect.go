package hooks

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/policy"
)

// connectTimeout bounds what a CONNECT may wait for: the registry's disk, and
// its turn at the client ID.
const connectTimeout = 10 * time.Second

// RefusedError is what OnConnect returns for a client that was refused.
type RefusedError struct{ admission.Decision }

func (e *RefusedError) Error() string { return fmt.Sprintf("refused: %s: %s", e.Reason, e.Detail) }

// OnConnect is the second moment of admission. It returns nil for a client
// that may go on, and otherwise has told it why already.
func (h *Hook) OnConnect(cl *mqtt.Client, pk packets.Packet) (err error) {
	defer h.guard("OnConnect", func() { err = errors.New("a hook panicked") })
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	c, err := h.candidate(ctx, cl)
	if err != nil {
		return err
	}
	if cl.Properties.Props.AuthenticationMethod != "" {
		c.Facts.Cause = admission.CauseMalformed
		return h.refuse(cl, c, admission.Decision{Reason: muster.ReasonConnectInvalid,
			Detail: "it asks for an authentication method; here the certificate is what counts"})
	}
	if der := takeBrought(cl); der != nil {
		c.Brought = der
	}
	account := c.Account
	out := h.gate.Connect(ctx, c)
	h.observer.Judged(out, time.Since(start))
	switch {
	case out.Verdict != admission.Admit:
		if out.Reason == muster.ReasonPendingActivation {
			h.publishPending(c, out)
		}
		return h.refuse(cl, c, out.Decision)
	case c.Account != account:
		return h.refuse(cl, c, admission.Decision{Reason: muster.ReasonInternalError,
			Detail: "the certificate changed its account while it connected; connect again"})
	case out.Enrolled && h.closeFirst:
		return h.refuse(cl, c, admission.Decision{Reason: muster.ReasonFirstConnection,
			Detail: "provisioned; connect again"})
	}
	if d, ok := h.enter(ctx, cl, c, &pk.Connect); !ok {
		return h.refuse(cl, c, d)
	}
	h.grantKeepAlive(cl)
	h.observer.Connected(out)
	line, event := h.log.Debug(), "connected"
	if out.Enrolled {
		line, event = h.log.Info(), "registered"
	}
	line.Str("event", event).Str("certificate", c.ID).Str("subject", c.Facts.Leaf.Subject).
		Str("client", fmt.Sprintf("%.128s", cl.ID)).Str("account", c.Account).Str("remote", c.Remote).Msg("client admitted")
	return nil
}

// candidate returns what Inspect found, which it runs itself on a transport
// that nobody inspected.
func (h *Hook) candidate(ctx context.Context, cl *mqtt.Client) (*admission.Candidate, error) {
	switch conn := cl.Net.Conn.(type) {
	case Connection:
		return conn.Candidate(), nil
	case *tls.Conn:
		if cs := conn.ConnectionState(); len(cs.PeerCertificates) > 0 {
			return h.gate.Inspect(ctx, cs, conn.RemoteAddr().String()), nil
		}
	}
	h.observer.Refused(muster.ReasonNoCertificate)
	if h.refusals != RefuseHangup {
		_ = h.server.SendConnack(cl, code(muster.ReasonNoCertificate, "", cl.Properties), false, nil)
	}
	return nil, fmt.Errorf("connection from %s: no TLS client certificate", cl.Net.Remote)
}

// enter opens the session, and looks once more at what may have changed before
// anyone could find it. Who gets through displaces others.
func (h *Hook) enter(ctx context.Context, cl *mqtt.Client, c *admission.Candidate, asked *packets.ConnectParams) (admission.Decision, bool) {
	if d, ok := h.open(ctx, cl, c, asked); !ok {
		return d, false
	}
	if h.gate.Outdated(ctx, c) {
		return admission.Decision{Reason: muster.ReasonRevocationUnknown,
			Detail: "the OCSP settings of its issuer changed while it connected; connect again"}, false
	}
	s := sessionOf(cl)
	if k := s.kicked.Load(); k != nil {
		return k.Decision, false
	}
	h.sole.claim(s)
	return admission.Decision{}, true
}

// open makes the session, asks the policies whether the certificate may act as
// this client, and only then takes the client ID from whoever holds it.
func (h *Hook) open(ctx context.Context, cl *mqtt.Client, c *admission.Candidate, asked *packets.ConnectParams) (admission.Decision, bool) {
	transport := cl.Net.Conn
	s := &Session{hook: h, client: cl, candidate: c, transport: transport, unlock: func() {}, will: testamentOf(cl, asked)}
	s.asked.PersistentConnect = !s.transient()
	if asked.WillFlag {
		s.asked.LastWill, s.asked.WillTopic = true, asked.WillTopic
	}
	cl.Net.Conn = &attached{Conn: transport, session: s} // before anyone else may close it
	// mochi would put aliases in place of topics: where the message that brought
	// one was dropped, or waits for another connection, nobody knows the topic.
	cl.Properties.Props.TopicAliasMaximum = 0
	if conn, ok := transport.(Connection); ok {
		conn.Attach(s)
	}
	g, err := s.refresh(ctx)
	if err != nil {
		h.log.Error().Err(err).Str("certificate", c.ID).Msg("policies could not be read")
		return admission.Decision{Reason: muster.ReasonInternalError, Detail: "the policies could not be read"}, false
	}
	if v := s.bound.Load().Evaluate(policy.Connect, cl.ID); v != policy.Allowed {
		return admission.Decision{Reason: muster.ReasonPolicyDenied, Detail: g.denial(policy.Connect, cl.ID)}, false
	}
	if g.claim {
		s.beginClaim()
	}
	if d, ok := s.judgeWill(asked, &g); !ok {
		return d, false
	}
	unlock, err := h.ids.lock(ctx, cl.ID)
	if err != nil {
		return admission.Decision{Reason: muster.ReasonInternalError,
			Detail: fmt.Sprintf("client %.128q is being taken over by others", cl.ID)}, false
	}
	s.unlock = unlock
	if d, ok := s.displace(); !ok {
		return d, false
	}
	if !s.transient() {
		if r, detail := h.keeper.Refuses(cl.ID); r != "" {
			return admission.Decision{Reason: r, Detail: detail}, false
		}
	}
	return admission.Decision{}, true
}

// displace makes ready to take the client ID, whose lock is held, from who has it.
func (s *Session) displace() (admission.Decision, bool) {
	old, ok := s.hook.server.Clients.Get(s.client.ID)
	if ok && !s.mayDisplace(old) {
		return admission.Decision{Reason: muster.ReasonPolicyDenied, Detail: fmt.Sprintf(
			"a claim certificate may not take client ID %.128q from another certificate", s.client.ID)}, false
	}
	if !ok || old.Net.Conn == nil {
		return admission.Decision{}, true
	}
	if !old.Closed() {
		s.hook.takenOver(sessionOf(old), s.candidate)
	}
	// mochi writes a DISCONNECT to it from our goroutine.
	stop, unlock := cutAfter(kickTimeout, old.Net.Conn), s.unlock
	s.unlock = func() { stop(); unlock() }
	return admission.Decision{}, true
}

// judgeWill refuses a will that is none or that no policy allows. It is judged
// once more when it goes out.
func (s *Session) judgeWill(asked *packets.ConnectParams, g *grounds) (admission.Decision, bool) {
	wildcard := "" // mochi checks that of publishes alone
	switch {
	case !asked.WillFlag:
		return admission.Decision{}, true
	case strings.ContainsAny(asked.WillTopic, "+#"):
		wildcard = fmt.Sprintf("the will's topic %.128q has a wildcard", asked.WillTopic)
	case strings.ContainsAny(asked.WillProperties.ResponseTopic, "+#"): // [MQTT-3.1.3-9]
		wildcard = fmt.Sprintf("the will's response topic %.128q has a wildcard", asked.WillProperties.ResponseTopic)
	}
	if wildcard != "" {
		s.candidate.Facts.Cause = admission.CauseWill
		return admission.Decision{Reason: muster.ReasonConnectInvalid, Detail: wildcard}, false
	}
	if !s.mayPublish(asked.WillTopic, asked.WillRetain) {
		return admission.Decision{Reason: muster.ReasonPolicyDenied, Detail: g.willDenial(asked.WillTopic, asked.WillRetain)}, false
	}
	return admission.Decision{}, true
}

// takenOver tells of a live connection that another takes the client ID from. Two
// devices with one ID push each other out without end, and each of them only
// sees that it lost its connection.
func (h *Hook) takenOver(old *Session, by *admission.Candidate) {
	if old == nil {
		return
	}
	d := admission.Decision{Reason: muster.ReasonTakenOver, Detail: fmt.Sprintf(
		"certificate %s connected from %s as the same client", by.ID, by.Remote)}
	if by.ID == old.candidate.ID {
		d.Detail = fmt.Sprintf("the same certificate connected again from %s as the same client", by.Remote)
	}
	h.gate.Closed(old.candidate, d, old.client.ID)
	h.refusalLog.Info().Str("event", "taken_over").Str("reason", string(d.Reason)).Str("detail", d.Detail).
		Str("certificate", old.candidate.ID).Str("client", fmt.Sprintf("%.128s", old.client.ID)).
		Str("account", old.candidate.Account).Str("remote", old.candidate.Remote).Msg("client ID taken over")
}

// refuse tells the client, the log, the metrics and the memory of explain.
func (h *Hook) refuse(cl *mqtt.Client, c *admission.Candidate, d admission.Decision) error {
	h.observer.Refused(d.Reason)
	h.gate.Refused(c, d, cl.ID)
	h.refusalLog.Warn().Str("event", "refused").Str("reason", string(d.Reason)).Str("detail", d.Detail).
		Str("certificate", c.ID).Str("subject", c.Facts.Leaf.Subject).Str("client", fmt.Sprintf("%.128s", cl.ID)).
		Str("account", c.Account).Str("remote", c.Remote).Msg("client refused")
	if h.refusals != RefuseHangup && d.Reason != muster.ReasonFirstConnection {
		_ = h.server.SendConnack(cl, code(d.Reason, d.Detail, cl.Properties), false, nil)
	}
	return &RefusedError{d}
}

// grantKeepAlive lowers a keep-alive that is too long, or none, for clients
// that can be told so [MQTT-3.1.2-21]. Of the others only those are touched
// whose deadline mochi would compute in the past.
func (h *Hook) grantKeepAlive(cl *mqtt.Client) {
	asked := cl.State.Keepalive
	if cl.Properties.ProtocolVersion < 5 {
		cl.State.Keepalive = min(asked, maxKeepAlive)
		return
	}
	if asked == 0 || asked > h.keepAlive {
		cl.State.Keepalive, cl.State.ServerKeepalive = h.keepAlive, true
	}
}
