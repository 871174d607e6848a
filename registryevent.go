package muster

import (
	"slices"
	"time"
)

// EventKind is a kind of events of an account's registry, in the words of AWS
// IoT's eventConfigurations. The set is closed.
type EventKind string

// The kinds. What becomes of jobs, policies, certificates and authorities is not
// published: their kinds are kept for those who set them.
const (
	EventThing                EventKind = "THING"
	EventThingType            EventKind = "THING_TYPE"
	EventThingGroup           EventKind = "THING_GROUP"
	EventThingTypeAssociation EventKind = "THING_TYPE_ASSOCIATION" // of a thing with its type
	EventThingGroupMembership EventKind = "THING_GROUP_MEMBERSHIP" // of a thing in a group
	EventThingGroupHierarchy  EventKind = "THING_GROUP_HIERARCHY"  // of a group in a group
	EventJob                  EventKind = "JOB"
	EventJobExecution         EventKind = "JOB_EXECUTION"
	EventPolicy               EventKind = "POLICY"
	EventCertificate          EventKind = "CERTIFICATE"
	EventCACertificate        EventKind = "CA_CERTIFICATE"
)

// EventKinds returns all of them.
func EventKinds() []EventKind {
	return []EventKind{
		EventThing, EventThingType, EventThingGroup, EventThingTypeAssociation, EventThingGroupMembership,
		EventThingGroupHierarchy, EventJob, EventJobExecution, EventPolicy, EventCertificate, EventCACertificate,
	}
}

// Valid reports whether it is one of EventKinds.
func (k EventKind) Valid() bool { return slices.Contains(EventKinds(), k) }

// Operation is what a RegistryEvent tells of.
type Operation string

// The operations: of a thing, a type or a group the first three, of what binds
// two of them the others.
const (
	Created Operation = "CREATED"
	Updated Operation = "UPDATED"
	Deleted Operation = "DELETED"
	Added   Operation = "ADDED"
	Removed Operation = "REMOVED"
)

// RegistryEvent is a change of a thing, a thing type or a thing group. The kind
// says which of the fields it has.
type RegistryEvent struct {
	Kind      EventKind
	Operation Operation
	Time      time.Time
	Account   string
	Thing     Thing        // as it is, or was before it was deleted; of an association and a membership too
	Type      ThingType    // the same; of an association its Name alone
	Group     ThingGroup   // the same; of a membership the group, of a hierarchy the child
	Parents   []ThingGroup // above Group, from the root; of a hierarchy the parent is the last
}
