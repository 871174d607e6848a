package broker_test

import (
	"encoding/binary"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// TestHostileBytes sends what testdata/hostile.txt says and demands what it
// says, while another client does not notice.
func TestHostileBytes(t *testing.T) {
	t.Run("alone", func(t *testing.T) { hostileLines(t, newFixture(t, options{broker: unlimited})) })
	t.Run("with sessions", func(t *testing.T) { hostileLines(t, newFixture(t, keeping(t))) })
}

func hostileLines(t *testing.T, f *fixture) {
	t.Helper()
	f.policy("all", allowAll)
	l := f.registered("sensor", "all")
	other := f.admitted(f.registered("other", "all"), "other")
	text, err := os.ReadFile("testdata/hostile.txt")
	must(t, err)
	for n, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Split(line, "|")
		if len(fields) != 3 {
			t.Fatalf("line %d: %d fields", n+1, len(fields))
		}
		fields[2], _, _ = strings.Cut(fields[2], "#") // what is said about it
		when, want := strings.TrimSpace(fields[0]), strings.TrimSpace(fields[2])
		c := f.raw(l, map[string]byte{"before": 4, "before5": 5, "v3": 4, "v5": 5}[when])
		if when == "v3" || when == "v5" {
			c.admitted("sensor", nil)
		}
		_, err := c.conn.Write(hostileBytes(t, fields[1]))
		must(t, err)
		if got := c.answers(); got != want {
			t.Errorf("line %d: %s| %s\ngot  %q\nwant %q", n+1, fields[0], fields[1], got, want)
		}
		_ = c.conn.Close()
	}
	if code, err := other.publish(t, &paho.Publish{Topic: "a", QoS: 1}); err != nil || code >= 0x80 {
		t.Errorf("the others: publish 0x%02X %v", code, err)
	}
}

var hostileToken = regexp.MustCompile(`"[^"]*"|'[^']*'|~|;|[0-9A-Fa-f]+|\S+`)

// hostileBytes reads bytes as hostile.txt has them.
func hostileBytes(t *testing.T, text string) []byte {
	t.Helper()
	var all, packet []byte
	counted := -1 // where the length of the packet is to be put
	end := func() {
		if counted >= 0 {
			rest := packet[counted:]
			packet = append(binary.AppendUvarint(packet[:counted:counted], uint64(len(rest))), rest...)
		}
		all, packet, counted = append(all, packet...), nil, -1
	}
	for _, token := range hostileToken.FindAllString(text, -1) {
		switch token[0] {
		case '~':
			counted = len(packet)
		case ';':
			end()
		case '"', '\'':
			s := token[1 : len(token)-1]
			if token[0] == '"' {
				packet = binary.BigEndian.AppendUint16(packet, uint16(len(s)))
			}
			packet = append(packet, s...)
		default:
			b, err := hex.DecodeString(token)
			if err != nil {
				t.Fatalf("%q: %v", token, err)
			}
			packet = append(packet, b...)
		}
	}
	end()
	return all
}
