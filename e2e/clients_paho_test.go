package e2e_test

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// scenarios of testdata/paho_matrix.py: of both versions, and of MQTT 5 alone.
var (
	scenariosOfBoth = []string{"wildcards", "unsubscribe", "qos", "retained", "will", "session", "shared", "large", "too_large",
		"refused", "taken_over", "order", "no_client_id"}
	scenariosOf5 = []string{"retain_options", "no_local", "will_delay", "will_with_disconnect", "session_expiry", "topic_alias",
		"user_properties", "request_response", "message_expiry", "subscription_identifier", "small_client", "receive_maximum"}
)

// TestPaho has paho-mqtt of Python go through its scenarios, by both versions of
// the protocol and both transports.
func TestPaho(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"tcp", "websockets"} {
		for _, version := range []string{"4", "5"} {
			t.Run(transport+" "+version, func(t *testing.T) {
				t.Parallel()
				s := startWeb(t)
				wide, other := s.known(t, "wide", everything), s.known(t, "narrow", narrow)
				address := s.vars["MUSTER_MQTT"]
				if transport == "websockets" {
					address = s.vars["MUSTER_WEBSOCKET"]
				}
				want := scenariosOfBoth
				if version == "5" {
					want = slices.Concat(want, scenariosOf5)
				}
				out := commandWithin(t, 5*time.Minute, nil, "/usr/bin/python3", "testdata/paho_matrix.py", transport, version, address,
					s.vars["MUSTER_CA"], wide.cert, wide.key, other.cert, other.key)
				var went []string
				for line := range strings.Lines(out.stdout) {
					name, ok := strings.CutPrefix(strings.TrimSpace(line), "ok ")
					if !ok {
						t.Error(strings.TrimSpace(line))
						continue
					}
					went = append(went, name)
				}
				if out.code != 0 || !t.Failed() && !slices.Equal(went, want) {
					t.Errorf("exit %d after %q\n%s", out.code, went, out.stderr)
				}
			})
		}
	}
}
