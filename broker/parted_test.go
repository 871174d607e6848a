package broker_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
)

// TestWhoKeepsSendingIsTold has a device publish as fast as it can until its
// certificate is revoked. It reads why, and the connection ends and is not reset:
// on other networks and systems a reset takes what was not read yet with it.
func TestWhoKeepsSendingIsTold(t *testing.T) {
	f := newFixture(t, options{broker: unlimited})
	f.policy("all", allowAll)
	for round := range 20 {
		l := f.registered(fmt.Sprint("sensor-", round), "all")
		c := f.raw(l, 5)
		c.admitted("sensor", nil)
		before := f.broker.Traffic().MessagesReceived
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			p := c.publishPacket("flood", 0)
			p.Payload = make([]byte, 8<<10)
			for c.write(p) == nil {
			}
		}()
		for deadline := time.Now().Add(patience); f.broker.Traffic().MessagesReceived < before+100; {
			if time.Now().After(deadline) {
				t.Fatal("nothing comes")
			}
		}
		_, err := f.store.UpdateCertificateStatus(t.Context(), account, id(l), muster.Revoked)
		must(t, err)
		if last := c.end(); last.FixedHeader.Type != packets.Disconnect || last.ReasonCode != 0x98 {
			t.Errorf("round %d ended with %+v", round, last)
		}
		if _, err := c.conn.(*tls.Conn).NetConn().Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("round %d: %v", round, err)
		}
		_ = c.conn.Close()
		<-sent
	}
}
