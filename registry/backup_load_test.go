package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
	"github.com/muster-mqtt/muster/registry/registrytest"
)

const writers = 64

// load is writers that register devices and revoke each other one.
type load struct {
	*fixture
	ca        *mint.Authority
	authority muster.Authority
	turns     chan int      // devices to be registered
	done      chan struct{} // a turn was
	writers   sync.WaitGroup
	given     int // turns
	mu        sync.Mutex
	known     map[string]muster.Status // what certificates were last acknowledged as; guarded by mu
}

// start lets all writers have something to do, all the time.
func (l *load) start() {
	for range writers {
		l.writers.Go(func() {
			for i := range l.turns {
				l.device(fmt.Sprint("device-", i), i%2 == 1)
				l.done <- struct{}{}
			}
		})
	}
	l.give(writers)
}

func (l *load) give(turns int) {
	for range turns {
		l.turns <- l.given
		l.given++
	}
}

// await waits until so many more devices were registered.
func (l *load) await(more int) {
	for range more {
		l.give(1)
		<-l.done
	}
}

func (l *load) end() {
	close(l.turns)
	for range writers {
		<-l.done
	}
	l.writers.Wait()
}

func (l *load) device(name string, revoke bool) {
	leaf := must(l.ca.Issue(mint.Request{}))
	text := string(leaf(l.fixture).CertPEM())
	r := thingNamed(name)
	c, err := l.Enrol(l.Context(), muster.Enrolment{Account: account, AuthorityID: l.authority.ID, PEM: text, Registration: r})
	if err != nil {
		l.Error(err)
		return
	}
	l.acknowledged(c.ID, c.Status)
	if !revoke {
		return
	}
	if err := l.Revoke(l.Context(), account, c.ID); err != nil {
		l.Error(err)
		return
	}
	l.acknowledged(c.ID, muster.Revoked)
}

func (l *load) acknowledged(id string, status muster.Status) {
	l.mu.Lock()
	l.known[id] = status
	l.mu.Unlock()
}

func (l *load) snapshot() map[string]muster.Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.known)
}

// TestBackupUnderLoad backs a registry up while 64 writers register and revoke,
// and holds the restored one to what was acknowledged before and after, and to
// the state at the sequence of the backup, document by document.
func TestBackupUnderLoad(t *testing.T) {
	for name, engine := range map[string]func() registry.Engine{
		"badger": func() registry.Engine { return newBadger(t) },
		"memory": func() registry.Engine { return memory.New() },
	} {
		t.Run(name, func(t *testing.T) { backupUnderLoad(newFixtureOn(t, engine(), registry.Config{})) })
	}
}

func backupUnderLoad(f *fixture) {
	f.policy("p")
	ca := f.mint("Load")
	l := &load{
		fixture: f, ca: ca, authority: f.authority(ca), turns: make(chan int, 1), done: make(chan struct{}, writers),
		known: map[string]muster.Status{},
	}
	l.start()
	l.await(500)

	before := l.snapshot()
	slow := &slowed{load: l}
	report, err := registry.Backup(f.Context(), f.engine, slow, "")
	f.ok(err)
	after := l.snapshot()
	l.await(300)
	l.end()
	if slow.writes < 3 {
		f.Errorf("the backup was written %d times: the test shows nothing", slow.writes)
	}

	to := memory.New()
	restored := restore(f.T, to, slow.Bytes())
	if restored.Seq != report.Seq || restored.SHA256 != report.SHA256 {
		f.Errorf("backed up %+v, restored %+v", report, restored)
	}
	registrytest.Check(f.T, to)
	held := certificates(f, to)
	for id, status := range before {
		if c, ok := held[id]; !ok || status == muster.Revoked && c.Status != muster.Revoked {
			f.Errorf("%s was acknowledged as %s before the backup, which has it as %q", id, status, c.Status)
		}
	}
	newer := 0
	for id := range l.snapshot() {
		if _, ok := after[id]; ok {
			continue
		}
		if newer++; held[id].ID != "" {
			f.Errorf("%s was registered after the backup, and is in it", id)
		}
	}
	if newer == 0 || len(before) < 200 {
		f.Errorf("%d certificates before the backup, %d after: the test shows nothing", len(before), newer)
	}
	sameAt(f, report.Seq, to)
}

// slowed is a file that takes a piece only after some more devices.
type slowed struct {
	bytes.Buffer
	*load
	writes int
}

func (s *slowed) Write(p []byte) (int, error) {
	s.writes++
	s.await(writers)
	return s.Buffer.Write(p)
}

type versioned struct {
	muster.Certificate
	version uint64
}

func certificates(f *fixture, e registry.Engine) map[string]versioned {
	f.Helper()
	all := map[string]versioned{}
	f.ok(e.View(f.Context(), func(r registry.Reader) error {
		for q := (registry.Query{Limit: 1000}); ; {
			docs, next, err := r.List(registry.KindCert, q)
			if err != nil {
				return err
			}
			for _, d := range docs {
				v := versioned{version: d.Version}
				if err := json.Unmarshal(d.JSON, &v.Certificate); err != nil {
					return err
				}
				all[v.ID] = v
			}
			if q.After = next; next == nil {
				return nil
			}
		}
	}))
	return all
}

// sameAt demands that an engine holds the certificates of the fixture's as they
// stood at a sequence. A certificate is written once or twice: registered, and
// revoked.
func sameAt(f *fixture, seq uint64, e registry.Engine) {
	f.Helper()
	now, held := certificates(f, f.engine), certificates(f, e)
	changed := 0
	for id, c := range now {
		then, ok := held[id]
		switch {
		case c.version <= seq && (!ok || then.Status != c.Status || then.Revision != c.Revision):
			f.Errorf("%s was %s since change %d of %d, and is restored as %q", id, c.Status, c.version, seq, then.Status)
		case c.version > seq && c.Revision == 1 && ok:
			f.Errorf("%s was registered by change %d, after %d, and is restored", id, c.version, seq)
		case c.version > seq && ok:
			if changed++; then.Revision >= c.Revision {
				f.Errorf("%s was revoked by change %d, after %d, and is restored as %s", id, c.version, seq, then.Status)
			}
		}
	}
	for id := range held {
		if _, ok := now[id]; !ok {
			f.Errorf("%s is restored, and never was", id)
		}
	}
	f.Logf("%d certificates restored, %d of them revoked later, %d in the end", len(held), changed, len(now))
}
