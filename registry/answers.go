package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/muster-mqtt/muster"
)

// maxAnswer bounds one OCSP answer, in bytes.
const maxAnswer = 64 << 10

// Answer returns the OCSP answer kept under key, as it came, or ErrNotFound.
// Whether it is still fresh the caller judges.
func (s *Store) Answer(ctx context.Context, key string) ([]byte, error) {
	doc, err := get[answerDoc](ctx, s, KindAnswer, key)
	return doc.DER, err
}

// PutAnswer keeps an OCSP answer of at most 64 KiB over restarts, until it is
// swept after expires. A zero expires keeps it for good, as a revocation must be.
func (s *Store) PutAnswer(ctx context.Context, key string, der []byte, expires time.Time) error {
	if key == "" || len(der) == 0 || len(der) > maxAnswer {
		return fmt.Errorf("OCSP answer %q: %d bytes, want a key and 1 to %d bytes: %w", key, len(der), maxAnswer, muster.ErrInvalid)
	}
	doc := &answerDoc{Key: key, DER: der}
	if !expires.IsZero() {
		doc.Expires = expires.UTC()
	}
	return s.update(ctx, func(t *tx) error {
		_, version, err := read[answerDoc](t, KindAnswer, key)
		if version, err = optional(version, err); err != nil {
			return err
		}
		return t.put(version, doc)
	})
}
