package ocsp

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"
)

// maxResponders is how many responders something is remembered about. One that
// answers as it should needs no such memory.
const maxResponders = 1024

// responders remembers what is odd about responders: that one fails, and is
// better left alone for a while, or that it understands POST only.
type responders struct {
	now      func() time.Time
	after    int           // failures in a row that open a breaker
	min, max time.Duration // for which one stays open

	mu    sync.Mutex // guards all below
	known map[string]*responder
}

type responder struct {
	failures int           // in a row
	fault    Fault         // the last failure
	why      string        // the same in a clause
	since    time.Time     // when the breaker opened; zero: it is closed
	until    time.Time     // when the responder is tried again
	pause    time.Duration // between the last two
	trying   bool          // half-open: one request is under way
	post     bool          // GET failed where POST did not
}

func newResponders(cfg Config) *responders {
	return &responders{
		now: cfg.Now, after: cfg.BreakAfter, min: cfg.Retry, max: max(cfg.Retry, cfg.BreakAtMost),
		known: map[string]*responder{},
	}
}

// responderName is what responders are told apart by: scheme, host and port.
func responderName(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// heldOff is the error of a responder that is not asked.
type heldOff struct {
	until  time.Time
	detail string
}

func (h *heldOff) Error() string { return h.detail }

// closed returns nil if the responder may be asked, or why not.
func (r *responders) closed(name string) *heldOff {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[name].heldOff(r.now())
}

// enter is closed, and takes the one trial if the breaker is half-open. Whoever
// entered calls leave.
func (r *responders) enter(name string) *heldOff {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.known[name]
	if held := s.heldOff(r.now()); held != nil {
		return held
	}
	if s != nil && !s.since.IsZero() {
		s.trying = true
	}
	return nil
}

func (s *responder) heldOff(now time.Time) *heldOff {
	if s == nil || s.since.IsZero() || !s.trying && !now.Before(s.until) {
		return nil
	}
	next := "is tried again at " + stamp(s.until)
	if s.trying {
		next = "is being tried again"
	}
	return &heldOff{s.until, fmt.Sprintf("it is not asked since %s, for it failed %d times in a row (%s), and %s",
		stamp(s.since), s.failures, s.why, next)}
}

// The ways in which a request to a responder may end, as its breaker sees it.
type ending uint8

const (
	inconclusive ending = iota // it was not asked, or we gave up
	answered                   // it is alive, whatever it said
	failed                     // it is not, or wants to be left alone
)

// endings says what a fault says of a responder that was asked; what is
// missing here was an answer. Errors of TLS are: whoever has a wrong root must
// not keep others from a responder that they share.
var endings = map[Fault]ending{
	FaultEnded: inconclusive, FaultForbidden: inconclusive, FaultSettings: inconclusive,
	FaultConnect: failed, FaultTimeout: failed, FaultBroken: failed, FaultTryLater: failed,
}

func endingOf(f Fault) ending {
	if e, ok := endings[f]; ok {
		return e
	}
	return answered
}

// leave tells how a request ended, and returns the Event if the breaker opened
// or closed by it.
func (r *responders) leave(name string, e ending, f Fault, why string) (Event, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.known[name]
	switch {
	case e == answered && s != nil:
		return r.recover(name, s)
	case e == failed:
		if s == nil {
			s = r.add(name)
		}
		return s.fail(r, name, f, why)
	case s != nil:
		s.trying = false
	}
	return Event{}, false
}

func (r *responders) recover(name string, s *responder) (Event, bool) {
	wasOpen := !s.since.IsZero()
	*s = responder{post: s.post}
	if !s.post {
		delete(r.known, name)
	}
	return Event{Kind: EventClosed, Responder: name}, wasOpen
}

func (s *responder) fail(r *responders, name string, f Fault, why string) (Event, bool) {
	trial := s.trying
	s.trying, s.fault, s.why = false, f, why
	if s.failures++; s.failures < r.after {
		return Event{}, false
	}
	now := r.now()
	switch {
	case s.since.IsZero():
		s.since, s.pause = now, r.min
	case trial:
		s.pause = min(2*s.pause, r.max)
	default: // it was under way when the breaker opened
		return Event{}, false
	}
	// A quarter of chance, so that many servers do not come back at once.
	s.until = now.Add(s.pause - rand.N(s.pause/4+1))
	return Event{Kind: EventOpened, Fault: f, Responder: name, Until: s.until, Detail: why}, true
}

// postOnly reports whether GET is not worth trying.
func (r *responders) postOnly(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.known[name]
	return s != nil && s.post
}

// setPostOnly remembers it.
func (r *responders) setPostOnly(name string, post bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.known[name]
	if s == nil {
		if !post {
			return
		}
		s = r.add(name)
	}
	if s.post = post; *s == (responder{}) {
		delete(r.known, name)
	}
}

// add makes room if there is none, by forgetting, among a few that the map's
// random order picks, what is least missed.
func (r *responders) add(name string) *responder {
	if len(r.known) >= maxResponders {
		const look = 8
		victim, least, seen := "", 0, 0
		for name, s := range r.known {
			if value := s.value(); victim == "" || value < least {
				victim, least = name, value
			}
			if seen++; seen == look {
				break
			}
		}
		delete(r.known, victim)
	}
	s := new(responder)
	r.known[name] = s
	return s
}

func (s *responder) value() int {
	switch {
	case s.trying:
		return 3
	case !s.since.IsZero():
		return 2
	case s.failures > 0:
		return 1
	}
	return 0
}

// open lists the responders that are not asked.
func (r *responders) open() []Breaker {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []Breaker
	for name, s := range r.known {
		if !s.since.IsZero() {
			list = append(list, Breaker{Responder: name, Since: s.since, Until: s.until, Fault: s.fault})
		}
	}
	return list
}
