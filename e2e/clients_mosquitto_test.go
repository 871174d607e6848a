package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestMosquitto has the clients of mosquitto do what they can, by both versions
// of the protocol.
func TestMosquitto(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	hears, says, other := s.known(t, "hears", everything), s.known(t, "says", everything), s.known(t, "narrow", narrow)
	for _, version := range []string{v3, v5} {
		t.Run(version, func(t *testing.T) {
			topic := func(name string) string { return "m/" + version + "/" + name }
			publish := func(t *testing.T, more ...string) {
				t.Helper()
				if out := command(t, nil, "mosquitto_pub", s.mosquitto(t, version, says, more...)...); out.code != 0 || out.stderr != "" {
					t.Errorf("mosquitto_pub %v: %+v", more, out)
				}
			}
			// heard returns what a subscriber prints, which ends with a count or after
			// a time.
			heard := func(t *testing.T, more ...string) []string {
				t.Helper()
				out := command(t, nil, "mosquitto_sub", s.mosquitto(t, version, hears, more...)...)
				if out.stderr != "" && !strings.Contains(out.stderr, "Timed out") {
					t.Errorf("mosquitto_sub %v: %+v", more, out)
				}
				return strings.Fields(out.stdout)
			}
			t.Run("QoS", func(t *testing.T) {
				sub := s.subscribe(t, version, hears, topic("qos/+"))
				for qos := range 3 {
					publish(t, "-t", topic(fmt.Sprint("qos/", qos)), "-m", fmt.Sprint("text-", qos), "-q", fmt.Sprint(qos))
					sub.await(t, fmt.Sprintf("message %s text-%d", topic(fmt.Sprint("qos/", qos)), qos))
				}
				sub.stop()
			})
			t.Run("retained", func(t *testing.T) {
				publish(t, "-t", topic("kept"), "-m", "kept", "-r")
				if got := heard(t, "-t", topic("kept"), "-C", "1", "-F", "%r:%p"); !slices.Equal(got, []string{"1:kept"}) {
					t.Errorf("got %q", got)
				}
				publish(t, "-t", topic("kept"), "-n", "-r")
				if got := heard(t, "-t", topic("kept"), "-t", topic("none"), "-W", "2"); len(got) > 0 {
					t.Errorf("got %q after it was cleared", got)
				}
			})
			t.Run("waiting", func(t *testing.T) {
				session := []string{"-i", "away-" + version, "-c", "-t", topic("away/#"), "-q", "1"}
				if version == v5 {
					session = append(session, "-x", "3600")
				}
				heard(t, append(session, "-E")...)
				want := []string{"1", "2", "3"}
				for _, text := range want {
					publish(t, "-t", topic("away/x"), "-m", text)
				}
				if got := heard(t, append(session, "-C", "3")...); !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			})
			t.Run("shared", func(t *testing.T) {
				sub := s.subscribe(t, version, hears, "$share/g/"+topic("shared"))
				publish(t, "-t", topic("shared"), "-m", "once")
				sub.await(t, "message "+topic("shared")+" once")
				sub.stop()
			})
			t.Run("refused", func(t *testing.T) {
				c := *other
				c.name = "another"
				code := map[string]int{v3: 5, v5: 0x87}[version]
				if out := command(t, nil, "mosquitto_pub", s.mosquitto(t, version, &c, "-t", "x", "-m", "x")...); out.code != code {
					t.Errorf("%+v, want exit %d", out, code)
				}
			})
		})
	}
}

// TestMosquittoProperties: those of MQTT 5 that mosquitto_pub sends come out of
// mosquitto_sub.
func TestMosquittoProperties(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	hears, says := s.known(t, "hears", everything), s.known(t, "says", everything)
	out := command(t, nil, "mosquitto_pub", s.mosquitto(t, v5, says, "-t", "p", "-m", "text", "-r",
		"-D", "publish", "user-property", "site", "north", "-D", "publish", "content-type", "text/plain",
		"-D", "publish", "response-topic", "answers/here", "-D", "publish", "correlation-data", "42",
		"-D", "publish", "message-expiry-interval", "600", "-D", "publish", "topic-alias", "3")...)
	if out.code != 0 || out.stderr != "" {
		t.Fatalf("mosquitto_pub: %+v", out)
	}
	out = command(t, nil, "mosquitto_sub", s.mosquitto(t, v5, hears, "-t", "p", "-C", "1", "-F", "%p %P %C %R %D")...)
	if want := "text site:north text/plain answers/here 42\n"; out.stdout != want {
		t.Errorf("got %+v, want %q", out, want)
	}
}
