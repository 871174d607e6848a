package ocsp

import (
	"encoding/binary"
	"time"
)

// maxRefreshPause is the longest time between two tries to refresh an answer.
const maxRefreshPause = 10 * time.Minute

// refreshAt returns from when on an answer is asked for again ahead of its
// expiry: between a half and three quarters of the time that it has left, at
// a point that is each certificate's own, so that a fleet that came at once is
// not asked about at once forever. An answer that soon lapses is not
// refreshed. One that a device brought has its time from when it was made: who
// brings the same again and again must not keep a revocation from being seen
// until its nextUpdate.
func (k *knowledge) refreshAt(cert id, a Answer, now time.Time) time.Time {
	left := a.Expires.Sub(now)
	if a.Final() || left < 2*k.cfg.Retry {
		return time.Time{}
	}
	at := now.Add(left/2 + share(cert, left/4))
	if a.Source == SourceBrought {
		at = later(now, earlier(at, a.ThisUpdate.Add(k.cfg.Keep/2)))
	}
	return at
}

// share returns the part of d that is the certificate's own.
func share(cert id, d time.Duration) time.Duration {
	const bits = 16
	return d / (1 << bits) * time.Duration(binary.BigEndian.Uint16(cert[8:]))
}

// postpone puts off the next try to refresh an answer after one that failed:
// twice as long each time, up to a bound. The answer stays what it is.
func (k *knowledge) postpone(cert id) {
	now := k.cfg.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.memory.entries[cert]
	if !ok || e.answer.Refresh.IsZero() {
		return
	}
	pause := maxRefreshPause
	if e.tries < 16 {
		pause = min(k.cfg.Retry<<e.tries, pause)
	}
	e.tries++
	e.answer.Refresh = now.Add(pause + share(cert, pause/2))
	k.memory.entries[cert] = e
}

// refresh asks for an answer again if it is time, while e is given. Refreshes
// have few places of their own, so that they take none from devices that wait;
// one that finds none is left to the next Check.
func (c *Client) refresh(in *inquiry, e entry) {
	if at := e.answer.Refresh; in.Offline || at.IsZero() || c.cfg.Now().Before(at) {
		return
	}
	in.plan()
	if len(in.urls) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.ahead >= c.cfg.Refreshing || c.of(in.name).ahead >= half(c.cfg.Refreshing) || c.flying[in.self] != nil || c.full(in) != nil {
		return
	}
	c.start(*in, true)
}
