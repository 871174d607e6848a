package sessions_test

import (
	"fmt"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"github.com/muster-mqtt/muster/sessions"
)

// TestTakeOver: a client connects again and again while messages come, and every
// message that was acknowledged arrives on one of its connections.
func TestTakeOver(t *testing.T) {
	const count = 400
	f := open(t, sessions.Config{Dir: t.TempDir()})
	r := f.connect("reader", nil)
	r.subscribe(paho.SubscribeOptions{Topic: "a", QoS: 1})
	w := f.connect("writer", nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range count {
			w.publish(&paho.Publish{Topic: "a", QoS: 1, Payload: fmt.Appendf(nil, "%d", i)})
		}
	}()
	connections := 1
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			r = f.connect("reader", nil)
			connections++
		}
	}
	w.publish(&paho.Publish{Topic: "a", QoS: 1, Payload: []byte("last")})
	for string(r.next().Payload) != "last" {
		continue // what waited comes before it
	}
	for i := range count {
		if _, ok := f.seen.Load(fmt.Sprint(i)); !ok {
			t.Errorf("message %d was acknowledged and is lost", i)
		}
	}
	t.Logf("%d connections", connections)
}
