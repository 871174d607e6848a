package admission_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
)

// shelf is a store of refusals that counts what each call wants.
type shelf struct {
	mu    sync.Mutex
	held  map[[3]string]muster.Refusal
	saves []int // refusals put and dropped, a call
	err   error
}

func newShelf() *shelf { return &shelf{held: map[[3]string]muster.Refusal{}} }

func keyOf(r muster.Refusal) [3]string { return [3]string{r.Account, r.AuthorityID, r.CertificateID} }

func (s *shelf) Refusals(context.Context) ([]muster.Refusal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []muster.Refusal
	for _, r := range s.held {
		all = append(all, r)
	}
	return all, s.err
}

func (s *shelf) SaveRefusals(_ context.Context, put, drop []muster.Refusal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saves = append(s.saves, len(put)+len(drop))
	if s.err != nil {
		return s.err
	}
	for _, r := range drop {
		delete(s.held, keyOf(r))
	}
	for _, r := range put {
		s.held[keyOf(r)] = r
	}
	return nil
}

// holds reports whether a refusal is stored.
func (s *shelf) holds(r muster.Refusal) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.held[keyOf(r)]
	return ok
}

// fail makes it fail from now on; nil mends it.
func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

var monday = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func refusal(authority string, n int) muster.Refusal {
	at := monday.Add(time.Duration(n) * time.Second)
	return muster.Refusal{
		Time: at, First: at, Count: 1, Account: accountA, AuthorityID: authority,
		CertificateID: fmt.Sprintf("%s-%d", authority, n), Reason: muster.ReasonPendingActivation,
	}
}

// ringSize is how many refusals are kept of one authority.
const ringSize = 1000

// flushSize is how many one transaction may write.
const flushSize = 400

func TestMemoryIsBoundedByAuthority(t *testing.T) {
	m := admission.NewMemory(nil, zerolog.Nop())
	m.Remember(refusal("quiet", 0))
	for n := range ringSize + 1 {
		m.Remember(refusal("loud", n))
	}
	for id, want := range map[string]int{"quiet-0": 1, "loud-0": 0, "loud-1": 1, fmt.Sprintf("loud-%d", ringSize): 1} {
		if got := len(m.Recall(id)); got != want {
			t.Errorf("%s: %d are remembered, want %d", id, got, want)
		}
	}
	m.Remember(refusal("loud", 1)) // the oldest becomes the latest
	m.Remember(refusal("loud", ringSize+1))
	if len(m.Recall("loud-1")) != 1 || len(m.Recall("loud-2")) != 0 {
		t.Error("what was refused again was not kept before what was not")
	}
}

// TestMemoryCounts keeps one entry a certificate, with how often in a row.
func TestMemoryCounts(t *testing.T) {
	m := admission.NewMemory(nil, zerolog.Nop())
	for i, reason := range []muster.Reason{
		muster.ReasonPendingActivation, muster.ReasonPendingActivation, muster.ReasonRevoked, muster.ReasonRevoked, muster.ReasonRevoked,
	} {
		r := refusal("factory", 0)
		r.Reason, r.Time = reason, monday.Add(time.Duration(i)*time.Minute)
		r.First = r.Time
		m.Remember(r)
	}
	got := m.Recall("factory-0")
	if len(got) != 1 || got[0].Reason != muster.ReasonRevoked || got[0].Count != 3 ||
		!got[0].First.Equal(monday.Add(2*time.Minute)) || !got[0].Time.Equal(monday.Add(4*time.Minute)) {
		t.Errorf("%+v", got)
	}
	other := refusal("factory", 0)
	other.Account, other.Time = accountB, monday
	m.Remember(other)
	if got := m.Recall("factory-0"); len(got) != 2 || got[0].Account != accountA {
		t.Errorf("of two accounts, the latest first: %+v", got)
	}
}

// TestMemoryFlushesLongRefusals: a fleet whose template fails at length is stored
// in transactions that the registry takes.
func TestMemoryFlushesLongRefusals(t *testing.T) {
	f := newFixture(t, nil)
	for n := range flushSize {
		r := refusal("factory", n)
		r.CertificateID = fmt.Sprintf("%064x", n)
		r.Detail = strings.Repeat("x", 1024)
		r.Facts = []byte(`{"provisioningFailure":"` + strings.Repeat("x", 3072) + `"}`)
		f.memory.Remember(r)
	}
	for range 4 {
		must(t, f.memory.Flush(t.Context()))
	}
	if stored, err := f.store.Refusals(t.Context()); err != nil || len(stored) != flushSize {
		t.Errorf("%d are stored, %v", len(stored), err)
	}
}

// TestMemoryOfTheNameless keeps who showed no certificate by address and reason,
// apart from those who did, and never on disk.
func TestMemoryOfTheNameless(t *testing.T) {
	s := newShelf()
	m := admission.NewMemory(s, zerolog.Nop())
	now := clock{monday.Add(time.Hour)}
	f := newFixture(t, func(c *admission.Config) { c.Memory, c.Now = m, now.Now })
	fail := func(remote string, r muster.Reason, cause admission.Cause) {
		now.now = now.now.Add(time.Second)
		f.gate.Failed(admission.Failure{Reason: r, Cause: cause, Detail: "why \x1b[2J", SNI: "muster.test", Remote: remote})
	}
	stranger := refusal("", 7)
	stranger.Account, stranger.Remote = "", "192.0.2.1:4"
	m.Remember(stranger)
	fail("192.0.2.1:1", muster.ReasonHandshakeFailed, admission.CauseVersion)
	fail("192.0.2.1:2", muster.ReasonHandshakeFailed, admission.CauseVersion)
	fail("192.0.2.1:3", muster.ReasonNoCertificate, admission.CauseNoCertificate)
	fail("[2001:db8::7]:1", muster.ReasonHandshakeFailed, admission.CauseNotTLS)
	address := netip.MustParseAddr("::ffff:192.0.2.1")
	var reasons []muster.Reason
	for _, r := range m.From(address, 10) {
		reasons = append(reasons, r.Reason)
		if r.Reason == muster.ReasonHandshakeFailed && (r.Count != 2 || r.Remote != "192.0.2.1:2" || r.Detail != "why \uFFFD[2J") {
			t.Errorf("%+v", r)
		}
	}
	want := []muster.Reason{muster.ReasonNoCertificate, muster.ReasonHandshakeFailed, muster.ReasonPendingActivation}
	if !slices.Equal(reasons, want) {
		t.Errorf("from the address: %v, want %v", reasons, want)
	}
	for n := range ringSize {
		fail(fmt.Sprintf("198.51.100.%d:%d", n%256, n), muster.Reason(fmt.Sprint(n/256)), admission.CauseTLS)
	}
	if len(m.From(address, 10)) != 1 || len(m.Recall(stranger.CertificateID)) != 1 {
		t.Error("a storm did not push out the nameless, or it pushed out a stranger")
	}
	if n := len(m.Recent(2 * ringSize)); n != ringSize+1 {
		t.Errorf("%d are remembered", n)
	}
	if r := m.Recent(1); len(r) != 1 || r[0].Remote != fmt.Sprintf("198.51.100.%d:%d", (ringSize-1)%256, ringSize-1) {
		t.Errorf("the latest: %+v", r)
	}
	must(t, m.Flush(t.Context()))
	if len(s.held) != 0 {
		t.Errorf("stored: %v", s.held)
	}
}

func TestMemoryOverRestart(t *testing.T) {
	s := newShelf()
	before := admission.NewMemory(s, zerolog.Nop())
	stranger := refusal("", 7)
	stranger.Account = ""
	for _, r := range []muster.Refusal{refusal("factory", 1), refusal("factory", 1), stranger} {
		before.Remember(r)
	}
	must(t, before.Flush(t.Context()))
	after := admission.NewMemory(s, zerolog.Nop())
	must(t, after.Load(t.Context()))
	if got := after.Recall("factory-1"); len(got) != 1 || got[0].Count != 2 {
		t.Errorf("remembered: %+v", got)
	}
	if got := after.Recall(stranger.CertificateID); got != nil {
		t.Errorf("a stranger was stored: %+v", got)
	}
	must(t, after.Flush(t.Context()))
	if len(s.saves) != 1 {
		t.Errorf("what was loaded was stored again: %v", s.saves)
	}
	after.Remember(refusal("factory", 1))
	if got := after.Recall("factory-1"); got[0].Count != 3 {
		t.Errorf("the count begins anew: %+v", got)
	}
	gone := errors.New("the disk is gone")
	s.fail(gone)
	if err := admission.NewMemory(s, zerolog.Nop()).Load(t.Context()); !errors.Is(err, gone) {
		t.Errorf("Load: %v", err)
	}
}

// TestMemoryFlushes writes no more than one transaction holds, and in the end
// the store holds what the memory does.
func TestMemoryFlushes(t *testing.T) {
	s := newShelf()
	m := admission.NewMemory(s, zerolog.Nop())
	n := 0
	storm := func(count int) {
		for range count {
			m.Remember(refusal("factory", n))
			n++
		}
	}
	for range 20 { // each pushes out what the one before it brought
		storm(ringSize)
		must(t, m.Flush(t.Context()))
	}
	for len(s.saves) == 20 || s.saves[len(s.saves)-1] == flushSize {
		must(t, m.Flush(t.Context()))
		if len(s.saves) > 40 {
			t.Fatal("there is no end to what waits")
		}
	}
	for i, size := range s.saves {
		if size > flushSize {
			t.Errorf("flush %d wrote %d", i, size)
		}
	}
	if len(s.held) != ringSize {
		t.Errorf("%d are stored, want %d", len(s.held), ringSize)
	}
	for _, r := range s.held {
		if len(m.Recall(r.CertificateID)) != 1 {
			t.Errorf("%s is stored and was forgotten", r.CertificateID)
		}
	}
	storm(1)
	must(t, m.Flush(t.Context()))
	if len(s.held) != ringSize {
		t.Errorf("%d are stored, want %d", len(s.held), ringSize)
	}
}

// TestMemoryThatCameBack is one that was pushed out and refused once more
// before a flush.
func TestMemoryThatCameBack(t *testing.T) {
	s := newShelf()
	m := admission.NewMemory(s, zerolog.Nop())
	m.Remember(refusal("factory", 0))
	must(t, m.Flush(t.Context()))
	for n := range ringSize {
		m.Remember(refusal("factory", n+1))
	}
	m.Remember(refusal("factory", 0))
	for range 4 {
		must(t, m.Flush(t.Context()))
	}
	if !s.holds(refusal("factory", 0)) {
		t.Error("it is remembered and not stored")
	}
}

// TestMemoryRuns: every ten seconds, and once more at the end. A store that
// fails is tried again with what is new.
func TestMemoryRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		m := admission.NewMemory(s, zerolog.Nop())
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { m.Run(ctx) })
		m.Remember(refusal("factory", 1))
		time.Sleep(10*time.Second - time.Millisecond) // of synctest
		synctest.Wait()
		if s.holds(refusal("factory", 1)) {
			t.Error("flushed early")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if !s.holds(refusal("factory", 1)) {
			t.Error("not stored after ten seconds")
		}
		s.fail(errors.New("the disk is full"))
		m.Remember(refusal("factory", 2))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		s.fail(nil)
		m.Remember(refusal("factory", 3))
		cancel()
		running.Wait()
		if !s.holds(refusal("factory", 3)) {
			t.Error("what was new at the end was not stored")
		}
		if len(m.Recall("factory-2")) != 1 {
			t.Error("what could not be stored was forgotten")
		}
	})
}

// TestRememberedTextIsBounded: names and client IDs may have 64 KB.
func TestRememberedTextIsBounded(t *testing.T) {
	f := newFixture(t, nil)
	a := f.authority(nil)
	c := f.inspect(leafOf(t, a, nil), "")
	long := strings.Repeat("ä", 40_000)
	f.gate.Refused(c, admission.Decision{Reason: muster.ReasonPolicyDenied, Detail: long}, long)
	r := f.memory.Recall(c.ID)
	if len(r) != 1 || len(r[0].ClientID) > 600 || len(r[0].Detail) > 1100 || !strings.HasPrefix(r[0].ClientID, "ääää") {
		t.Fatalf("%d remembered, or too long", len(r))
	}
	if strings.ContainsRune(r[0].ClientID, '�') {
		t.Error("a character was cut in two")
	}
}
