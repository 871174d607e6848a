package broker_test

import (
	"bufio"
	"context"
	"crypto"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/muster-mqtt/muster/internal/mint"
)

// childPeer is the variable that makes the test binary a server of its own, so
// that its memory is not that of its clients.
const childPeer = "MUSTER_BENCH_PEER"

const idleConnections = 5000

// BenchmarkIdleMemory holds idle connections over mutual TLS to a server in
// another process, and reads from /proc what each costs it there.
func BenchmarkIdleMemory(b *testing.B) {
	for _, peer := range []string{"ours", "bare"} {
		b.Run(peer, func(b *testing.B) {
			for range b.N {
				measureIdle(b, peer)
			}
		})
	}
}

func measureIdle(b *testing.B, peer string) {
	c := startChild(b, peer)
	devices := fleet(b, c.authority, idleConnections)
	crowd(b, c.address, devices) // registers them, which is not what is measured
	before := c.settled()
	held := make([]net.Conn, len(devices))
	var running sync.WaitGroup
	for i := range clients {
		running.Go(func() {
			for n := i; n < len(devices); n += clients {
				var err error
				if held[n], err = hello(c.address, devices[n]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	grown := c.rss()
	settled := c.settled()
	b.ReportMetric(float64(grown-before)/idleConnections, "B/conn")
	b.ReportMetric(float64(settled-before)/idleConnections, "B/conn-collected")
	b.ReportMetric(float64(before), "B/server")
	for _, conn := range held {
		if conn != nil {
			_ = conn.Close()
		}
	}
}

// childProcess is the server as its parent sees it.
type childProcess struct {
	b         *testing.B
	in        io.WriteCloser
	out       *bufio.Scanner
	pid       int
	address   string
	authority *mint.Authority
}

func startChild(b *testing.B, peer string) *childProcess {
	b.Helper()
	self, err := os.Executable()
	must(b, err)
	cmd := exec.CommandContext(context.WithoutCancel(b.Context()), self) // it ends when its input does
	cmd.Env = append(os.Environ(), childPeer+"="+peer)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(b, err)
	out, err := cmd.StdoutPipe()
	must(b, err)
	must(b, cmd.Start())
	c := &childProcess{b: b, in: in, out: bufio.NewScanner(out), pid: cmd.Process.Pid}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	c.address = c.line()
	c.authority = c.received()
	return c
}

func (c *childProcess) line() string {
	c.b.Helper()
	if !c.out.Scan() {
		c.b.Fatalf("the server said no more: %v", c.out.Err())
	}
	return c.out.Text()
}

// received is the authority that the server trusts: certificate and key.
func (c *childProcess) received() *mint.Authority {
	c.b.Helper()
	var der [2][]byte
	for i := range der {
		raw, err := base64.StdEncoding.DecodeString(c.line())
		must(c.b, err)
		der[i] = raw
	}
	pair, err := tls.X509KeyPair(der[0], der[1])
	must(c.b, err)
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		c.b.Fatal("the key does not sign")
	}
	return &mint.Authority{Cert: pair.Leaf, Key: key}
}

// settled is the memory after a collection.
func (c *childProcess) settled() int64 {
	c.b.Helper()
	_, err := io.WriteString(c.in, "collect\n")
	must(c.b, err)
	c.line()
	return c.rss()
}

// rss reads the resident memory of the server, in bytes.
func (c *childProcess) rss() int64 {
	c.b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.pid))
	must(c.b, err)
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			must(c.b, err)
			return kb << 10
		}
	}
	c.b.Fatal("no VmRSS")
	return 0
}

// process is the testing.TB of a server that no test runs.
type process struct {
	testing.TB
	cleanup []func()
}

func (*process) Helper()                           {}
func (*process) Context() context.Context          { return context.Background() }
func (p *process) Cleanup(f func())                { p.cleanup = append(p.cleanup, f) }
func (*process) Errorf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (*process) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, args...)
	os.Exit(1)
}

// TempDir is removed when the process ends.
func (p *process) TempDir() string {
	dir, err := os.MkdirTemp("", "muster-bench-")
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// serveAsChild runs a server until the parent closes the pipe.
func serveAsChild(peer string) {
	p := &process{}
	f := durable(p)
	a := f.authority("factory", template)
	address := f.address
	switch peer {
	case "bare":
		address = bareMochi(p, f.serverTLS())
	case childWithoutTurns:
		f.broker.SetTurns(1 << 30)
	}
	fmt.Println(address)
	fmt.Println(base64.StdEncoding.EncodeToString(a.CertPEM()))
	fmt.Println(base64.StdEncoding.EncodeToString(a.KeyPEM()))
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		debug.FreeOSMemory()
		fmt.Println("collected")
	}
	for i := len(p.cleanup) - 1; i >= 0; i-- {
		p.cleanup[i]()
	}
}
