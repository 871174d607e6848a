package hooks_test

import (
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/hooks"
)

// TestRegistryEventPayloads holds topics and payloads to what AWS documents, line
// by line as testdata/registry-events.txt has them.
func TestRegistryEventPayloads(t *testing.T) {
	at := time.UnixMilli(1764000000123)
	thing := muster.Thing{
		Name: "lamp", ID: "thing-id", Revision: 2, Type: "sensor", Attributes: map[string]string{"line": "7"}, Groups: []string{"floor"},
	}
	house := muster.ThingGroup{Name: "house", ID: "house-id", Revision: 1}
	floor := muster.ThingGroup{Name: "floor", ID: "floor-id", Revision: 3, Parent: "house", Description: "the first", Attributes: map[string]string{"a": "b"}}
	sensor := muster.ThingType{Name: "sensor", ID: "type-id", Description: "measures", SearchableAttributes: []string{"line"}}
	old := sensor
	old.Deprecated = at
	var got strings.Builder
	s := mqtt.New(&mqtt.Options{InlineClient: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	must(t, s.Subscribe("$aws/events/#", 1, func(_ *mqtt.Client, _ packets.Subscription, pk packets.Packet) {
		got.WriteString(pk.TopicName + "\n" + string(pk.Payload) + "\n")
	}))
	for _, e := range []muster.RegistryEvent{
		{Kind: muster.EventThing, Operation: muster.Created, Thing: thing},
		{Kind: muster.EventThing, Operation: muster.Updated, Thing: muster.Thing{Name: "plain", ID: "plain-id", Revision: 1}},
		{Kind: muster.EventThingType, Operation: muster.Deleted, Type: sensor},
		{Kind: muster.EventThingType, Operation: muster.Updated, Type: old},
		{Kind: muster.EventThingTypeAssociation, Operation: muster.Removed, Thing: thing, Type: muster.ThingType{Name: "sensor"}},
		{Kind: muster.EventThingGroup, Operation: muster.Created, Group: house},
		{Kind: muster.EventThingGroup, Operation: muster.Updated, Group: floor, Parents: []muster.ThingGroup{house}},
		{Kind: muster.EventThingGroupMembership, Operation: muster.Added, Thing: thing, Group: floor},
		{Kind: muster.EventThingGroupMembership, Operation: muster.Removed, Thing: thing, Group: floor},
		{Kind: muster.EventThingGroupHierarchy, Operation: muster.Added, Group: floor, Parents: []muster.ThingGroup{house}},
	} {
		e.Account, e.Time = account, at
		must(t, hooks.PublishRegistryEvent(s, "us-east-1", e))
	}
	want, err := os.ReadFile("testdata/registry-events.txt")
	must(t, err)
	random := regexp.MustCompile(`"eventId":"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"`)
	events := random.ReplaceAllString(got.String(), `"eventId":"UUID"`)
	if events != string(want) {
		t.Errorf("published\n%s\nwant\n%s", events, want)
	}
}

// TestRegistryEventsForNobody: where nobody listens nothing is published.
func TestRegistryEventsForNobody(t *testing.T) {
	s := mqtt.New(&mqtt.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler)})
	e := muster.RegistryEvent{Kind: muster.EventThing, Operation: muster.Created, Account: account, Thing: muster.Thing{Name: "lamp"}}
	must(t, hooks.PublishRegistryEvent(s, "us-east-1", e))
	if n := s.Info.MessagesReceived; n != 0 { // the inline client's
		t.Errorf("%d messages", n)
	}
}
