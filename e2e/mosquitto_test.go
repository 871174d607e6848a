package e2e_test

import (
	"bufio"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
)

// The protocol versions as mosquitto calls them.
const (
	v3 = "311"
	v5 = "5"
)

// mosquitto returns the arguments by which a client of mosquitto connects.
func (s *server) mosquitto(t *testing.T, version string, c *certificate, more ...string) []string {
	t.Helper()
	host, port, err := net.SplitHostPort(s.vars["MUSTER_MQTT"])
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{"-V", version, "-h", host, "-p", port, "--cafile", s.vars["MUSTER_CA"],
		"--cert", c.cert, "--key", c.key, "-i", c.name, "-q", "1"}, more...)
}

// publish sends the telemetry of a device.
func (s *server) publish(t *testing.T, version string, c *certificate, message string) ended {
	t.Helper()
	return command(t, nil, "mosquitto_pub", s.mosquitto(t, version, c, "-t", "telemetry/"+c.name, "-m", message)...)
}

// admit demands that a device gets in at once and publishes.
func (s *server) admit(t *testing.T, version string, c *certificate) {
	t.Helper()
	if out := s.publish(t, version, c, "from "+c.name); out.code != 0 || out.stderr != "" {
		t.Errorf("%s was not let in: %+v", c.name, out)
	}
}

// told is how a refused device learns of it: the code of CONNACK, with which
// mosquitto exits, and the words in which it puts it, of both versions.
type told struct {
	v3, v5         int
	words3, words5 string
}

func toldOf(r muster.Reason) told {
	const prefix = "Connection error: "
	switch r {
	case muster.ReasonRevoked, muster.ReasonDeleted:
		return told{5, 0x8A, prefix + "Connection Refused: not authorised.", prefix + "Banned"}
	case muster.ReasonRevocationUnknown:
		return told{3, 0x88, prefix + "Connection Refused: broker unavailable.", prefix + "Server unavailable"}
	}
	return told{5, 0x87, prefix + "Connection Refused: not authorised.", prefix + "Not authorized"}
}

// refuse demands that a device is refused in both versions, for this reason.
func (s *server) refuse(t *testing.T, c *certificate, reason muster.Reason) {
	t.Helper()
	want := toldOf(reason)
	for _, v := range []struct {
		version string
		code    int
		words   string
	}{{v3, want.v3, want.words3}, {v5, want.v5, want.words5}} {
		from := s.log.len()
		out := s.publish(t, v.version, c, "let me in")
		if out.code != v.code || !strings.Contains(out.stderr, v.words) {
			t.Errorf("%s by version %s: %+v, want exit %d and %q", c.name, v.version, out, v.code, v.words)
		}
		l := s.await(t, from, c.name+" is refused", func(l line) bool { return l.Event == "refused" && l.Certificate == c.id })
		if l.Reason != string(reason) {
			t.Errorf("%s is refused for %s, want %s", c.name, l.Reason, reason)
		}
	}
}

// subscriber is a running mosquitto_sub. It connects anew when its connection
// ends, and ends itself when it is refused.
type subscriber struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended

	mu   sync.Mutex
	text strings.Builder // what it printed
}

// subscribe starts a subscriber and returns when the server has confirmed all
// its subscriptions.
func (s *server) subscribe(t *testing.T, version string, c *certificate, topics ...string) *subscriber {
	t.Helper()
	args := s.mosquitto(t, version, c, "-d", "-F", "message %t %p")
	for _, topic := range topics {
		args = append(args, "-t", topic)
	}
	// By itself it would keep what it prints to a pipe until there is more.
	cmd := exec.Command("stdbuf", append([]string{"-oL", "mosquitto_sub"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	sub := &subscriber{cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(sub.ended)
		for in := bufio.NewScanner(out); in.Scan(); {
			sub.add(in.Text())
		}
		_ = cmd.Wait() // why it ended is among what it printed
	}()
	t.Cleanup(func() {
		sub.stop()
		if t.Failed() {
			t.Logf("mosquitto_sub of %s:\n%s", c.name, sub.printed())
		}
	})
	sub.await(t, "Subscribed (mid: 1): "+strings.TrimSuffix(strings.Repeat("1, ", len(topics)), ", "))
	return sub
}

func (sub *subscriber) stop() {
	_ = sub.cmd.Process.Kill() // it may have ended
	<-sub.ended
}

func (sub *subscriber) add(text string) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	sub.text.WriteString(text + "\n")
}

func (sub *subscriber) printed() string {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	return sub.text.String()
}

// await waits until the subscriber has printed a line that begins so, and
// returns the rest of it.
func (sub *subscriber) await(t *testing.T, prefix string) (rest string) {
	t.Helper()
	eventually(t, 10*time.Second, "mosquitto_sub prints "+prefix, func() bool {
		for text := range strings.Lines(sub.printed()) {
			if r, ok := strings.CutPrefix(text, prefix); ok {
				rest = strings.TrimSpace(r)
				return true
			}
		}
		return false
	})
	return rest
}
