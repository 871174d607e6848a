package registry

import (
	"context"
	"fmt"

	"github.com/muster-mqtt/muster"
)

// SaveRefusals stores some refusals and removes others in one transaction; the
// caller keeps it within the limits of one. There is one refusal for each
// account, authority and certificate: a later one replaces it. One without an
// account is a stranger's and never stored (ErrInvalid).
func (s *Store) SaveRefusals(ctx context.Context, put, drop []muster.Refusal) error {
	for _, r := range put {
		if r.Account == "" {
			return fmt.Errorf("refusal of %s: it names no account, and strangers are not stored: %w", r.CertificateID, muster.ErrInvalid)
		}
	}
	return s.update(ctx, func(t *tx) error {
		for i := range drop {
			id := refusalID(&drop[i])
			found, err := exists(t, KindRefusal, id)
			if err != nil {
				return err
			}
			if !found {
				continue
			}
			if err := t.remove(KindRefusal, id); err != nil {
				return err
			}
		}
		for i := range put {
			_, version, err := read[muster.Refusal](t, KindRefusal, refusalID(&put[i]))
			if version, err = optional(version, err); err != nil {
				return err
			}
			if err := t.put(version, &put[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// Refusals returns all that were stored.
func (s *Store) Refusals(ctx context.Context) ([]muster.Refusal, error) {
	var out []muster.Refusal
	err := s.engine.View(ctx, func(r Reader) (err error) {
		out, err = all[muster.Refusal](r, KindRefusal, Query{})
		return err
	})
	return out, err
}
