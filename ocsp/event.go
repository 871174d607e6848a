package ocsp

import "time"

// Source says where an Answer came from. The zero value says from nowhere:
// nothing was found out.
type Source string

// The sources of answers.
const (
	SourceResponder Source = "responder" // asked for this Check, or for one that waited with it
	SourceMemory    Source = "memory"    // found out earlier
	SourceCache     Source = "cache"     // kept by the Cache, over a restart perhaps
	SourceBrought   Source = "brought"   // the device had it with it
)

// EventKind is one word for something that happened. The set is closed, so
// that it may label a metric.
type EventKind string

// The kinds of events, and which fields of an Event they set besides Kind.
const (
	// EventAsked: a responder was asked. Status, Fault if that is Unavailable,
	// Refresh, Method, Responder, Took and Detail.
	EventAsked EventKind = "asked"
	// EventKnown: a Check was answered without asking. Status, Fault if that is
	// Unavailable, Source.
	EventKnown EventKind = "known"
	// EventBrought: a device brought a response. Status, Fault and Detail if
	// that is Unavailable: it did not count.
	EventBrought EventKind = "brought"
	// EventOpened: the breaker of a responder opened, or stays open after it
	// was tried again. Fault, Responder, Until.
	EventOpened EventKind = "breaker_opened"
	// EventClosed: that of a responder closed again. Responder.
	EventClosed EventKind = "breaker_closed"
	// EventHeldOff: a responder was not asked, for its breaker is open.
	// Responder, Until.
	EventHeldOff EventKind = "breaker_held_off"
	// EventCrowded: a Check was turned away, for too many wait, or waited until its
	// time was over and never had its turn.
	EventCrowded EventKind = "too_many_waiting"
)

// Event is something that happened, told once. Kind, Status, Fault, Source,
// Refresh and Method are bounded and may label metrics; the others are not.
type Event struct {
	Kind      EventKind
	Status    Status
	Fault     Fault         // why Status is Unavailable; else empty
	Source    Source        // SourceMemory or SourceCache
	Refresh   bool          // asked ahead of expiry, while nobody waited
	Method    string        // GET or POST: the last one tried
	Responder string        // scheme, host and port
	Took      time.Duration // of the exchange, with the wait for a slot
	Until     time.Time     // when the responder will be tried again
	Detail    string        // one clause, for people
}

// Breaker is a responder that is not asked at present, because it failed
// several times in a row.
type Breaker struct {
	Responder string    // scheme, host and port
	Since     time.Time // when it stopped being asked
	Until     time.Time // when it will be tried again
	Fault     Fault     // how it failed last
}
