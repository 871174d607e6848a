package sessions_test

import (
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/mochi-mqtt/server/v2"
	mochi "github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster/sessions"
)

// publishers is how many clients publish at once in the benchmarks.
const publishers = 16

// BenchmarkPublish measures QoS 1 messages of 100 bytes, each acknowledged before
// its publisher sends the next: by a mochi server alone, with the hook and nobody
// who keeps a session, and with one session that is kept, whose client is there.
func BenchmarkPublish(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		f := &fixture{t: b, server: mqtt.New(&mqtt.Options{Logger: slog.New(slog.DiscardHandler)})}
		must(b, f.server.AddHook(&allow{}, nil))
		must(b, f.server.Serve())
		b.Cleanup(func() { _ = f.server.Close() })
		f.rate(b, "")
	})
	b.Run("nobody", func(b *testing.B) { open(b, sessions.Config{Dir: b.TempDir()}).rate(b, "") })
	b.Run("transient", func(b *testing.B) { open(b, sessions.Config{Dir: b.TempDir()}).rate(b, "transient") })
	b.Run("kept", func(b *testing.B) { open(b, sessions.Config{Dir: b.TempDir()}).rate(b, "kept") })
	b.Run("kept-in-memory", func(b *testing.B) { open(b, sessions.Config{}).rate(b, "kept") })
}

func (f *fixture) rate(b *testing.B, subscriber string) {
	if subscriber != "" {
		s := f.connect("reader", func(cp *paho.Connect) {
			if subscriber == "transient" {
				cp.Properties = nil
			}
		})
		s.subscribe(paho.SubscribeOptions{Topic: "bench/#", QoS: 1})
		go func() {
			for range s.messages {
			}
		}()
	}
	var writers []*rawClient
	for i := range publishers {
		w := f.raw(fmt.Sprint("writer", i))
		must(b, w.conn.SetDeadline(time.Time{}))
		defer w.close()
		writers = append(writers, w)
	}
	payload := make([]byte, 100)
	b.ReportAllocs()
	b.ResetTimer()
	var running sync.WaitGroup
	for i, w := range writers {
		running.Go(func() {
			for n := i; n < b.N; n += publishers {
				w.send(mochi.Packet{FixedHeader: mochi.FixedHeader{Type: mochi.Publish, Qos: 1}, TopicName: "bench/a", PacketID: 1, Payload: payload})
				w.await(mochi.Puback)
			}
		})
	}
	running.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkRestore brings back 100,000 sessions, each with a subscription and a
// message that waits.
func BenchmarkRestore(b *testing.B) {
	const count = 100_000
	dir := b.TempDir()
	f := open(b, sessions.Config{Dir: dir})
	f.server.Options.Capabilities.MaximumClientWritesPending = 1
	var running sync.WaitGroup
	for part := range publishers {
		running.Go(func() {
			for i := part; i < count; i += publishers {
				f.fill(i)
			}
		})
	}
	running.Wait()
	f.stop()
	before := heap()
	for b.Loop() {
		f = open(b, sessions.Config{Dir: dir})
		b.StopTimer()
		b.ReportMetric(float64(heap()-before)/count, "heap-B/session")
		if n := f.store.Figures().Sessions; n != count {
			b.Fatalf("%d sessions came back", n)
		}
		f.stop()
		b.StartTimer()
	}
}

// fill makes a session as a client would.
func (f *fixture) fill(i int) {
	cl := f.server.NewClient(nil, "test", fmt.Sprint("client-", i), false)
	cl.Properties.ProtocolVersion, cl.Properties.Props.SessionExpiryInterval = 5, 3600
	f.hook.OnSessionEstablish(cl, mochi.Packet{})
	sub := mochi.Subscription{Filter: fmt.Sprintf("commands/client-%d/#", i), Qos: 1}
	cl.State.Subscriptions.Add(sub.Filter, sub)
	f.hook.OnSubscribed(cl, mochi.Packet{Filters: mochi.Subscriptions{sub}}, []byte{1})
	f.hook.OnQosPublish(cl, mochi.Packet{FixedHeader: mochi.FixedHeader{Type: mochi.Publish, Qos: 1},
		TopicName: fmt.Sprintf("commands/client-%d", i), Payload: make([]byte, 100), PacketID: 1}, 0, 0)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
