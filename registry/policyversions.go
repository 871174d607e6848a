package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/muster-mqtt/muster"
)

// maxPolicyVersions is how many texts a policy may have at once, as in AWS.
const maxPolicyVersions = 5

// CreatePolicyVersion adds a text to a policy, and puts it in force if it is to
// be the default. A policy has five versions at most (ErrVersions). IDs count
// upwards and are not used again while the policy exists.
func (s *Store) CreatePolicyVersion(ctx context.Context, account, name, document string, setDefault bool) (muster.PolicyVersion, error) {
	none := muster.PolicyVersion{}
	if err := checkPolicy(name, document); err != nil {
		return none, err
	}
	now := s.now()
	var made muster.PolicyVersion
	err := s.editPolicy(ctx, account, name, now, func(p *muster.Policy) (bool, error) {
		if len(p.Versions) >= maxPolicyVersions {
			return false, fmt.Errorf("policy %s: it has %d versions already, delete one first: %w", name, len(p.Versions), muster.ErrVersions)
		}
		made = muster.PolicyVersion{ID: strconv.Itoa(p.Next), Document: document, Created: now}
		p.Versions = append(p.Versions, made)
		p.Next++
		if setDefault {
			p.Default = made.ID
		}
		return true, nil
	})
	if errors.Is(err, ErrTooLarge) { // white space does not count, and is kept
		err = fmt.Errorf("policy %s: its versions are too large together, leave out white space or delete one of them: %w", name, muster.ErrInvalid)
	}
	if err != nil {
		return none, err
	}
	return made, nil
}

// SetDefaultPolicyVersion puts a version in force, at once and for live sessions
// too. To set the one that is in force changes nothing.
func (s *Store) SetDefaultPolicyVersion(ctx context.Context, account, name, id string) error {
	return s.editPolicy(ctx, account, name, s.now(), func(p *muster.Policy) (bool, error) {
		if _, err := versionOf(p, id); err != nil || p.Default == id {
			return false, err
		}
		p.Default = id
		return true, nil
	})
}

// DeletePolicyVersion deletes a version that is not in force (ErrInUse).
func (s *Store) DeletePolicyVersion(ctx context.Context, account, name, id string) error {
	return s.editPolicy(ctx, account, name, s.now(), func(p *muster.Policy) (bool, error) {
		i, err := versionOf(p, id)
		if err != nil {
			return false, err
		}
		if p.Default == id {
			return false, fmt.Errorf("policy %s: version %s is the default, set another one or delete the policy: %w", name, id, muster.ErrInUse)
		}
		p.Versions = slices.Delete(p.Versions, i, i+1)
		return true, nil
	})
}

// PolicyVersion returns a version of a policy, and the policy.
func (s *Store) PolicyVersion(ctx context.Context, account, name, id string) (muster.PolicyVersion, muster.Policy, error) {
	p, err := s.Policy(ctx, account, name)
	if err != nil {
		return muster.PolicyVersion{}, muster.Policy{}, err
	}
	i, err := versionOf(&p, id)
	if err != nil {
		return muster.PolicyVersion{}, muster.Policy{}, err
	}
	return p.Versions[i], p, nil
}

func versionOf(p *muster.Policy, id string) (int, error) {
	i := slices.IndexFunc(p.Versions, func(v muster.PolicyVersion) bool { return v.ID == id })
	if i < 0 {
		return 0, fmt.Errorf("policy %s: version %.20s: %w", p.Name, id, muster.ErrNotFound)
	}
	return i, nil
}

// editPolicy writes the policy if edit changes it.
func (s *Store) editPolicy(ctx context.Context, account, name string, now time.Time, edit func(*muster.Policy) (changed bool, err error)) error {
	return s.update(ctx, func(t *tx) error {
		p, version, err := read[muster.Policy](t, KindPolicy, docID(KindPolicy, account, name))
		if err != nil {
			return err
		}
		changed, err := edit(&p)
		if err != nil || !changed {
			return err
		}
		p.Modified = now
		return t.put(version, &p)
	})
}

// policy holds a policy to what its versions may be.
func (c *checker) policy(d *muster.Policy) {
	what := c.owned("policy "+d.Name, d.Account)
	if n := count(d.Versions, func(v muster.PolicyVersion) bool { return v.ID == d.Default }); n != 1 {
		c.breaks("%s: %d versions are the default %q", what, n, d.Default)
	}
	if n := len(d.Versions); n > maxPolicyVersions {
		c.breaks("%s: it has %d versions, want at most %d", what, n, maxPolicyVersions)
	}
	last := 0
	for _, v := range d.Versions {
		n, err := strconv.Atoi(v.ID)
		if err != nil || n <= last || n >= d.Next {
			c.breaks("%s: version %q after %d, want one that is above it and below %d", what, v.ID, last, d.Next)
		}
		last = n
	}
}
