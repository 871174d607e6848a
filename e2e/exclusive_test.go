package e2e_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"github.com/muster-mqtt/muster"
)

// lampPolicy is in the words of the thing alone: its name, and the hall that it
// is in.
var lampPolicy = statements(
	`{"Effect":"Allow","Action":"iot:Connect","Resource":"*","Condition":{"Bool":{"iot:Connection.Thing.IsAttached":"true"}}}`,
	`{"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/halls/${iot:Connection.Thing.Attributes[hall]}/${iot:Connection.Thing.ThingName}"}`,
	`{"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":"arn:aws:iot:*:*:topic/halls/${iot:Connection.Thing.Attributes[hall]}/${iot:Connection.Thing.ThingName}"}`)

// TestExclusiveThing: what connects with the certificate that a thing has
// exclusively is that thing whatever its client ID, to policies and to those who
// hear of its presence, and feels what happens to the thing.
func TestExclusiveThing(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	a := s.sdk(t, accountID, &called{names: map[string]bool{}})
	listener := s.registered(t, "listener", statements(`{"Effect":"Allow","Action":"iot:*","Resource":"*"}`))
	device := s.registered(t, "serial-4711", lampPolicy)
	lamp, principal := new("lamp"), new(arn("cert/"+device.id))
	hall := func(number string) *types.AttributePayload {
		return &types.AttributePayload{Attributes: map[string]string{"hall": number}}
	}
	do(t, a.CreateThing, &iot.CreateThingInput{ThingName: lamp, AttributePayload: hall("7")})

	// With a certificate that it may share, a thing is known by the client ID.
	do(t, a.AttachThingPrincipal, &iot.AttachThingPrincipalInput{ThingName: lamp, Principal: principal})
	s.refuse(t, device, muster.ReasonPolicyDenied)
	do(t, a.DetachThingPrincipal, &iot.DetachThingPrincipalInput{ThingName: lamp, Principal: principal})
	do(t, a.AttachThingPrincipal, &iot.AttachThingPrincipalInput{
		ThingName: lamp, Principal: principal, ThingPrincipalType: types.ThingPrincipalTypeExclusiveThing})
	for topic, want := range map[string]bool{"halls/7/lamp": true, "halls/7/serial-4711": false, "halls/8/lamp": false} {
		if allowed, printed := s.may(t, device, "--publish", topic); allowed != want {
			t.Errorf("%s: allowed %t:\n%s", topic, allowed, printed)
		}
	}

	ear := s.subscribe(t, v5, listener, "$aws/events/presence/+/+", "$aws/events/subscriptions/+/+")
	live := s.subscribe(t, v5, device, "halls/7/lamp")
	ear.isThing(t, "presence/connected/serial-4711", "lamp")
	ear.isThing(t, "subscriptions/subscribed/serial-4711", "lamp")
	command(t, nil, "mosquitto_pub", s.mosquitto(t, v5, &certificate{name: "speaker", cert: listener.cert, key: listener.key}, "-t", "halls/7/lamp", "-m", "light")...)
	live.await(t, "message halls/7/lamp light")
	ear.isThing(t, "presence/connected/speaker", "") // its certificate belongs to no thing

	do(t, a.UpdateThing, &iot.UpdateThingInput{ThingName: lamp, AttributePayload: hall("8")})
	ear.isThing(t, "subscriptions/unsubscribed/serial-4711", "lamp")
	from := s.log.len()
	do(t, a.DetachThingPrincipal, &iot.DetachThingPrincipalInput{ThingName: lamp, Principal: principal})
	l := s.await(t, from, "the connection is closed", func(l line) bool { return l.Event == "kicked" && l.Certificate == device.id })
	is(t, "reason", l.Reason, string(muster.ReasonPolicyDenied))
	is(t, "disconnect reason", ear.isThing(t, "presence/disconnected/serial-4711", "lamp").DisconnectReason, "FORBIDDEN_ACCESS")
}

// lifecycleEvent is what is told of a connection.
type lifecycleEvent struct {
	ClientID, ThingName, PrincipalIdentifier, DisconnectReason string
	Timestamp                                                  int64
}

// isThing waits for a lifecycle event and demands the name of a thing in it.
func (sub *subscriber) isThing(t *testing.T, topic, thing string) (e lifecycleEvent) {
	t.Helper()
	text := sub.await(t, "message $aws/events/"+topic+" ")
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if e.ThingName != thing || e.ClientID == "" || len(e.PrincipalIdentifier) != 64 || time.Since(time.UnixMilli(e.Timestamp)).Abs() > time.Minute {
		t.Errorf("%s: told %s, want of thing %q", topic, text, thing)
	}
	return e
}
