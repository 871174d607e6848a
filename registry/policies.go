package registry

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/policy"
)

// CreatePolicy creates a policy with one version, "1", in force. The document
// has to parse (ErrMalformedPolicy).
func (s *Store) CreatePolicy(ctx context.Context, account, name, document string, tags []muster.Tag) (muster.Policy, error) {
	none := muster.Policy{}
	if err := checkPolicy(name, document); err != nil {
		return none, err
	}
	tags, err := sortedTags(tags)
	if err != nil {
		return none, err
	}
	p := newPolicy(account, name, document, s.now())
	p.Tags = tags
	return create(ctx, s, KindPolicy, name, creation[muster.Policy]{account: account, value: p})
}

func checkPolicy(name, document string) error {
	if err := checkName("policy", policyName, name); err != nil {
		return err
	}
	if _, err := policy.Parse([]byte(document)); err != nil {
		return fmt.Errorf("policy %s: %w", name, err)
	}
	return nil
}

func newPolicy(account, name, document string, now time.Time) muster.Policy {
	return muster.Policy{
		Account: account, Name: name, Default: "1", Next: 2, Created: now, Modified: now, Generation: randomUUID(),
		Versions: []muster.PolicyVersion{{ID: "1", Document: document, Created: now}},
	}
}

// Policy returns a policy of the account.
func (s *Store) Policy(ctx context.Context, account, name string) (muster.Policy, error) {
	p, err := s.sharedPolicy(ctx, account, name)
	p.Versions, p.Tags = slices.Clone(p.Versions), slices.Clone(p.Tags)
	return p, err
}

func (s *Store) sharedPolicy(ctx context.Context, account, name string) (muster.Policy, error) {
	id := docID(KindPolicy, account, name)
	return s.policies.load(id, func() (muster.Policy, error) { return get[muster.Policy](ctx, s, KindPolicy, id) })
}

// ListPolicies lists the account's policies by name.
func (s *Store) ListPolicies(ctx context.Context, account string, p Page) ([]muster.Policy, Cursor, error) {
	return list[muster.Policy](ctx, s, KindPolicy, "", []byte(account+"/"), p)
}

// DeletePolicy deletes a policy that is attached to nothing and has no version
// beside its default (ErrInUse).
func (s *Store) DeletePolicy(ctx context.Context, account, name string) error {
	id := docID(KindPolicy, account, name)
	return s.update(ctx, func(t *tx) error {
		p, _, err := read[muster.Policy](t, KindPolicy, id)
		if err != nil {
			return err
		}
		if n := len(p.Versions); n > 1 {
			return fmt.Errorf("policy %s: it has %d versions, delete all but the default first: %w", name, n, muster.ErrInUse)
		}
		for _, k := range []Kind{KindCert, KindThingGroup} {
			target, err := holder(t, k, IndexPolicy, Key(account, name))
			if err != nil {
				return err
			}
			if target != "" {
				return fmt.Errorf("policy %s: attached to %s %s, detach it first: %w", name, noun(k), target, muster.ErrInUse)
			}
		}
		return t.remove(KindPolicy, id)
	})
}

// AttachPolicy attaches a policy to a certificate or a thing group, at most ten
// to each. To attach it again changes nothing.
func (s *Store) AttachPolicy(ctx context.Context, account, policy string, target muster.ResourceKind, targetID string) error {
	return s.editPolicies(ctx, account, target, targetID, func(t *tx, names []string) ([]string, bool, error) {
		if err := require(t, KindPolicy, docID(KindPolicy, account, policy)); err != nil {
			return nil, false, err
		}
		names, added := with(names, policy)
		if len(names) > maxPolicies {
			return nil, false, fmt.Errorf("%s %s: more than %d policies: %w", target, targetID, maxPolicies, muster.ErrLimit)
		}
		return names, added, nil
	})
}

// DetachPolicy undoes AttachPolicy. What is not attached is no error.
func (s *Store) DetachPolicy(ctx context.Context, account, policy string, target muster.ResourceKind, targetID string) error {
	return s.editPolicies(ctx, account, target, targetID, func(t *tx, names []string) ([]string, bool, error) {
		if err := require(t, KindPolicy, docID(KindPolicy, account, policy)); err != nil {
			return nil, false, err
		}
		names, removed := without(names, policy)
		return names, removed, nil
	})
}

// AttachedPolicies returns the names of the policies attached to a certificate
// or a thing group, sorted. inherited adds those of the group's parents, or of
// the groups of the certificate's things and their parents.
func (s *Store) AttachedPolicies(ctx context.Context, account string, target muster.ResourceKind, id string, inherited bool) ([]string, error) {
	if err := checkPolicyTarget(target); err != nil {
		return nil, err
	}
	w := &principalWalk{store: s, account: account}
	if target == muster.KindThingGroup {
		g, err := s.ThingGroup(ctx, account, id)
		if err != nil || !inherited {
			return g.Policies, err
		}
		err = w.group(ctx, id)
		return sortedNames(w.policies), err
	}
	c, err := s.Certificate(ctx, account, id)
	if err != nil || !inherited {
		return c.Policies, err
	}
	w.policies = c.Policies
	for _, name := range c.Things {
		if err := w.thing(ctx, name, ""); err != nil {
			return nil, err
		}
	}
	return sortedNames(w.policies), nil
}

// editPolicies replaces the names of the policies attached to a target, if edit
// changes them.
func (s *Store) editPolicies(ctx context.Context, account string, target muster.ResourceKind, id string, edit func(*tx, []string) ([]string, bool, error)) error {
	if err := checkPolicyTarget(target); err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		if target == muster.KindThingGroup {
			g, version, err := read[muster.ThingGroup](t, KindThingGroup, docID(KindThingGroup, account, id))
			if err != nil {
				return err
			}
			names, changed, err := edit(t, g.Policies)
			if err != nil || !changed {
				return err
			}
			g.Policies = names
			return t.put(version, &g)
		}
		c, err := t.certificate(account, id)
		if err != nil {
			return err
		}
		names, changed, err := edit(t, c.Policies)
		if err != nil || !changed {
			return err
		}
		c.Policies = names
		return t.putCertificate(c)
	})
}

func checkPolicyTarget(target muster.ResourceKind) error {
	if target != muster.KindCertificate && target != muster.KindThingGroup {
		return fmt.Errorf("policies are attached to certificates and thing groups, not to %q: %w", target, muster.ErrInvalid)
	}
	return nil
}
