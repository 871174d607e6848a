package admin

import (
	"context"
	"time"

	"github.com/muster-mqtt/muster"
)

// PolicyID names a policy. Account may be left out where there is one alone.
type PolicyID struct {
	Account string `json:"account,omitempty"`
	Name    string `json:"name"`
}

// PolicyVersions are the versions of a policy, oldest first.
type PolicyVersions struct {
	PolicyID
	Versions []PolicyVersion `json:"versions"`
}

// PolicyVersion is a text of a policy.
type PolicyVersion struct {
	ID       string    `json:"id"`
	Default  bool      `json:"default"` // it is in force
	Created  time.Time `json:"created"`
	Document string    `json:"document"`
}

// PolicyDefault asks for another version of a policy to be in force.
type PolicyDefault struct {
	PolicyID
	Version string `json:"version"`
}

// ListPolicyVersions wraps muster.ErrNotFound if there is no such policy.
func (a *Admin) ListPolicyVersions(ctx context.Context, in PolicyID) (PolicyVersions, error) {
	account, err := a.account(ctx, in.Account)
	if err != nil {
		return PolicyVersions{}, err
	}
	p, err := a.config.Registry.Policy(ctx, account, in.Name)
	return versionsOf(p), err
}

// SetPolicyDefault puts a version in force, for live sessions too, and returns
// what there is then. It wraps muster.ErrNotFound if there is no such version.
func (a *Admin) SetPolicyDefault(ctx context.Context, in PolicyDefault) (PolicyVersions, error) {
	account, err := a.account(ctx, in.Account)
	if err != nil {
		return PolicyVersions{}, err
	}
	if err := a.config.Registry.SetDefaultPolicyVersion(ctx, account, in.Name, in.Version); err != nil {
		return PolicyVersions{}, err
	}
	p, err := a.config.Registry.Policy(ctx, account, in.Name)
	return versionsOf(p), err
}

func versionsOf(p muster.Policy) PolicyVersions {
	out := PolicyVersions{PolicyID: PolicyID{p.Account, p.Name}, Versions: make([]PolicyVersion, len(p.Versions))}
	for i, v := range p.Versions {
		out.Versions[i] = PolicyVersion{v.ID, v.ID == p.Default, v.Created, v.Document}
	}
	return out
}
