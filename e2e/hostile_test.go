package e2e_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// How long hostile clients have, and what they begin with. Make fuzz sets the
// first; a run that failed printed the second.
const (
	hostileTime = "MUSTER_HOSTILE_TIME"
	hostileSeed = "MUSTER_HOSTILE_SEED"
)

const hostilePolicy = `{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/hostile-*"},
 {"Effect":"Allow","Action":["iot:Publish","iot:Receive","iot:RetainPublish"],"Resource":"arn:aws:iot:*:*:topic/hostile/*"},
 {"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/*"}`

// TestHostileSessions has clients that know MQTT and mean ill meet the program,
// while others go about their business: the program lives, the others do not
// notice, and what it took for the attack it gives back.
func TestHostileSessions(t *testing.T) {
	lasting, err := time.ParseDuration(cmp.Or(os.Getenv(hostileTime), "20s"))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv(hostileSeed), fmt.Sprint(rand.Uint64())), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s=%d", hostileSeed, seed)
	s := newServer(t)
	s.start(t, "env", "MUSTER_LIMITS_CONNECTS_PER_ADDRESS=100000", "MUSTER_LIMITS_CONNECTS=100000")
	good := s.neighbours(t, 4)
	a := &attack{address: s.vars["MUSTER_MQTT"], roots: s.trusted(t), seed: seed, key: loadKey(t, s.registered(t, "hostile", statements(hostilePolicy)))}
	stranger := selfSigned(t, t.TempDir(), "stranger")
	a.stranger = loadKey(t, &stranger)
	before, lines := s.figures(t), s.log.len()

	ctx, cancel := context.WithTimeout(t.Context(), lasting)
	defer cancel()
	var running sync.WaitGroup
	for _, n := range good {
		running.Go(func() {
			if err := n.live(ctx, 50*time.Millisecond); err != nil {
				t.Errorf("a neighbour noticed: %v", err)
				cancel()
			}
		})
	}
	for worker := range 16 {
		running.Go(func() { a.work(ctx, worker) })
	}
	running.Wait()

	select {
	case <-s.ended:
		t.Fatalf("the program ended: %v", s.err)
	default:
	}
	if grown, most := s.log.len()-lines, 1000+int(lasting.Seconds())*maxLinesASecond; grown > most {
		t.Errorf("%d lines in the log, more than %d", grown, most)
	}
	after := s.settled(t, before)
	messages, slowest := tally(good)
	t.Logf("%v: %d hostile connections, %d that did not get as far as TLS, %d bytes; %d messages of the neighbours, the slowest %v; before %v; after %v",
		lasting, a.sessions.Load(), a.unsecured.Load(), a.bytes.Load(), messages, slowest, before, after)
}

// maxLinesASecond bounds what strangers and devices may cause in the log.
const maxLinesASecond = 500

func tally(good []*neighbour) (messages int64, slowest time.Duration) {
	for _, n := range good {
		messages += n.messages.Load()
		slowest = max(slowest, time.Duration(n.slowest.Load()))
	}
	return messages, slowest
}

// heapAside is what the heap may have grown by under load: caches, sessions that
// were asked to stay, and what the next collection frees.
const heapAside = 64e6

// figures are what the program says of itself.
type figures struct{ goroutines, connections, heap, resident float64 }

func (f figures) String() string {
	return fmt.Sprintf("%.0f goroutines, %.0f connections, heap %.1f MB, resident %.1f MB", f.goroutines, f.connections, f.heap/1e6, f.resident/1e6)
}

func (s *server) figures(t *testing.T) figures {
	t.Helper()
	return figures{s.metric(t, "go_goroutines"), s.metric(t, "muster_connections"),
		s.metric(t, "go_memstats_heap_inuse_bytes"), s.metric(t, "process_resident_memory_bytes")}
}

// settled waits until the program has given back what the load took. Without
// work, a collection comes every two minutes.
func (s *server) settled(t *testing.T, before figures) (after figures) {
	t.Helper()
	eventually(t, 150*time.Second, fmt.Sprintf("goroutines and memory return to %v", before), func() bool {
		after = s.figures(t)
		return after.goroutines <= before.goroutines+50 && after.connections <= before.connections &&
			after.heap <= before.heap+heapAside
	})
	return after
}

// attack is what all hostile clients share.
type attack struct {
	address       string
	roots         *x509.CertPool
	key, stranger tls.Certificate
	seed          uint64

	sessions, unsecured, bytes atomic.Int64
}

func (a *attack) work(ctx context.Context, worker int) {
	cache := tls.NewLRUClientSessionCache(4)
	for i := 0; ctx.Err() == nil; i++ {
		h := &hostile{Rand: rand.New(rand.NewPCG(a.seed, uint64(worker)<<32|uint64(i))), version: 4}
		if h.IntN(2) == 0 {
			h.version = 5
		}
		a.meet(ctx, h, cache)
	}
}

// hostileWait bounds how long a hostile client keeps one connection.
const hostileWait = time.Second

func (a *attack) meet(ctx context.Context, h *hostile, cache tls.ClientSessionCache) {
	dialer := net.Dialer{Timeout: hostileWait}
	nc, err := dialer.DialContext(ctx, "tcp", a.address)
	if err != nil {
		return
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(hostileWait + time.Duration(h.IntN(1000))*time.Millisecond))
	switch h.IntN(20) {
	case 0: // no TLS at all
		a.unsecured.Add(1)
		a.send(ctx, h, nc, h.session())
		return
	case 1: // the beginning of a ClientHello
		a.unsecured.Add(1)
		a.send(ctx, h, nc, [][]byte{{0x16, 0x03, 0x01, 0x02}, {0x00, 0x01}, h.garbage(h.IntN(100))})
		return
	}
	c := &tls.Config{RootCAs: a.roots, ServerName: "localhost", Certificates: []tls.Certificate{a.key}, ClientSessionCache: cache}
	switch h.IntN(10) {
	case 0:
		c.Certificates, c.ClientSessionCache = []tls.Certificate{a.stranger}, nil
	case 1:
		c.MaxVersion, c.ClientSessionCache = tls.VersionTLS12, nil
	}
	tc := tls.Client(nc, c)
	if tc.HandshakeContext(ctx) != nil {
		a.unsecured.Add(1)
		return
	}
	a.sessions.Add(1)
	if h.IntN(3) > 0 {
		go func() { _, _ = io.Copy(io.Discard, tc) }() // ends with the connection, one second at most
	}
	a.send(ctx, h, tc, h.session())
	if h.IntN(4) == 0 {
		_ = nc.(*net.TCPConn).SetLinger(0) // its end is a reset
	}
}

// send writes packets: together, apart, or byte by byte.
func (a *attack) send(ctx context.Context, h *hostile, w io.Writer, packets [][]byte) {
	if h.IntN(3) == 0 {
		packets = [][]byte{slices.Concat(packets...)}
	}
	for _, p := range packets {
		for len(p) > 0 {
			n := len(p)
			if h.IntN(8) == 0 {
				n = 1 + h.IntN(n)
			}
			if _, err := w.Write(p[:n]); err != nil {
				return
			}
			a.bytes.Add(int64(n))
			p = p[n:]
			if h.IntN(4) == 0 {
				pause(ctx, time.Duration(h.IntN(20))*time.Millisecond)
			}
		}
	}
	if h.IntN(4) == 0 {
		pause(ctx, time.Duration(h.IntN(500))*time.Millisecond) // says nothing more
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
