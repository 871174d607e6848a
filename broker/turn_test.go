package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/muster-mqtt/muster/internal/mint"
)

// TestTurns holds the one turn, has handshakes of all classes come in a bad order,
// and sees in which they go.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := &turnstile{free: 1}
		if _, err := turns.take(t.Context(), newcomer); err != nil {
			t.Fatal(err)
		}
		went := make(chan string, 8)
		for i, c := range []class{newcomer, newKnown, begun, newcomer, begunKnown, newKnown, begun, begunKnown} {
			go func() {
				if _, err := turns.take(t.Context(), c); err != nil {
					t.Error(err)
				}
				went <- fmt.Sprint(i)
			}()
			synctest.Wait()
			time.Sleep(time.Second)
		}
		if n, longest := turns.length(), turns.longest(time.Now()); n != 8 || longest != 8*time.Second {
			t.Errorf("%d wait, the longest for %v", n, longest)
		}
		var order []string
		for range cap(went) {
			turns.give()
			order = append(order, <-went)
		}
		if want := []string{"4", "7", "2", "6", "1", "5", "0", "3"}; !slices.Equal(order, want) {
			t.Errorf("they went %v, want %v", order, want)
		}
		turns.give()
		turns.whole(t, 1)
	})
}

// whole demands that every turn is back and nobody waits.
func (t *turnstile) whole(tb testing.TB, n int) {
	tb.Helper()
	t.mu.Lock()
	free := t.free
	t.mu.Unlock()
	if free != n || t.length() != 0 {
		tb.Errorf("%d turns are free and %d wait, want %d and none", free, t.length(), n)
	}
}

// TestTurnThatComesLate: whoever leaves just when its turn comes leaves it to the
// next.
func TestTurnThatComesLate(t *testing.T) {
	turns := &turnstile{free: 1}
	for range 200 {
		if _, err := turns.take(t.Context(), newcomer); err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := turns.take(ctx, newcomer)
			left <- err
		}()
		for turns.length() == 0 {
			continue // until it waits
		}
		turns.mu.Lock()
		leave()
		for range 100 {
			runtime.Gosched() // until it is about to leave, as a rule
		}
		turns.pass()
		turns.mu.Unlock()
		if err := <-left; err == nil {
			turns.give()
		} else if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		turns.whole(t, 1)
	}
}

// bubble is a TLS server of two handshakes over net.Pipe with one turn.
type bubble struct {
	t      *testing.T
	turns  *turnstile
	server *tls.Config
	client *tls.Config
}

func newBubble(t *testing.T) *bubble {
	t.Helper()
	leaf, err := mint.SelfSigned(mint.Request{})
	if err != nil {
		t.Fatal(err)
	}
	pair := []tls.Certificate{leaf.TLS()}
	return &bubble{t, &turnstile{free: 1},
		&tls.Config{Certificates: pair, ClientAuth: tls.RequireAnyClientCert, Time: time.Now},
		&tls.Config{Certificates: pair, InsecureSkipVerify: true}}
}

// shake runs the server's side of one handshake in the time given.
func (b *bubble) shake(server net.Conn, within time.Duration) (*turnConn, error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), within)
	defer cancel()
	c := &turnConn{parted: parted{Conn: server}, turns: b.turns, ctx: ctx}
	defer c.end()
	return c, tls.Server(c, b.server).HandshakeContext(ctx)
}

// TestWhoWaitsHasNoTurn has one peer that stops at each point of the handshake
// while others have theirs.
func TestWhoWaitsHasNoTurn(t *testing.T) {
	for name, stop := range map[string]func(*bubble, net.Conn){
		"silent":    func(*bubble, net.Conn) {},
		"two bytes": func(_ *bubble, c net.Conn) { _, _ = c.Write([]byte{22, 3}) },
		"does not read": func(b *bubble, c net.Conn) {
			_ = tls.Client(&stuckConn{Conn: c, writes: 1, done: b.t.Context().Done()}, b.client).HandshakeContext(b.t.Context())
		},
		"does not go on": func(b *bubble, c net.Conn) {
			_ = tls.Client(&stuckConn{Conn: c, reads: true, writes: 1, done: b.t.Context().Done()}, b.client).HandshakeContext(b.t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t)
				client, server := net.Pipe()
				ended := make(chan error)
				go func() {
					_, err := b.shake(server, 10*time.Second)
					ended <- err
				}()
				go stop(b, client)
				synctest.Wait()
				b.turns.whole(t, 1)
				other, accepted := net.Pipe()
				go func() { _ = tls.Client(other, b.client).HandshakeContext(t.Context()) }()
				if c, err := b.shake(accepted, time.Second); err != nil || !c.over || !c.begun {
					t.Errorf("another: %v", err)
				}
				if err := <-ended; err == nil {
					t.Error("it came through")
				}
				b.turns.whole(t, 1)
				for _, c := range []net.Conn{client, server, other, accepted} {
					_ = c.Close()
				}
			})
		})
	}
}

// stuckConn writes so often and no more, and reads or not.
type stuckConn struct {
	net.Conn
	reads  bool
	writes int
	done   <-chan struct{}
}

func (c *stuckConn) Read(b []byte) (int, error) {
	if !c.reads {
		<-c.done
	}
	return c.Conn.Read(b)
}

func (c *stuckConn) Write(b []byte) (int, error) {
	if c.writes--; c.writes < 0 {
		<-c.done
	}
	return c.Conn.Write(b)
}

// TestTurnsComeBack however a handshake ends, and who got none in its time is
// told from who was slow.
func TestTurnsComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		b.server.VerifyConnection = func(tls.ConnectionState) error { panic("a hook") }
		client, server := net.Pipe()
		go func() { _ = tls.Client(client, b.client).HandshakeContext(t.Context()) }()
		func() {
			defer func() {
				if recover() == nil {
					t.Error("nothing panicked")
				}
			}()
			_, _ = b.shake(server, time.Second)
		}()
		b.turns.whole(t, 1)

		b.server.VerifyConnection = func(tls.ConnectionState) error { return errors.New("a stranger") }
		client2, server2 := net.Pipe()
		go func() { _ = tls.Client(client2, b.client).HandshakeContext(t.Context()) }()
		go func() { time.Sleep(500 * time.Millisecond); _ = client2.Close() }() // the alert waits for a reader
		if _, err := b.shake(server2, time.Second); err == nil {
			t.Error("a stranger came through")
		}
		b.turns.whole(t, 1)

		if _, err := b.turns.take(t.Context(), newcomer); err != nil {
			t.Fatal(err)
		}
		client3, server3 := net.Pipe()
		go func() { _ = tls.Client(client3, b.client).HandshakeContext(t.Context()) }()
		c, err := b.shake(server3, time.Second)
		if err == nil || !c.missed || c.waited != time.Second || c.begun {
			t.Errorf("without a turn: %v %+v", err, c)
		}
		b.turns.give()
		b.turns.whole(t, 1)
		for _, c := range []net.Conn{client, server, client2, server2, client3, server3} {
			_ = c.Close()
		}
	})
}

// TestWhoLeftIsNotComputedFor has a peer close its connection while it waits for a
// turn.
func TestWhoLeftIsNotComputedFor(t *testing.T) {
	b := newBubble(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	if _, err := b.turns.take(t.Context(), newcomer); err != nil {
		t.Fatal(err)
	}
	go func() { _ = tls.Client(client, b.client).HandshakeContext(t.Context()) }()
	ended := make(chan *turnConn)
	go func() {
		c, err := b.shake(server, time.Minute)
		if !errors.Is(err, io.EOF) {
			t.Errorf("it ended with %v", err)
		}
		ended <- c
	}()
	for b.turns.length() == 0 {
		runtime.Gosched() // until it waits
	}
	_ = client.Close()
	for !gone(server) {
		runtime.Gosched() // until the kernel has told
	}
	b.turns.give()
	if c := <-ended; c.begun || c.missed {
		t.Errorf("it was computed for: %+v", c)
	}
	b.turns.whole(t, 1)
}

// TestBusy: only where known devices come is it worth turning others away.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &Broker{turns: new(turnstile), handshakeTimeout: 8 * time.Second}
		told := func(want bool, when string) {
			t.Helper()
			if got := b.busy(); got != want {
				t.Errorf("%s: busy is %v", when, got)
			}
		}
		b.lastKnown.Store(time.Now().UnixNano())
		told(false, "nobody waits")
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, _ = b.turns.take(ctx, newcomer) }()
		time.Sleep(2 * time.Second)
		b.lastKnown.Store(time.Now().UnixNano())
		told(false, "one waits, not long")
		time.Sleep(time.Millisecond)
		told(true, "one waits long, and known devices come")
		time.Sleep(time.Second)
		told(false, "no known device comes")
		cancel()
	})
}

// TestNetwork: IPv6 is counted by networks, IPv4 by addresses.
func TestNetwork(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7:1":              "192.0.2.7",
		"[::ffff:192.0.2.7]:1":     "192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::",
		"[2001:db8:1:2::9]:1":      "2001:db8:1:2::",
		"[2001:db8:1:3::9]:1":      "2001:db8:1:3::",
		"[fe80::1%eth0]:1":         "fe80::",
	} {
		got, ok := network(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text)))
		if !ok || got.String() != want {
			t.Errorf("%s: %v, want %s", text, got, want)
		}
	}
	if _, ok := network(&net.UnixAddr{Name: "a"}); ok {
		t.Error("a socket without an address has one")
	}
}
