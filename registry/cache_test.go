package registry_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
)

func TestCacheIsBounded(t *testing.T) {
	for _, size := range []int{1000, 10_000} {
		held, hot := registry.CacheLoad(size, 10*size)
		if held > size+size/10 || held < size/3 {
			t.Errorf("a cache of %d holds %d", size, held)
		}
		if !hot {
			t.Errorf("a cache of %d dropped what is asked for all the time", size)
		}
	}
}

// pausing is an engine whose next View, or next Update after its commit, waits
// until the test lets it go on.
type pausing struct {
	registry.Engine
	mu               sync.Mutex
	onView, onUpdate *pause
}

type pause struct{ reached, proceed chan struct{} }

func newPause() *pause { return &pause{make(chan struct{}), make(chan struct{})} }

func (p *pausing) take(which **pause) {
	p.mu.Lock()
	at := *which
	*which = nil
	p.mu.Unlock()
	if at != nil {
		close(at.reached)
		<-at.proceed
	}
}

func (p *pausing) set(which **pause) *pause {
	p.mu.Lock()
	defer p.mu.Unlock()
	*which = newPause()
	return *which
}

func (p *pausing) View(ctx context.Context, fn func(registry.Reader) error) error {
	err := p.Engine.View(ctx, fn)
	p.take(&p.onView)
	return err
}

func (p *pausing) Update(ctx context.Context, fn func(registry.Tx) error) error {
	err := p.Engine.Update(ctx, fn)
	p.take(&p.onUpdate)
	return err
}

// A value that was read before a write and arrives after it must not be kept.
func TestCacheDropsLateFill(t *testing.T) {
	e := &pausing{Engine: memory.New()}
	f := newFixtureOn(t, e, registry.Config{})
	ca := f.mint("Late")
	f.authority(ca)
	c := f.register(ca, "device", muster.Active)
	readers := map[string]func() (muster.Status, error){
		"Find": func() (muster.Status, error) {
			found, _, err := f.Find(t.Context(), c.ID)
			return found[0].Status, err
		},
		"Certificate": func() (muster.Status, error) {
			found, err := f.Certificate(t.Context(), account, c.ID)
			return found.Status, err
		},
		"Principal": func() (muster.Status, error) {
			found, err := f.Principal(t.Context(), account, c.ID, "device")
			return found.Certificate.Status, err
		},
	}
	status := muster.Active
	for name, read := range readers {
		was := status
		if status = muster.Inactive; was == status {
			status = muster.Active
		}
		must(f.UpdateCertificateStatus(t.Context(), account, c.ID, was))(f)
		// A write to the fingerprint empties its cache without a change of status.
		f.ok(f.touch(c.ID))
		must(f.Accounts(t.Context()))(f) // in the cache, so that the next view reads the certificate
		at := e.set(&e.onView)
		early := make(chan muster.Status, 1)
		go func() {
			got, err := read()
			if err != nil {
				t.Error(err)
			}
			early <- got
		}()
		<-at.reached // it has read the old status, and has not filled the cache
		must(f.UpdateCertificateStatus(t.Context(), account, c.ID, status))(f)
		close(at.proceed)
		if got := <-early; got != was {
			t.Errorf("%s: the early read saw %s, so nothing was tested", name, got)
		}
		if got := must(read())(f); got != status {
			t.Errorf("%s: answers %s after UpdateCertificateStatus(%s) returned", name, got, status)
		}
	}
}

// touch writes a certificate without changing its status.
func (f *fixture) touch(id string) error {
	const name = "touch"
	if _, err := f.Policy(f.Context(), account, name); err != nil {
		f.policy(name)
	}
	if err := f.AttachPolicy(f.Context(), account, name, muster.KindCertificate, id); err != nil {
		return err
	}
	return f.DetachPolicy(f.Context(), account, name, muster.KindCertificate, id)
}

// Who hears of a change reads what it changed, even while the update that made
// it has not returned yet.
func TestChangesSeeWhatChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &pausing{Engine: memory.New()}
		f := newFixtureOn(t, e, registry.Config{})
		ca := f.mint("Changes")
		f.authority(ca)
		c := f.register(ca, "device", muster.Active)
		must(f.Certificate(t.Context(), account, c.ID))(f) // now in the cache
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		seen := make(chan muster.Status, 1)
		ended := make(chan error, 1)
		after := f.seq()
		go func() {
			ended <- f.Changes(ctx, after, func(change muster.Change) error {
				if change.Kind != muster.KindCertificate || change.Account != account || change.ID != c.ID || change.Seq <= after {
					t.Errorf("change %+v", change)
				}
				now, err := f.Certificate(ctx, account, c.ID)
				seen <- now.Status
				return err
			})
		}()
		at := e.set(&e.onUpdate)
		updated := make(chan error, 1)
		go func() {
			_, err := f.UpdateCertificateStatus(ctx, account, c.ID, muster.Revoked)
			updated <- err
		}()
		if got := <-seen; got != muster.Revoked {
			t.Errorf("a reader of Changes sees %s", got)
		}
		close(at.proceed)
		f.ok(<-updated)
		cancel()
		<-ended
	})
}

// Who finds nothing left to do, because another has done it and was not told
// yet, reads what that other wrote.
func TestCacheOfAnothersWrite(t *testing.T) {
	e := &pausing{Engine: memory.New()}
	f := newFixtureOn(t, e, registry.Config{})
	ca := f.mint("Another")
	a := f.authority(ca)
	c := f.register(ca, "device", muster.Active)
	inactive := muster.Inactive
	for name, step := range map[string]struct {
		write func() error
		read  func() muster.Status
		want  muster.Status
	}{
		"certificate": {
			func() error {
				_, err := f.UpdateCertificateStatus(t.Context(), account, c.ID, muster.Revoked)
				return err
			},
			func() muster.Status { return must(f.Certificate(t.Context(), account, c.ID))(f).Status }, muster.Revoked,
		},
		"authority": {
			func() error {
				_, err := f.UpdateAuthority(t.Context(), account, a.ID, registry.AuthorityUpdate{Status: &inactive})
				return err
			},
			func() muster.Status {
				return must(f.AuthoritiesBySubject(t.Context(), ca.Cert.RawSubject))(f)[0].Status
			}, inactive,
		},
	} {
		step.read() // fills the cache
		at := e.set(&e.onUpdate)
		first := make(chan error, 1)
		go func() { first <- step.write() }()
		<-at.reached // it is written
		f.ok(step.write())
		if got := step.read(); got != step.want {
			t.Errorf("%s: reads %s after it was set to %s", name, got, step.want)
		}
		close(at.proceed)
		f.ok(<-first)
		if got := step.read(); got != step.want {
			t.Errorf("%s: reads %s in the end", name, got)
		}
	}
}

// While others read and write, nobody who was told of a status reads another.
func TestCacheRace(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Race")
	f.authority(ca)
	const devices, rounds = 4, 200
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range devices {
		c := f.register(ca, "device", muster.Active)
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, _, err := f.Find(t.Context(), c.ID); err != nil {
					t.Error(err)
				}
			}
		})
		writers.Go(func() {
			for i := range rounds {
				status := muster.Inactive
				if i%2 == 1 {
					status = muster.Active
				}
				if _, err := f.UpdateCertificateStatus(t.Context(), account, c.ID, status); err != nil {
					t.Error(err)
				}
				found, _, err := f.Find(t.Context(), c.ID)
				if err != nil || len(found) != 1 || found[0].Status != status {
					t.Errorf("round %d: %+v, %v; want %s", i, found, err, status)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}

// What the caches hand out is the caller's own.
func TestCacheCopies(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Copies")
	a := f.authority(ca)
	f.policy("p")
	c := f.register(ca, "device", muster.Active)
	f.ok(f.AttachPolicy(t.Context(), account, "p", muster.KindCertificate, c.ID))
	f.ok(f.TagResource(t.Context(), account, muster.KindAuthority, a.ID, []muster.Tag{{Key: "k", Value: "v"}}))
	must(f.CreateThing(t.Context(), muster.Thing{Account: account, Name: "t", Attributes: map[string]string{"k": "v"}}))(f)
	for range 2 { // the first fills the caches, the second reads them
		found, _, err := f.Find(t.Context(), c.ID)
		f.ok(err)
		byAccount := must(f.Certificate(t.Context(), account, c.ID))(f)
		authority := must(f.Authority(t.Context(), account, a.ID))(f)
		bySubject := must(f.AuthoritiesBySubject(t.Context(), ca.Cert.RawSubject))(f)
		thing := must(f.Thing(t.Context(), account, "t"))(f)
		policy := must(f.Policy(t.Context(), account, "p"))(f)
		accounts := must(f.Accounts(t.Context()))(f)
		got := []string{
			found[0].Policies[0], byAccount.Policies[0], authority.Tags[0].Value, bySubject[0].Tags[0].Value,
			thing.Attributes["k"], policy.Versions[0].ID, accounts[0].ID,
		}
		for i, want := range []string{"p", "p", "v", "v", "v", "1", account} {
			if got[i] != want {
				t.Errorf("value %d was altered by a caller: %q", i, got[i])
			}
		}
		found[0].Policies[0], byAccount.Policies[0], authority.Tags[0].Value, bySubject[0].Tags[0].Value = "x", "x", "x", "x"
		thing.Attributes["k"], policy.Versions[0].ID, accounts[0].ID = "x", "x", "x"
		found[0].Status = muster.Revoked
	}
}

// Empty answers are kept, and go when something is written.
func TestCacheForgetsEmptyAnswers(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Empty")
	pem := f.leaf(ca, "device")
	for range 2 {
		if got := must(f.AuthoritiesBySubject(t.Context(), ca.Cert.RawSubject))(f); len(got) != 0 {
			t.Errorf("found %+v", got)
		}
	}
	f.authority(ca)
	if got := must(f.AuthoritiesBySubject(t.Context(), ca.Cert.RawSubject))(f); len(got) != 1 {
		t.Errorf("found %d authorities after one was registered", len(got))
	}
	id := fingerprint(t, pem)
	if got, _, err := f.Find(t.Context(), id); err != nil || len(got) != 0 {
		t.Errorf("found %+v, %v", got, err)
	}
	must(f.RegisterCertificate(t.Context(), registry.CertificateRegistration{Account: account, PEM: pem}))(f)
	if got, _, err := f.Find(t.Context(), id); err != nil || len(got) != 1 {
		t.Errorf("found %d certificates after one was registered, %v", len(got), err)
	}
}
