package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestRegistryEvents: what happens to things, types and groups, by the API, by
// commands of AWS and by the template of a first connect, is told on MQTT, in
// order, to the account's own clients.
func TestRegistryEvents(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	listener := s.registered(t, "listener", statements(`{"Effect":"Allow","Action":["iot:Connect","iot:Subscribe","iot:Receive"],"Resource":"*"}`))
	s.prepare(t)
	live := s.subscribe(t, v5, listener, "$aws/events/thing/#", "$aws/events/thingType/#", "$aws/events/thingTypeAssociation/#",
		"$aws/events/thingGroup/#", "$aws/events/thingGroupMembership/#", "$aws/events/thingGroupHierarchy/#")
	s.aws(t, "create-thing", "--thing-name", "silent") // nothing is switched on yet
	s.aws(t, "update-event-configurations", "--event-configurations", `{"THING":{"Enabled":true},"THING_TYPE":{"Enabled":true},
		"THING_TYPE_ASSOCIATION":{"Enabled":true},"THING_GROUP":{"Enabled":true},"THING_GROUP_MEMBERSHIP":{"Enabled":true},"THING_GROUP_HIERARCHY":{"Enabled":true}}`)
	s.aws(t, "describe-event-configurations").want(t, true, "eventConfigurations", "THING", "Enabled")

	s.aws(t, "create-thing-type", "--thing-type-name", "light")
	s.aws(t, "create-thing-group", "--thing-group-name", "house")
	s.aws(t, "create-thing-group", "--thing-group-name", "floor", "--parent-group-name", "house")
	s.aws(t, "create-thing", "--thing-name", "lamp", "--thing-type-name", "light", "--attribute-payload", "attributes={line=7}")
	s.aws(t, "add-thing-to-thing-group", "--thing-name", "lamp", "--thing-group-name", "floor")
	s.aws(t, "update-thing", "--thing-name", "lamp", "--attribute-payload", "attributes={line=8}")
	factory := newAuthority(t, "Factory CA")
	s.register(t, factory, provisioned())
	device := factory.device(t, "device-1")
	s.admit(t, v5, device)
	s.aws(t, "delete-thing", "--thing-name", "lamp")
	s.aws(t, "update-event-configurations", "--event-configurations", `{"THING":{"Enabled":false}}`)
	s.aws(t, "create-thing", "--thing-name", "silent-again")
	s.aws(t, "delete-thing-group", "--thing-group-name", "floor")

	want := []string{
		"thingType/light/created", "thingGroup/house/created", "thingGroup/floor/created",
		"thingGroupHierarchy/thingGroup/house/childThingGroup/floor/added", "thing/lamp/created",
		"thingTypeAssociation/thing/lamp/thingType/light/added", "thingGroupMembership/thingGroup/floor/thing/lamp/added",
		"thing/lamp/updated", "thing/device-1/created",
		"thingTypeAssociation/thing/device-1/thingType/sensor/added", "thingGroupMembership/thingGroup/hall/thing/device-1/added",
		"thingTypeAssociation/thing/lamp/thingType/light/removed", "thingGroupMembership/thingGroup/floor/thing/lamp/removed",
		"thing/lamp/deleted", "thingGroupHierarchy/thingGroup/house/childThingGroup/floor/removed", "thingGroup/floor/deleted",
	}
	live.await(t, "message $aws/events/thingGroup/floor/deleted ")
	if got := live.topics(t, "$aws/events/"); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var e struct {
		EventType, EventID, Operation, AccountID, ThingID, ThingName, ThingTypeName string
		Timestamp                                                                   int64
		VersionNumber                                                               int
		Attributes                                                                  map[string]string
	}
	text := live.await(t, "message $aws/events/thing/lamp/updated ")
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	thing := s.aws(t, "describe-thing", "--thing-name", "device-1")
	if e.EventType != "THING_EVENT" || e.Operation != "UPDATED" || e.AccountID != accountID || e.ThingName != "lamp" || e.ThingTypeName != "light" ||
		e.VersionNumber != 2 || e.Attributes["line"] != "8" || len(e.EventID) != 36 || time.Since(time.UnixMilli(e.Timestamp)).Abs() > time.Minute {
		t.Errorf("told %s", text)
	}
	made := live.await(t, "message $aws/events/thing/device-1/created ")
	if id, ok := thing["thingId"].(string); !ok || !strings.Contains(made, id) {
		t.Errorf("told %s of thing %v", made, thing)
	}
}

// topics returns the topics of the messages that came, without their beginning.
func (sub *subscriber) topics(t *testing.T, beginning string) (topics []string) {
	t.Helper()
	for text := range strings.Lines(sub.printed()) {
		if rest, ok := strings.CutPrefix(text, "message "+beginning); ok {
			topic, _, _ := strings.Cut(rest, " ")
			topics = append(topics, topic)
		}
	}
	return topics
}
