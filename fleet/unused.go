package fleet

import (
	"container/list"
	"sync"
	"time"
)

// Bounds of the certificates that were made here and not provisioned yet. They go
// by themselves after an hour.
const (
	maxUnused      = 10_000 // in an account
	maxClaimUnused = 1_000  // asked for by one certificate
)

// unused counts, so that who holds a claim certificate cannot fill the registry.
// It is in memory: a restart forgets those that were made before it, of which
// there are no more than the bounds.
type unused struct {
	mu       sync.Mutex
	accounts map[string]*accountUnused
}

// accountUnused is what one account has.
type accountUnused struct {
	order  *list.List // of *place, those that go first in front
	places map[string]*list.Element
	claims map[string]int
	asked  int // places that are taken by requests under way
}

// place is one certificate.
type place struct {
	certificate, claim string
	expires            time.Time
}

// reserve takes a place for one that is about to be made; false if all are
// taken. Who got one settles it by keep or release.
func (u *unused) reserve(account, claim string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.accounts == nil {
		u.accounts = map[string]*accountUnused{}
	}
	a := u.accounts[account]
	if a == nil {
		a = &accountUnused{order: list.New(), places: map[string]*list.Element{}, claims: map[string]int{}}
		u.accounts[account] = a
	}
	for e := a.order.Front(); e != nil && now.After(e.Value.(*place).expires); e = a.order.Front() {
		a.drop(e)
	}
	if a.order.Len()+a.asked >= maxUnused || a.claims[claim] >= maxClaimUnused {
		return false
	}
	a.asked++
	a.claims[claim]++
	return true
}

// keep puts a certificate that was made in the place that was reserved for it.
func (u *unused) keep(account, claim, certificate string, expires time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	a := u.accounts[account]
	a.asked--
	a.places[certificate] = a.order.PushBack(&place{certificate, claim, expires})
}

// release gives up a place that was reserved.
func (u *unused) release(account, claim string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	a := u.accounts[account]
	a.asked--
	a.uncount(claim)
}

// used frees the place of a certificate.
func (u *unused) used(account, certificate string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	a := u.accounts[account]
	if a == nil {
		return
	}
	if e, ok := a.places[certificate]; ok {
		a.drop(e)
	}
}

func (a *accountUnused) drop(e *list.Element) {
	p := a.order.Remove(e).(*place)
	delete(a.places, p.certificate)
	a.uncount(p.claim)
}

func (a *accountUnused) uncount(claim string) {
	if a.claims[claim]--; a.claims[claim] <= 0 {
		delete(a.claims, claim)
	}
}
