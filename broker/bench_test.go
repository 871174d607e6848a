package broker_test

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry/badgerdb"
)

// The peers of every comparison: ours, and a bare mochi that admits whoever has
// a certificate. Their rounds alternate, for the speed of a shared machine
// changes within minutes: ratios hold, figures by themselves do not.
const (
	ours = iota
	bare
)

const (
	clients = 64  // at once
	round   = 512 // connects of one peer before it is the other's turn
)

// allow is the hook of a server that asks nothing.
type allow struct{ mqtt.HookBase }

func (allow) Provides(b byte) bool { return b == mqtt.OnConnectAuthenticate || b == mqtt.OnACLCheck }

func (allow) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }
func (allow) OnACLCheck(*mqtt.Client, string, bool) bool              { return true }

// bareMochi is a mochi server without any of our code.
func bareMochi(tb testing.TB, base *tls.Config) (address string) {
	tb.Helper()
	server := mqtt.New(&mqtt.Options{Logger: slog.New(slog.DiscardHandler)})
	must(tb, server.AddHook(new(allow), nil))
	c := base.Clone()
	c.ClientAuth, c.MinVersion = tls.RequireAnyClientCert, tls.VersionTLS12
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(tb, err)
	must(tb, server.AddListener(listeners.NewNet("bare", tls.NewListener(l, c))))
	must(tb, server.Serve())
	tb.Cleanup(func() { must(tb, server.Close()) })
	return l.Addr().String()
}

// durable is a fixture on the embedded engine, each registration synced.
func durable(tb testing.TB) *fixture {
	tb.Helper()
	c := badgerdb.Config{Dir: filepath.Join(tb.TempDir(), "registry")}
	must(tb, badgerdb.Create(c))
	engine, err := badgerdb.Open(c)
	must(tb, err)
	f := newFixture(tb, options{engine: engine, broker: unlimited})
	f.policy("all", allowAll)
	return f
}

// fleet makes the certificates of devices beforehand, over one key: to have it
// is not what is measured.
func fleet(tb testing.TB, a *mint.Authority, n int) []*mint.Leaf {
	tb.Helper()
	return fleetNamed(tb, a, n, "sensor")
}

func fleetNamed(tb testing.TB, a *mint.Authority, n int, name string) []*mint.Leaf {
	tb.Helper()
	first, err := a.Issue(mint.Request{Subject: pkix.Name{CommonName: "first"}})
	must(tb, err)
	all := make([]*mint.Leaf, n)
	for i := range all {
		all[i], err = a.Issue(mint.Request{Subject: pkix.Name{CommonName: fmt.Sprintf("%s-%07d", name, i)}, Key: first.Key})
		must(tb, err)
	}
	return all
}

// hello connects as MQTT 3.1.1 and returns when CONNACK has come. The client
// does not check the server's chain, which would be its own cost.
func hello(address string, l *mint.Leaf) (net.Conn, error) {
	return helloFrom(context.Background(), nil, address, l)
}

// helloFrom is hello from a local address, until ctx ends.
func helloFrom(ctx context.Context, from net.Addr, address string, l *mint.Leaf) (net.Conn, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{LocalAddr: from}, Config: &tls.Config{
		InsecureSkipVerify: true, ServerName: "localhost", CurvePreferences: []tls.CurveID{tls.X25519},
		Certificates: []tls.Certificate{{Certificate: [][]byte{l.Cert.Raw}, PrivateKey: l.Key}},
	}}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	id := l.Cert.Subject.CommonName
	packet := append([]byte{0x10, byte(12 + len(id)), 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0x02, 0x58, 0, byte(len(id))}, id...)
	ack := make([]byte, 4)
	if _, err = conn.Write(packet); err == nil {
		_, err = io.ReadFull(conn, ack)
	}
	if err == nil && ack[3] != 0 {
		err = fmt.Errorf("CONNACK %X", ack)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// crowd connects all devices, as many at once as there are clients, and hangs
// up again. It returns how long that took.
func crowd(tb testing.TB, address string, devices []*mint.Leaf) time.Duration {
	tb.Helper()
	var next atomic.Int64
	var running sync.WaitGroup
	start := time.Now()
	for range clients {
		running.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(devices)); i = next.Add(1) - 1 {
				conn, err := hello(address, devices[i])
				if err != nil {
					tb.Error(err)
					return
				}
				_ = conn.Close()
			}
		})
	}
	running.Wait()
	return time.Since(start)
}

// rotate has both peers serve the same devices, round by round, and reports the
// rate of each and what ours is of the other's.
func rotate(b *testing.B, addresses [2]string, devices []*mint.Leaf) {
	var took [2]time.Duration
	for n := 0; len(devices) > 0; n++ {
		batch := devices[:min(round, len(devices))]
		devices = devices[len(batch):]
		for _, peer := range [][]int{{ours, bare}, {bare, ours}}[n%2] {
			took[peer] += crowd(b, addresses[peer], batch)
		}
	}
	b.ReportMetric(float64(b.N)/took[ours].Seconds(), "connects/s")
	b.ReportMetric(float64(b.N)/took[bare].Seconds(), "bare-connects/s")
	b.ReportMetric(took[bare].Seconds()/took[ours].Seconds(), "of-bare")
}

// BenchmarkFirstConnect is the main job: an unknown certificate is provisioned,
// synced to disk and admitted.
func BenchmarkFirstConnect(b *testing.B) {
	f := durable(b)
	a := f.authority("factory", template)
	devices := fleet(b, a, b.N)
	addresses := [2]string{f.address, bareMochi(b, f.serverTLS())}
	b.ResetTimer()
	rotate(b, addresses, devices)
}

// BenchmarkReconnect is a device that is known.
func BenchmarkReconnect(b *testing.B) {
	f := durable(b)
	known := fleet(b, f.authority("factory", template), min(b.N, 4*round))
	crowd(b, f.address, known)
	devices := make([]*mint.Leaf, b.N)
	for i := range devices {
		devices[i] = known[i%len(known)]
	}
	addresses := [2]string{f.address, bareMochi(b, f.serverTLS())}
	b.ResetTimer()
	rotate(b, addresses, devices)
}

// BenchmarkPublish sends messages of 100 bytes and QoS 0 from one client to
// another, as many under way as a queue holds.
func BenchmarkPublish(b *testing.B) {
	f := durable(b)
	pair := fleet(b, f.authority("factory", template), 2)
	var took [2]time.Duration
	addresses := [2]string{f.address, bareMochi(b, f.serverTLS())}
	var lines [2]*line
	for peer, address := range addresses {
		lines[peer] = newLine(b, address, pair)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for left, n := b.N, 0; left > 0; left, n = left-10*round, n+1 {
		for _, peer := range [][]int{{ours, bare}, {bare, ours}}[n%2] {
			took[peer] += lines[peer].carry(b, min(left, 10*round))
		}
	}
	b.ReportMetric(float64(b.N)/took[ours].Seconds(), "messages/s")
	b.ReportMetric(float64(b.N)/took[bare].Seconds(), "bare-messages/s")
	b.ReportMetric(took[bare].Seconds()/took[ours].Seconds(), "of-bare")
}

// line is a publisher and its subscriber.
type line struct {
	from, to net.Conn
	message  []byte
}

func newLine(tb testing.TB, address string, pair []*mint.Leaf) *line {
	tb.Helper()
	from, err := hello(address, pair[0])
	must(tb, err)
	to, err := hello(address, pair[1])
	must(tb, err)
	tb.Cleanup(func() {
		_ = from.Close()
		_ = to.Close()
	})
	_, err = to.Write([]byte("\x82\x0A\x00\x01\x00\x05bench\x00"))
	must(tb, err)
	_, err = io.ReadFull(to, make([]byte, 5)) // SUBACK
	must(tb, err)
	message := append([]byte("\x30\x6B\x00\x05bench"), make([]byte, 100)...)
	return &line{from, to, message}
}

// carry sends n messages and reads them; a window of 256 stays below every
// queue, so that none is dropped.
func (l *line) carry(tb testing.TB, n int) time.Duration {
	tb.Helper()
	const window = 256
	free := make(chan struct{}, window)
	start := time.Now()
	go func() {
		for range n {
			free <- struct{}{}
			if _, err := l.from.Write(l.message); err != nil {
				return
			}
		}
	}()
	in := make([]byte, len(l.message))
	for range n {
		if _, err := io.ReadFull(l.to, in); err != nil {
			tb.Fatal(err)
		}
		<-free
	}
	return time.Since(start)
}
