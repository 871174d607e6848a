package hooks

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"

	"github.com/muster-mqtt/muster"
)

// PublishRegistryEvent publishes a change of the registry on the server of its
// account, as AWS IoT does (“Registry events”), if anyone listens. region is that
// of ARNs. It does not wait for those who listen.
func PublishRegistryEvent(s *mqtt.Server, region string, e muster.RegistryEvent) error {
	topic := registryTopic(&e)
	if !listened(s, topic) {
		return nil
	}
	payload, err := json.Marshal(registryPayload(region, &e))
	if err != nil {
		return err
	}
	return s.Publish(topic, payload, false, 0)
}

// registryTopic is where an event is published. Names of the registry hold no
// character that a topic could not.
func registryTopic(e *muster.RegistryEvent) string {
	var parts []string
	switch e.Kind {
	case muster.EventThing:
		parts = []string{"thing", e.Thing.Name}
	case muster.EventThingType:
		parts = []string{"thingType", e.Type.Name}
	case muster.EventThingGroup:
		parts = []string{"thingGroup", e.Group.Name}
	case muster.EventThingTypeAssociation:
		parts = []string{"thingTypeAssociation/thing", e.Thing.Name, "thingType", e.Type.Name}
	case muster.EventThingGroupMembership:
		parts = []string{"thingGroupMembership/thingGroup", e.Group.Name, "thing", e.Thing.Name}
	case muster.EventThingGroupHierarchy:
		parts = []string{"thingGroupHierarchy/thingGroup", e.Group.Parent, "childThingGroup", e.Group.Name}
	}
	return "$aws/events/" + strings.Join(parts, "/") + "/" + strings.ToLower(string(e.Operation))
}

// registryHead is what the payloads of all registry events begin with.
type registryHead struct {
	Type      string           `json:"eventType"`
	ID        string           `json:"eventId"`
	Timestamp int64            `json:"timestamp"` // in milliseconds
	Operation muster.Operation `json:"operation"`
	AccountID string           `json:"accountId"`
}

type thingEvent struct {
	registryHead
	ID         string            `json:"thingId"`
	Name       string            `json:"thingName"`
	Version    int               `json:"versionNumber"`
	Type       *string           `json:"thingTypeName"` // null for none
	Attributes map[string]string `json:"attributes"`
}

type thingTypeEvent struct {
	registryHead
	ID          string              `json:"thingTypeId"`
	Name        string              `json:"thingTypeName"`
	Deprecated  bool                `json:"isDeprecated"`
	Since       *int64              `json:"deprecationDate"` // in milliseconds; null where it is not deprecated
	Searchable  []string            `json:"searchableAttributes"`
	Propagating []map[string]string `json:"propagatingAttributes"` // there are none
	Description string              `json:"description"`
}

type thingTypeAssociationEvent struct {
	registryHead
	ThingID string `json:"thingId"`
	Thing   string `json:"thingName"`
	Type    string `json:"thingTypeName"`
}

type thingGroupEvent struct {
	registryHead
	ID          string            `json:"thingGroupId"`
	Name        string            `json:"thingGroupName"`
	Version     int               `json:"versionNumber"`
	Parent      *string           `json:"parentGroupName"` // null for none
	ParentID    *string           `json:"parentGroupId"`   // the same
	Description string            `json:"description"`
	Parents     []parentGroup     `json:"rootToParentThingGroups"`
	Attributes  map[string]string `json:"attributes"`
	Dynamic     *string           `json:"dynamicGroupMappingId"` // there are none
}

type parentGroup struct {
	ARN string `json:"groupArn"`
	ID  string `json:"groupId"`
}

type membershipEvent struct {
	registryHead
	GroupARN     string `json:"groupArn"`
	GroupID      string `json:"groupId"`
	ThingARN     string `json:"thingArn"`
	ThingID      string `json:"thingId"`
	MembershipID string `json:"membershipId"`
}

type hierarchyEvent struct {
	registryHead
	ID      string `json:"thingGroupId"`
	Name    string `json:"thingGroupName"`
	ChildID string `json:"childGroupId"`
	Child   string `json:"childGroupName"`
}

// registryPayload is what AWS publishes of an event.
func registryPayload(region string, e *muster.RegistryEvent) any {
	head := registryHead{string(e.Kind) + "_EVENT", eventID(), e.Time.UnixMilli(), e.Operation, e.Account}
	switch e.Kind {
	case muster.EventThing:
		t := &e.Thing
		return thingEvent{head, t.ID, t.Name, t.Revision, orNull(t.Type), orEmpty(t.Attributes)}
	case muster.EventThingType:
		t := &e.Type
		return thingTypeEvent{
			head, t.ID, t.Name, !t.Deprecated.IsZero(), milliseconds(t.Deprecated),
			append([]string{}, t.SearchableAttributes...), []map[string]string{}, t.Description,
		}
	case muster.EventThingTypeAssociation:
		return thingTypeAssociationEvent{head, e.Thing.ID, e.Thing.Name, e.Type.Name}
	case muster.EventThingGroup:
		return groupPayload(region, head, e)
	case muster.EventThingGroupMembership:
		return membershipEvent{
			head, muster.ARN(region, e.Account, "thinggroup/"+e.Group.Name), e.Group.ID,
			muster.ARN(region, e.Account, "thing/"+e.Thing.Name), e.Thing.ID, membershipID(e.Group.ID, e.Thing.ID),
		}
	case muster.EventThingGroupHierarchy:
		return hierarchyEvent{head, parentOf(e).ID, e.Group.Parent, e.Group.ID, e.Group.Name}
	}
	return head
}

func groupPayload(region string, head registryHead, e *muster.RegistryEvent) thingGroupEvent {
	g := &e.Group
	above := make([]parentGroup, len(e.Parents))
	for i, p := range e.Parents {
		above[i] = parentGroup{muster.ARN(region, e.Account, "thinggroup/"+p.Name), p.ID}
	}
	return thingGroupEvent{
		head, g.ID, g.Name, g.Revision, orNull(g.Parent), orNull(parentOf(e).ID), g.Description, above, orEmpty(g.Attributes), nil,
	}
}

func parentOf(e *muster.RegistryEvent) muster.ThingGroup {
	if len(e.Parents) == 0 {
		return muster.ThingGroup{}
	}
	return e.Parents[len(e.Parents)-1]
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func milliseconds(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	ms := t.UnixMilli()
	return &ms
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// membershipID stands for a thing in a group. Nothing is kept of it: it is made of
// the two, so that the event of the removal has the one of the addition.
func membershipID(group, thing string) string {
	sum := sha256.Sum256([]byte(group + "/" + thing))
	return uuidOf(sum[:16], 8) // of a form of our own (RFC 9562 §5.8)
}

// eventID is random (RFC 9562 §5.4).
func eventID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // does not fail
	return uuidOf(b, 4)
}

// uuidOf writes 16 bytes as a UUID of a version.
func uuidOf(b []byte, version byte) string {
	b[6] = b[6]&0x0f | version<<4
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
