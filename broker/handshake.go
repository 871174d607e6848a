package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
)

// protocols are what devices may ask for by ALPN: MQTT as IANA names it, and the
// name that devices made for AWS IoT send, on port 443 above all. Who asks for
// neither is refused by TLS (RFC 7301 §3.2); who asks for nothing is served.
var protocols = []string{"mqtt", "x-amzn-mqtt-ca"}

// greeting is what a peer said of itself before its handshake failed.
type greeting struct {
	said       bool // a ClientHello came
	serverName string
	protocols  []string
	versions   []uint16
	missed     bool          // its turn did not come in time
	waited     time.Duration // for its turns
}

type greetingKey struct{}

// What is told of a greeting that failed: crypto/tls takes one of 64 KB, and
// quotes it in its errors.
const (
	maxProtocols = 8   // of those asked for by ALPN
	maxWords     = 512 // characters of the server name, and of an error
)

// serverTLS completes the configuration of the server. It notes what each peer
// says in its ClientHello where the handshake's context has room for it: when a
// handshake fails, crypto/tls keeps nothing of that.
func serverTLS(gate *admission.Gate, base *tls.Config) *tls.Config {
	c := gate.TLSConfig(base)
	if c.NextProtos == nil {
		c.NextProtos = protocols
	}
	next := c.GetConfigForClient
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if g, ok := hello.Context().Value(greetingKey{}).(*greeting); ok {
			*g = greeting{said: true, serverName: hello.ServerName, protocols: hello.SupportedProtos, versions: hello.SupportedVersions}
		}
		if next != nil {
			return next(hello)
		}
		return nil, nil
	}
	return c
}

// handshake returns the TLS connection, or has closed and reported it.
func (b *Broker) handshake(ctx context.Context, nc net.Conn, d *door) (*tls.Conn, bool) {
	start := time.Now()
	var hello greeting
	within, cancel := context.WithTimeout(context.WithValue(ctx, greetingKey{}, &hello), b.handshakeTimeout)
	defer cancel()
	turn := &turnConn{parted: parted{Conn: nc}, turns: b.turns, ctx: within}
	defer turn.end()
	if from, ok := network(nc.RemoteAddr()); ok {
		turn.known = b.acquainted.knows(from, start)
	}
	tc := tls.Server(turn, d.tls)
	err := tc.HandshakeContext(within)
	hello.missed, hello.waited = turn.missed, turn.waited
	if err == nil {
		b.observer.Handshake("", time.Since(start))
		return tc, true
	}
	if ctx.Err() != nil { // stopping: the peer did nothing wrong
		_ = nc.Close()
		return nil, false
	}
	turn.end() // before the peer may take its time
	hangUp(nc)
	b.unsecured(d, nc.RemoteAddr().String(), &hello, err, within.Err() != nil, time.Since(start))
	return nil, false
}

// unsecured tells the log, the metrics and the memory of explain why there is no
// TLS.
func (b *Broker) unsecured(d *door, remote string, hello *greeting, err error, late bool, took time.Duration) {
	var untrusted *admission.UntrustedError
	f := admission.Failure{Reason: muster.ReasonHandshakeFailed, SNI: hello.serverName, Remote: remote}
	switch {
	case errors.As(err, &untrusted):
		f.Reason, f.Detail = muster.ReasonUntrustedIssuer, untrusted.Detail
		b.gate.Located(untrusted, remote)
	case hello.missed:
		f.Reason, f.Cause = muster.ReasonBusy, admission.CauseBusy
		f.Detail = fmt.Sprintf("TLS was not done within %v, for so many others are at it; the device waited %v for its turn",
			b.handshakeTimeout, hello.waited.Round(time.Millisecond))
	case late:
		f.Reason, f.Cause = muster.ReasonHandshakeTimeout, admission.CauseSlow
		f.Detail = fmt.Sprintf("TLS was not done within %v; %s", b.handshakeTimeout, hello.progress())
	default:
		f.Cause, f.Detail = hello.diagnose(d.tls.NextProtos, err)
		switch {
		case f.Cause == admission.CauseLeft && hello.waited >= time.Second:
			f.Cause = admission.CauseBusy
			f.Detail += fmt.Sprintf("; it had waited %v for its turn", hello.waited.Round(time.Millisecond))
		case f.Cause == admission.CauseNoCertificate:
			f.Reason = muster.ReasonNoCertificate
		case f.Cause == admission.CauseProtocol && d.upgrader != nil:
			f.Cause = admission.CauseWebProtocol
		}
	}
	if untrusted == nil {
		b.gate.Failed(f)
	}
	b.observer.Handshake(f.Reason, took)
	e := b.refusals.Warn().Str("event", "refused").Str("reason", string(f.Reason)).Str("detail", f.Detail).
		Str("remote", remote).Str("server_name", fmt.Sprintf("%.*s", maxWords, f.SNI))
	if untrusted != nil {
		e = e.Str("certificate", untrusted.ID).Str("issuer", untrusted.Issuer)
	}
	e.Str(zerolog.ErrorFieldName, fmt.Sprintf("%.*s", maxWords, err.Error())).Msg("TLS handshake")
}

func (g *greeting) progress() string {
	if g.said {
		return "the device began it and did not go on"
	}
	return "the device sent nothing that begins it"
}

// faults are the words of crypto/tls, which has no types for them, and what they
// mean. The tests cause each of them.
var faults = []struct {
	words  string
	cause  admission.Cause
	detail string
}{
	{"client didn't provide a certificate", admission.CauseNoCertificate, "the device showed no certificate"},
	{"no cipher suite supported by both", admission.CauseCipher, "the device and this server share no cipher suite"},
	{"no supported elliptic curves", admission.CauseCipher, "the device and this server share no elliptic curve"},
	{"no mutually supported", admission.CauseCipher, "the device and this server share no key exchange or signature algorithm"},
	{"peer doesn't support any of the certificate's signature algorithms", admission.CauseCipher, "the device accepts no signature that the server's key can make"},
	{"client certificate used with invalid signature algorithm", admission.CauseKey, "the device signed with an algorithm that was not offered"},
	{"invalid signature by the client certificate", admission.CauseKey, "the device's signature does not fit its certificate: it uses another key"},
	{"client's certificate", admission.CauseKey, "the device's certificate has a key that TLS cannot use"},
}

// diagnose says why a handshake failed.
func (g *greeting) diagnose(spoken []string, err error) (admission.Cause, string) {
	var plain tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &plain) && !g.said:
		return admission.CauseNotTLS, "the first bytes are no TLS" + resemblance(plain.RecordHeader[:])
	case errors.As(err, &op) && op.Op == "remote error":
		return admission.CauseDistrust, fmt.Sprintf("the device ended TLS with the alert %q: it does not accept the server's certificate or what the server offers",
			strings.TrimPrefix(op.Err.Error(), "tls: "))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &op):
		return admission.CauseLeft, "the device closed the connection during the handshake"
	case g.said && len(g.versions) > 0 && slices.Max(g.versions) < tls.VersionTLS12:
		return admission.CauseVersion, fmt.Sprintf("the device offers %s at most; this server speaks TLS 1.2 and 1.3", tls.VersionName(slices.Max(g.versions)))
	case len(g.protocols) > 0 && !slices.ContainsFunc(g.protocols, func(p string) bool { return slices.Contains(spoken, p) }):
		return admission.CauseProtocol, fmt.Sprintf("the device asks for the application protocols %.40q (ALPN); this server speaks %q",
			g.protocols[:min(len(g.protocols), maxProtocols)], spoken)
	}
	for _, f := range faults {
		if strings.Contains(err.Error(), f.words) {
			return f.cause, f.detail
		}
	}
	return admission.CauseTLS, strings.TrimPrefix(err.Error(), "tls: ")
}

// resemblance says what the first bytes of a connection look like.
func resemblance(b []byte) string {
	switch {
	case len(b) > 0 && b[0] == 0x10:
		return "; they look like MQTT without it"
	case len(b) > 3 && slices.Contains([]string{"GET ", "POST", "HEAD", "PUT ", "OPTI"}, string(b[:4])):
		return "; they look like HTTP"
	}
	return ""
}

// hangUp closes a connection whose handshake failed so that the peer gets the
// alert that says why. In TLS 1.3 a client may have sent CONNECT already.
func hangUp(nc net.Conn) { linger(nc, 64<<10) }
