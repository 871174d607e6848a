package hooks

import (
	"sync"

	"github.com/muster-mqtt/muster/policy"
)

// maxPolicies bounds the compiled documents that are kept.
const maxPolicies = 10_000

// Policies keeps policy documents compiled, by their text, so that a fleet
// under one policy compiles it once. It is safe for concurrent use.
type Policies struct {
	mu       sync.Mutex
	compiled map[string]*policy.Document
}

// NewPolicies makes an empty cache.
func NewPolicies() *Policies { return &Policies{compiled: map[string]*policy.Document{}} }

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
