package registrytest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/muster-mqtt/muster/registry"
)

// Simulate runs one random history on two engines that hold the same, and fails
// the test, naming the seed, at the first answer that differs. Between, once
// after some hundred steps, it calls pause, which may replace the first engine
// by itself reopened, and checks it.
func Simulate(t *testing.T, seed uint64, steps int, got, model registry.Engine, pause func() registry.Engine) {
	t.Logf("seed %d", seed)
	s := &simulation{T: t, rand: rand.New(rand.NewPCG(seed, 0)), ids: oddStrings()}
	for i := range 12 {
		s.ids = append(s.ids, fmt.Sprint("id", i))
	}
	for step := range steps {
		if step%500 == 499 {
			got = pause()
			CheckEngine(t, got, map[registry.Kind][]string{things: simulated, "other": simulated})
		}
		if !s.update(got, model) || !s.view(got, model) {
			t.Fatalf("seed %d: the engines differ at step %d", seed, step)
		}
	}
}

var simulated = []string{byName, byOwner, "tag"}

type simulation struct {
	*testing.T
	rand *rand.Rand
	ids  []string
}

// operation is one call on a Tx; it returns what the call answered.
type operation func(registry.Tx) (string, error)

// update runs the same closure on both engines.
func (s *simulation) update(got, model registry.Engine) bool {
	ops := make([]operation, 1+s.rand.IntN(6))
	for i := range ops {
		ops[i] = s.operation()
	}
	fails := s.rand.IntN(5) == 0
	run := func(e registry.Engine) (log []string) {
		err := e.Update(s.Context(), func(tx registry.Tx) error {
			for _, op := range ops {
				answer, err := op(tx)
				log = append(log, fmt.Sprint(answer, " ", sentinel(err), " ", tx.Seq()))
			}
			if fails {
				return errFailure
			}
			return nil
		})
		return append(log, sentinel(err))
	}
	return s.same(run(got), run(model))
}

// view asks both engines for the same documents and pages.
func (s *simulation) view(got, model registry.Engine) bool {
	get, list := s.get(), s.list()
	run := func(e registry.Engine) (log []string) {
		err := e.View(s.Context(), func(r registry.Reader) error {
			for _, op := range []func(registry.Reader) (string, error){get, list} {
				answer, err := op(r)
				log = append(log, answer, sentinel(err))
			}
			log = append(log, fmt.Sprint(r.Seq()))
			return nil
		})
		return append(log, sentinel(err))
	}
	return s.same(run(got), run(model))
}

func (s *simulation) same(got, model []string) bool {
	if slices.Equal(got, model) {
		return true
	}
	s.Errorf("engine:\n%q\nmodel:\n%q", got, model)
	return false
}

func (s *simulation) operation() operation {
	k, id := s.kind(), s.id()
	switch s.rand.IntN(10) {
	case 0, 1:
		return func(tx registry.Tx) (string, error) { return "delete", tx.Delete(k, id) }
	case 2:
		op := s.get()
		return func(tx registry.Tx) (string, error) { return op(tx) }
	case 3, 4:
		op := s.list()
		return func(tx registry.Tx) (string, error) { return op(tx) }
	case 5:
		d := s.doc(id)
		d.Version = s.rand.Uint64N(50)
		return func(tx registry.Tx) (string, error) { return "put", tx.Put(k, d) }
	default:
		d := s.doc(id)
		return func(tx registry.Tx) (string, error) {
			if old, err := tx.Get(k, id); err == nil {
				d.Version = old.Version
			}
			return "replace", tx.Put(k, d)
		}
	}
}

func (s *simulation) get() func(registry.Reader) (string, error) {
	k, id := s.kind(), s.id()
	return func(r registry.Reader) (string, error) {
		d, err := r.Get(k, id)
		return describe(d), err
	}
}

// list reads the pages of a random query until the last one, or until it has
// seen enough.
func (s *simulation) list() func(registry.Reader) (string, error) {
	k := s.kind()
	q := registry.Query{
		Index: append(simulated, "", "")[s.rand.IntN(len(simulated)+2)],
		Desc:  s.rand.IntN(2) == 0,
		Limit: s.rand.IntN(8),
	}
	if s.rand.IntN(2) == 0 {
		q.Prefix = []byte(s.id())
	}
	pages := 1 + s.rand.IntN(4)
	return func(r registry.Reader) (answer string, err error) {
		q := q
		for range pages {
			docs, next, err := r.List(k, q)
			if err != nil {
				return answer, err
			}
			for _, d := range docs {
				answer += describe(d) + "; "
			}
			answer += fmt.Sprintf("more: %v. ", next != nil)
			if q.After = next; next == nil {
				break
			}
		}
		return answer, nil
	}
}

func (s *simulation) doc(id string) registry.Doc {
	d := registry.Doc{ID: id, JSON: fmt.Appendf(nil, "%d", s.rand.Uint64())}
	for range s.rand.IntN(4) {
		index := simulated[s.rand.IntN(len(simulated))]
		d.Index = append(d.Index, registry.Entry{Index: index, Key: []byte(s.id()), Unique: index == byName})
	}
	return d
}

func (s *simulation) id() string { return s.ids[s.rand.IntN(len(s.ids))] }

func (s *simulation) kind() registry.Kind {
	if s.rand.IntN(4) == 0 {
		return "other"
	}
	return things
}

func describe(d registry.Doc) string {
	return fmt.Sprintf("%q %d %q %v", d.ID, d.Version, d.JSON, d.Index)
}

// sentinel names the contract's error that err is, for texts may differ.
func sentinel(err error) string {
	for _, known := range []error{registry.ErrNoDoc, registry.ErrDocExists, registry.ErrDocConflict, errFailure} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return fmt.Sprint(err)
}
