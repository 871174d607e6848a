package broker_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/muster-mqtt/muster/internal/mint"
)

const (
	stormy  = 4000            // devices that come at once
	givesUp = 5 * time.Second // after which a device leaves
)

// childWithoutTurns is a server whose handshakes all compute at once.
const childWithoutTurns = "ours-without-turns"

// BenchmarkStorm has 4,000 devices connect at once that give up after 5 seconds,
// to a server in another process, with and without its turnstile: how many get
// in, and how many of those that the server knows where half of them are new.
func BenchmarkStorm(b *testing.B) {
	for _, peer := range []string{"ours", childWithoutTurns} {
		b.Run(peer, func(b *testing.B) {
			var all, known, strangers stormFigures
			for n := range b.N {
				c := startChild(b, peer)
				old := fleet(b, c.authority, stormy)
				crowd(b, c.address, old)
				time.Sleep(time.Second)
				all.add(storm("127.0.0.1", c.address, old))
				time.Sleep(givesUp) // until the server is done with those who left
				fresh := fleetNamed(b, c.authority, stormy/2, fmt.Sprintf("stranger-%d", n))
				var both sync.WaitGroup
				both.Go(func() { known.add(storm("127.0.0.1", c.address, old[:stormy/2])) })
				both.Go(func() { strangers.add(storm("127.0.0.2", c.address, fresh)) })
				both.Wait()
			}
			all.report(b, "")
			known.report(b, "known-")
			strangers.report(b, "new-")
		})
	}
}

type stormFigures struct {
	came int
	in   []time.Duration // when each got in
}

func (s *stormFigures) add(o stormFigures) { s.came += o.came; s.in = append(s.in, o.in...) }

func (s *stormFigures) report(b *testing.B, prefix string) {
	b.ReportMetric(100*float64(len(s.in))/float64(s.came), prefix+"%in")
	if len(s.in) > 0 {
		slices.Sort(s.in)
		b.ReportMetric(s.in[len(s.in)/2].Seconds(), prefix+"p50-s")
	}
}

// storm has all devices connect at once, from one address.
func storm(from, address string, devices []*mint.Leaf) stormFigures {
	f := stormFigures{came: len(devices)}
	var mu sync.Mutex
	var running sync.WaitGroup
	start := time.Now()
	for _, l := range devices {
		running.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), givesUp)
			defer cancel()
			conn, err := helloFrom(ctx, &net.TCPAddr{IP: net.ParseIP(from)}, address, l)
			if err != nil {
				return
			}
			took := time.Since(start)
			mu.Lock()
			f.in = append(f.in, took)
			mu.Unlock()
			_ = conn.Close()
		})
	}
	running.Wait()
	return f
}
