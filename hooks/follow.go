package hooks

import (
	"context"
	"slices"
	"time"

	"github.com/muster-mqtt/muster"
)

// Rejudge acts on a change that the registry has told of, in a mochi server of
// one's own: connections that it concerns are closed, or lose the subscriptions
// that are not allowed any more. It asks no network, and looks at each client,
// a microsecond or so for one that the change does not concern. Package broker
// has an index and needs no call of this.
func (h *Hook) Rejudge(ctx context.Context, c muster.Change) {
	h.rejudge(ctx, func(s *Session) bool { return s.concernedBy(c) })
}

// RejudgeAll is Rejudge for whatever may have changed.
func (h *Hook) RejudgeAll(ctx context.Context) {
	h.rejudge(ctx, func(*Session) bool { return true })
}

func (h *Hook) rejudge(ctx context.Context, concerned func(*Session) bool) {
	told := time.Now()
	for _, cl := range h.server.Clients.GetAll() {
		if s := sessionOf(cl); s != nil && !cl.Closed() && concerned(s) {
			s.Rejudge(ctx, told)
		}
	}
}

func (s *Session) concernedBy(c muster.Change) bool {
	if c.Kind == muster.KindCertificate { // whatever the account: that may be what changes
		return c.ID == s.candidate.ID
	}
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	return c.Account == s.candidate.Account && slices.Contains(s.watched, muster.ResourceKey{Kind: c.Kind, ID: c.ID})
}

// attend does for a connection that nobody drives what package broker does for
// its own: it is closed when its certificate expires. And it is judged once more
// now that Rejudge finds it, for a change may have been told just before.
func (s *Session) attend() {
	if _, driven := s.transport.(Connection); driven {
		return
	}
	expires := time.Until(s.hook.gate.Expiry(s.candidate).Add(time.Millisecond)) // who has no date (RFC 5280 §4.1.2.5) would overflow a Duration
	s.expiry = time.AfterFunc(expires, func() { s.Rejudge(context.Background(), time.Now()) })
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	s.Rejudge(ctx, time.Now())
}

// unattend ends what attend began.
func (s *Session) unattend() {
	if s.expiry != nil {
		s.expiry.Stop()
	}
}
