package hooks

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/policy"
)

// maxPolicies bounds the compiled documents that are kept.
const maxPolicies = 10_000

// Policies keeps policy documents compiled, by their text, so that a fleet
// under one policy compiles it once. It is safe for concurrent use.
type Policies struct {
	mu       sync.Mutex
	compiled map[string]*policy.Document
	realms   map[realmKey]*policy.Realm // one an account
}

type realmKey struct{ region, account string }

// NewPolicies makes an empty cache.
func NewPolicies() *Policies {
	return &Policies{compiled: map[string]*policy.Document{}, realms: map[realmKey]*policy.Realm{}}
}

func (p *Policies) compile(text string) (*policy.Document, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d, ok := p.compiled[text]; ok {
		return d, nil
	}
	d, err := policy.Parse([]byte(text))
	if err != nil {
		return nil, err
	}
	if len(p.compiled) >= maxPolicies {
		clear(p.compiled)
	}
	p.compiled[text] = d
	return d, nil
}

// realm returns the one that all sessions of an account share.
func (p *Policies) realm(region, account string) *policy.Realm {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := realmKey{region, account}
	r, ok := p.realms[key]
	if !ok {
		r = policy.NewRealm(region, account)
		p.realms[key] = r
	}
	return r
}

// grounds are what a session is judged by, as they were just read. A session
// keeps only what it is bound to, so as to stay small; a refusal is explained
// while the grounds are at hand.
type grounds struct {
	realm     *policy.Realm
	names     []muster.PrincipalPolicy // of the documents
	documents []*policy.Document
	variables policy.Variables
	claim     bool // they are those of a claim certificate
}

// grounds compiles the policies of a principal, and gathers the variables of
// the session.
func (h *Hook) grounds(p muster.Principal, c *admission.Candidate, clientID string, asked policy.ConnectAttributes) (grounds, error) {
	g := grounds{realm: h.policies.realm(h.region, c.Account), names: p.Policies, claim: p.Certificate.Claim != ""}
	for _, text := range p.Policies {
		d, err := h.policies.compile(text.Document)
		if err != nil {
			return g, fmt.Errorf("policy %s version %s: %w", text.Name, text.Version, err)
		}
		g.documents = append(g.documents, d)
	}
	ip, _, err := net.SplitHostPort(c.Remote)
	if err != nil {
		ip = c.Remote
	}
	g.variables = policy.Variables{
		ClientID: clientID, CertificateID: c.ID, SourceIP: ip, DomainName: c.SNI, Thing: p.Thing,
		Certificate: c.Leaf, Connect: asked, Now: time.Now,
	}
	return g, nil
}

func (g *grounds) bind() *policy.Bound { return g.realm.Bind(g.documents, g.variables) }

// denial says which statement denies an action, or which came nearest to
// allowing it.
func (g *grounds) denial(a policy.Action, name string) string {
	e := g.realm.Explain(g.documents, g.variables, a, name)
	return e.Denial(a, name, func(i int) string {
		return fmt.Sprintf("policy %s version %s", g.names[i].Name, g.names[i].Version)
	})
}

// willDenial says why a will is not allowed.
func (g *grounds) willDenial(topic string, retain bool) string {
	const will = "the will: "
	if strings.HasPrefix(topic, "$") {
		return will + "topics that begin with $ are for the server alone to publish"
	}
	if tooDeep(topic) {
		return fmt.Sprintf("%sits topic has more than %d levels", will, maxLevels)
	}
	e := g.realm.Explain(g.documents, g.variables, policy.Publish, topic)
	if e.Verdict == policy.Allowed && retain {
		return will + g.denial(policy.RetainPublish, topic)
	}
	return will + g.denial(policy.Publish, topic)
}
