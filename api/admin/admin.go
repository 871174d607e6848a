package admin

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"

	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/registry"
)

// Config is what the handler needs. When no server runs, there is no Log.
type Config struct {
	Registry *registry.Store
	Folder   string // of the registry, absolute
	Gate     *admission.Gate
	Memory   *admission.Memory
	Region   string // of ARNs
	Version  string // of the program
	Log      zerolog.Logger
	// Operations are the names of the API's operations, to which access keys can be
	// bound.
	Operations []string
	// Publishable reports whether devices may publish on a topic that begins with $,
	// if their policies allow it. nil: on none.
	Publishable func(topic string) bool
}

// Admin answers the operator's questions, over the socket or, while no server
// runs, from within the command itself.
type Admin struct {
	config Config
	reload func() Reloaded // nil: no server runs
}

// New makes it.
func New(c Config) *Admin { return &Admin{config: c} }

// Question asks about a certificate: by its PEM text, or by its fingerprint.
type Question struct {
	PEM         string `json:"pem,omitempty"`         // its certificate first, then what else the device sends
	Fingerprint string `json:"fingerprint,omitempty"` // 64 hex digits
	SNI         string `json:"sni,omitempty"`         // the server name that the device would send
	// Session asks the policies too, as far as the rules come to that; nil does
	// not.
	Session *Session `json:"session,omitempty"`
}

// Explanation is what explain prints.
type Explanation struct {
	CertificateID string           `json:"certificateId"`
	Subject       string           `json:"subject,omitempty"`
	Account       string           `json:"account,omitempty"`
	Verdict       string           `json:"verdict"` // admit, register or refuse
	Reason        muster.Reason    `json:"reason,omitempty"`
	Lines         []admission.Line `json:"lines"`
	// Remembered says that the lines are of the latest refusal, because the
	// certificate itself is not known here.
	Remembered bool      `json:"remembered,omitempty"`
	Refusals   []Refusal `json:"refusals,omitempty"`
}

var fingerprint = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Explain answers a question. It wraps muster.ErrNotFound when a fingerprint
// was never seen here, muster.ErrInvalid and muster.ErrCertificate when the
// question makes no sense.
func (a *Admin) Explain(ctx context.Context, q Question) (Explanation, error) {
	chain, id, err := a.subject(ctx, q)
	if err != nil {
		return Explanation{}, err
	}
	e := Explanation{CertificateID: id}
	remembered := a.config.Memory.Recall(id)
	var facts admission.Facts
	switch {
	case chain != nil:
		if facts, err = a.config.Gate.Inquire(ctx, chain, q.SNI); err != nil {
			return e, err
		}
	case len(remembered) > 0:
		e.Remembered = true
		if err := json.Unmarshal(remembered[0].Facts, &facts); err != nil {
			return e, fmt.Errorf("the remembered refusal of %s: %w", id, err)
		}
	default:
		return e, fmt.Errorf("certificate %s is not registered, and no refusal of it is remembered; "+
			"give its PEM file instead: %w", id, muster.ErrNotFound)
	}
	d := admission.Decide(facts)
	e.Subject, e.Account, e.Verdict, e.Reason = facts.Leaf.Subject, facts.Account, d.Verdict.String(), d.Reason
	e.Lines = admission.Explain(facts)
	e.Refusals = withMends(remembered)
	if q.Session != nil {
		err = a.askPolicies(ctx, &e, q.SNI, *q.Session, facts)
	}
	return e, err
}

// subject returns the certificate that a question is about and what its device
// sends besides it; nil if only its fingerprint is known.
func (a *Admin) subject(ctx context.Context, q Question) ([]*x509.Certificate, string, error) {
	if q.PEM != "" {
		chain, err := parse(q.PEM)
		if err != nil {
			return nil, "", fmt.Errorf("the certificate to explain: %v: %w", err, muster.ErrCertificate)
		}
		return chain, muster.Fingerprint(chain[0].Raw), nil
	}
	if !fingerprint.MatchString(q.Fingerprint) {
		return nil, "", fmt.Errorf("%q is no fingerprint; it has 64 lower-case hex digits, the SHA-256 of the certificate's DER: %w",
			q.Fingerprint, muster.ErrInvalid)
	}
	records, _, err := a.config.Registry.Find(ctx, q.Fingerprint)
	if err != nil || len(records) == 0 {
		return nil, q.Fingerprint, err
	}
	chain, err := parse(records[0].PEM)
	return chain, q.Fingerprint, err
}

// maxChain bounds the certificates of one question.
const maxChain = 10

// parse reads the certificates of a text; other blocks, such as a key that lies
// in the same file, are passed over.
func parse(text string) (chain []*x509.Certificate, err error) {
	for rest := []byte(text); len(chain) < maxChain; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	if chain == nil {
		return nil, errors.New("no PEM block of type CERTIFICATE")
	}
	return chain, nil
}
