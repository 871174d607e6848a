package registry

import (
	"context"
	"errors"

	"github.com/muster-mqtt/muster"
)

// creation is a named resource to create.
type creation[T any] struct {
	account string
	value   T
	check   func(Reader, *T) error // what value refers to exists, and is noted in it; nil: it refers to nothing
	equal   func(have T) bool      // have is as good as value; nil: nothing is
}

// create writes a resource, or returns the equal one that there is.
func create[T any](ctx context.Context, s *Store, k Kind, name string, c creation[T]) (T, error) {
	var out T
	err := s.update(ctx, func(t *tx) error {
		if err := require(t, KindAccount, c.account); err != nil {
			return err
		}
		have, _, err := read[T](t, k, docID(k, c.account, name))
		if err == nil {
			if c.equal == nil || !c.equal(have) {
				return &muster.ExistsError{Resource: resource(k, name)}
			}
			out = have
			return nil
		}
		if !errors.Is(err, muster.ErrNotFound) {
			return err
		}
		out = c.value
		if c.check != nil {
			if err := c.check(t, &out); err != nil {
				return err
			}
		}
		return t.put(0, &out)
	})
	if err != nil {
		var none T
		return none, err
	}
	return out, nil
}

// resource is how an ARN calls it.
func resource(k Kind, name string) string {
	kind, _ := resourceKind(k)
	return string(kind) + "/" + name
}
