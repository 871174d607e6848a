package awsiot

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/muster-mqtt/muster"
)

func eventOperations() []operation {
	return []operation{
		{"DescribeEventConfigurations", get, "/event-configurations", (*Dialect).describeEventConfigurations},
		{"UpdateEventConfigurations", patch, "/event-configurations", (*Dialect).updateEventConfigurations},
	}
}

type eventConfiguration struct {
	Enabled bool `json:"Enabled"`
}

// describeEventConfigurations tells of every kind, as AWS does: who has never set
// one sees all of them off.
func (d *Dialect) describeEventConfigurations(ctx context.Context, c *call) (any, error) {
	a, err := d.store.Account(ctx, c.account)
	if err != nil {
		return nil, err
	}
	all := make(map[muster.EventKind]eventConfiguration)
	for _, kind := range muster.EventKinds() {
		all[kind] = eventConfiguration{a.Events[kind]}
	}
	modified := a.EventsModified
	if modified.IsZero() {
		modified = a.Created
	}
	return struct {
		Configurations map[muster.EventKind]eventConfiguration `json:"eventConfigurations"`
		Created        epoch                                   `json:"creationDate"`
		Modified       epoch                                   `json:"lastModifiedDate"`
	}{all, epoch(a.Created), epoch(modified)}, nil
}

// updateEventConfigurations leaves kinds that are not named as they are.
func (d *Dialect) updateEventConfigurations(ctx context.Context, c *call) (any, error) {
	var in struct {
		Configurations map[muster.EventKind]*eventConfiguration `json:"eventConfigurations"`
	}
	c.decode(&in)
	events := make(map[muster.EventKind]bool, len(in.Configurations))
	for kind, configuration := range in.Configurations {
		if configuration != nil { // null is no member
			events[kind] = configuration.Enabled
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(events)) {
		if !kind.Valid() {
			c.refuse("eventConfigurations: %s: must match %s", shorten(string(kind)),
				strings.Join(each(muster.EventKinds(), func(k muster.EventKind) string { return string(k) }), "|"))
		}
	}
	if c.err != nil {
		return nil, c.err
	}
	return nil, d.store.SetEvents(ctx, c.account, events)
}
