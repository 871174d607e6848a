package admission

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/provisioning"
)

// Registry is what the gate needs of the registry. Every answer is a copy; a
// change is seen by the next call after the writer was told that it happened.
type Registry interface {
	// Find returns the records and tombstones of a fingerprint in all accounts.
	Find(ctx context.Context, id string) ([]muster.Certificate, []muster.Tombstone, error)
	// AuthoritiesBySubject returns those of all accounts, the newest first.
	AuthoritiesBySubject(ctx context.Context, rawSubject []byte) ([]muster.Authority, error)
	// Authority and Issuer answer muster.ErrNotFound when there is none.
	Authority(ctx context.Context, account, id string) (muster.Authority, error)
	Issuer(ctx context.Context, account, id string) (muster.Issuer, error)
	Accounts(ctx context.Context) ([]muster.Account, error)
	Template(ctx context.Context, account, name string) (muster.Template, error)
	PendingCount(ctx context.Context, account, authorityID string) (int, error)
	// Enrol registers, synced to disk when it returns. It answers
	// muster.ErrState when the authority may register nobody any more.
	Enrol(ctx context.Context, e muster.Enrolment) (muster.Enrolled, error)
	// Revoke records what a responder said, from any state.
	Revoke(ctx context.Context, account, id string) error
}

// Answer is what was learned about a certificate's revocation.
type Answer struct {
	Status AnswerStatus
	Hold   bool // revoked as certificateHold, which may be lifted (RFC 5280 §5.3.1)
	// Responder is the URL that was asked; "" when none was.
	Responder string
	Detail    string // why there is no answer
}

// Question asks whether a certificate still stands.
type Question struct {
	Leaf, Issuer *x509.Certificate // Issuer's key signed Leaf
	Settings     muster.OCSPSettings
	Brought      []byte // a response that the device itself brought, DER; nil for none
	Offline      bool   // go by Brought and by what is known, and ask nobody
}

// Asker answers a Question. It bounds its own time; a nil Asker answers
// nothing, so that soft and hard authorities refuse.
type Asker func(context.Context, Question) Answer

// Config is what a Gate is made of.
type Config struct {
	Registry   Registry
	Ask        Asker
	Now        func() time.Time // default time.Now
	Skew       time.Duration    // tolerated difference of clocks; default 5 minutes
	PendingCap int              // of one authority; default 100,000
	Limits     Limits
	Memory     *Memory // remembers refusals; nil for none
	// Tell learns of refusals and of live connections that were closed, at most
	// once a minute of one certificate and reason; it must not block. nil for none.
	Tell func(muster.Event)
	Log  zerolog.Logger
}

// Gate gathers facts and carries out what the rules decide. It is safe for
// concurrent use.
type Gate struct {
	registry   Registry
	ask        Asker
	now        func() time.Time
	skew       time.Duration
	pendingCap int
	limits     *limiter
	memory     *Memory
	events     *teller
	log        zerolog.Logger
	signed     *signatures
	curiosity  curiosity
	templates  texts[*provisioning.Template]
	issuers    texts[*x509.Certificate]
}

// New makes a gate. It starts nothing.
func New(c Config) (*Gate, error) {
	if c.Registry == nil {
		return nil, errors.New("admission: no registry")
	}
	if c.Ask == nil {
		c.Ask = func(context.Context, Question) Answer { return Answer{} }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Skew == 0 {
		c.Skew = 5 * time.Minute
	}
	if c.PendingCap == 0 {
		c.PendingCap = 100_000
	}
	return &Gate{
		registry: c.Registry, ask: c.Ask, now: c.Now, skew: c.Skew,
		pendingCap: c.PendingCap, limits: newLimiter(c.Limits), memory: c.Memory, events: newTeller(c.Tell), log: c.Log, signed: newSignatures(),
	}, nil
}

// Candidate is a connection that passed the TLS handshake: who it is, and what
// Inspect found. It belongs to one connection.
type Candidate struct {
	Leaf     *x509.Certificate
	Sent     []*x509.Certificate // what else the device sent; it proves nothing
	ID       string              // Fingerprint of Leaf
	SNI      string
	Remote   string // address, for people to read
	Account  string // whose name space it belongs to; "" when none could be told
	Facts    Facts
	Decision Decision
	// Brought is an OCSP response that the device brought, DER: Inspect takes the
	// one stapled in TLS; a transport may put one here before Connect, which drops
	// it.
	Brought []byte

	// last is what Connect or Recheck found out of OCSP, for Standing to go by;
	// nil before Inspect.
	last *atomic.Pointer[OCSPFacts]
	// against is what Standing or Recheck refused an open connection for, so that
	// the refusal is explained by that and not by what admitted it; nil before
	// Inspect.
	against *atomic.Pointer[Facts]
	// judgedBy are the OCSP settings that Connect judged by; nil where OCSP was off.
	judgedBy *muster.OCSPSettings
}

// lookups bounds one moment's reading of the registry.
const lookups = 10 * time.Second

// TLSConfig returns a copy of base that lets in whom the registry could know:
// a certificate with a record or a tombstone in any account, or one that the
// key of a registered authority signed. All else is told why by MQTT, later.
//
// Go proves that the peer holds the key; the chain is ours to prove. The
// check sits in VerifyConnection because VerifyPeerCertificate is not called
// on resumed sessions, and no ClientCAs are announced because 1,500 of them
// overflow the CertificateRequest message.
func (g *Gate) TLSConfig(base *tls.Config) *tls.Config {
	c := base.Clone()
	c.ClientAuth = tls.RequireAnyClientCert
	c.ClientCAs = nil
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	c.VerifyConnection = g.verifyConnection
	return c
}

// UntrustedError ends a handshake: nothing here knows the certificate.
type UntrustedError struct {
	ID     string
	Issuer string
	Detail string // what is known of its issuer, in one phrase
}

func (e *UntrustedError) Error() string { return fmt.Sprintf("certificate %s: %s", e.ID, e.Detail) }

func (g *Gate) verifyConnection(cs tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("no client certificate")
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookups)
	defer cancel()
	leaf := cs.PeerCertificates[0]
	id := muster.Fingerprint(leaf.Raw)
	records, tombstones, err := g.registry.Find(ctx, id)
	if err != nil || len(records) > 0 || len(tombstones) > 0 {
		return nil // after an error Inspect finds out, and can say so
	}
	signers, err := g.signers(ctx, leaf, id)
	if err != nil || len(signers) > 0 {
		return nil
	}
	c := &Candidate{Leaf: leaf, Sent: cs.PeerCertificates[1:], ID: id, SNI: cs.ServerName}
	f := Facts{Now: g.now(), Skew: g.skew, Leaf: leafFacts(leaf, id), SNI: clip(cs.ServerName)}
	if g.curiosity.allow(g.now()) {
		if f.Chain, err = g.chainFacts(ctx, c, false); err != nil {
			g.log.Error().Err(err).Str("certificate", id).Msg("could not find out what is known of a stranger's issuer")
		}
	}
	d := Decision{Reason: muster.ReasonUntrustedIssuer, Rule: 6, Detail: sawIssuer(&f)}
	g.remember(c, d, "", f, muster.EventRefused)
	return &UntrustedError{ID: id, Issuer: f.Leaf.Issuer, Detail: d.Detail}
}

// Inspect is the first moment: after the handshake, before CONNECT is read. It
// asks OCSP where the cheap rules are silent, and writes nothing but what the
// responder said of a known certificate. An error of the registry is a refusal
// for internal_error.
func (g *Gate) Inspect(ctx context.Context, cs tls.ConnectionState, remote string) *Candidate {
	leaf := cs.PeerCertificates[0]
	c := &Candidate{Leaf: leaf, Sent: cs.PeerCertificates[1:], ID: muster.Fingerprint(leaf.Raw), SNI: cs.ServerName, Remote: remote}
	c.Brought = cs.OCSPResponse // only TLS 1.3 lets a client staple (RFC 8446 §4.4.2.1)
	c.last, c.against = new(atomic.Pointer[OCSPFacts]), new(atomic.Pointer[Facts])
	f, q, err := g.gather(ctx, c)
	c.Account, c.Facts = f.Account, f
	if err != nil {
		c.Decision = g.failed(c, err)
		return c
	}
	if d, ok := decideCheap(&f); ok && d.Verdict == Refuse {
		c.Decision = d
		return c
	}
	done, d, ok := g.limits.admit(&f, q != nil)
	if !ok {
		c.Facts, c.Decision = f, d
		return c
	}
	defer done()
	if q != nil {
		q.Brought, c.Brought = c.Brought, nil
		err = g.consult(ctx, &f, *q)
	}
	if c.Facts, c.Decision = f, Decide(f); err != nil {
		c.Decision = g.failed(c, err)
	}
	return c
}

// Outcome is what Connect decided, and what it did.
type Outcome struct {
	Decision
	Enrolled bool // the record was written by this connect
	// EnrolTook is how long rendering and writing took, its sync to disk
	// included; 0 when the rules did not ask for it.
	EnrolTook time.Duration
	// Repeated says that the record was there, pending, before this connect.
	Repeated bool
	Record   muster.Enrolled // zero when the rules did not ask for it
}

// Connect is the second moment: CONNECT arrived. It judges the record as it
// is now, asks no network, and registers where the rules say so. Whom Inspect
// turned away for a limit is told that.
func (g *Gate) Connect(ctx context.Context, c *Candidate) Outcome {
	if c.turnedAway() {
		return Outcome{Decision: c.Decision}
	}
	asked := c.Facts.OCSP
	judge := func(failure string) (Facts, Decision, error) {
		f, q, err := g.gather(ctx, c)
		if c.judgedBy = nil; q != nil {
			c.judgedBy = &q.Settings
		}
		if err == nil {
			c.Account = f.Account
			f.OCSP.recall(asked)
			err = g.hear(ctx, c, &f, q)
			asked = f.OCSP
		}
		if err != nil {
			return f, g.failed(c, err), err
		}
		f.ProvisioningFailure = failure
		return f, Decide(f), nil
	}
	f, d, err := judge("")
	out := Outcome{Repeated: f.Record.Status == muster.PendingActivation}
	if err == nil && d.Verdict == Register {
		f, d, err = g.register(ctx, c, f, &out, judge)
	}
	out.Decision = d
	if err == nil {
		c.Facts, c.Decision = f, d
		c.last.Store(&f.OCSP)
	}
	c.Brought = nil
	return out
}

// register does what the rules asked for, and has them judge what came of it.
func (g *Gate) register(ctx context.Context, c *Candidate, f Facts, out *Outcome,
	judge func(failure string) (Facts, Decision, error),
) (Facts, Decision, error) {
	done, full, ok := g.limits.enrol(&f)
	if !ok {
		return f, full, nil
	}
	defer done()
	start := time.Now()
	var err error
	out.Record, err = g.enrol(ctx, c, f)
	out.EnrolTook = time.Since(start)
	var d Decision
	switch {
	case err == nil:
		out.Enrolled = out.Record.Wrote
		f, d, err = judge(out.Record.ProvisioningFailure)
	case errors.Is(err, muster.ErrState): // the authority or the record changed meanwhile
		f, d, err = judge("")
	default:
		return f, g.failed(c, err), err
	}
	if err == nil && d.Verdict == Register {
		d = Decision{Reason: muster.ReasonInternalError, Rule: len(rules), Detail: "registered, and still to be registered"}
	}
	return f, d, err
}

// Standing judges a connection that is open: may it stay? It reads the record
// as it is now, asks no network and registers nothing. Of OCSP it goes by what
// was last found out, also where the issuer's settings have changed since: to
// ask by the new ones is Recheck's.
func (g *Gate) Standing(ctx context.Context, c *Candidate) Decision {
	f, _, err := g.gather(ctx, c)
	if err != nil {
		return g.failed(c, err)
	}
	if f.Account != c.Account && c.Account != "" && f.Account != "" { // without any, the rules say why
		return Decision{Reason: muster.ReasonTransferred, Rule: 4, Detail: "the certificate belongs to another account now"}
	}
	if last := c.lastOCSP(); last != nil {
		f.OCSP = *last
	}
	return c.judge(&f)
}

// judge is Decide about an open connection, which registers nothing: one whose
// record is gone, without a tombstone, has to connect for that.
func (c *Candidate) judge(f *Facts) Decision {
	d := Decide(*f)
	if d.Verdict == Register {
		d = Decision{Reason: muster.ReasonDeleted, Rule: d.Rule,
			Detail: "its record is gone; the device may register when it connects again"}
	}
	switch {
	case c.against == nil:
	case d.Verdict == Admit:
		c.against.Store(nil)
	default:
		c.against.Store(f)
	}
	return d
}

// Expiry returns the moment after which the certificate of c is refused for its
// validity, or for that of its record as it was when c was judged last.
func (g *Gate) Expiry(c *Candidate) time.Time {
	expiry := c.Leaf.NotAfter.Add(g.skew)
	if e := c.Facts.Record.Expires; !e.IsZero() && e.Before(expiry) {
		return e
	}
	return expiry
}

// Session is a client that was admitted, as its transport sees it: what to do
// when the registry changes, and when the transport has ended. Package hooks
// implements it, package broker uses it.
type Session interface {
	// Rejudge asks the rules and policies again after a change that was told at
	// the time given, and acts on the answer. It asks no network.
	Rejudge(ctx context.Context, told time.Time)
	// Recheck is Gate.Recheck of its candidate, and acts on the answer.
	Recheck(ctx context.Context) (d Decision, asked bool)
	// Kick closes the connection at once and says why where MQTT can.
	Kick(r muster.Reason, detail string)
	// End must be called when the server has returned from the connection.
	End(panicked bool)
}

// Refused remembers a refusal, so that it can be explained later.
func (g *Gate) Refused(c *Candidate, d Decision, clientID string) {
	g.remember(c, d, clientID, c.factsAgainst(), muster.EventRefused)
}

// failed is the decision where it could not be found out what to decide. It
// leaves c alone, which may belong to another goroutine.
func (g *Gate) failed(c *Candidate, err error) Decision {
	g.log.Error().Err(err).Str("certificate", c.ID).Msg("could not find out whether to admit")
	return Decision{Reason: muster.ReasonInternalError, Rule: len(rules), Detail: "the registry could not be asked"}
}
