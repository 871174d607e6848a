package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
)

const refusalsFile = "../testdata/refusals.txt"

// wrong is a block of testdata/refusals.txt: a way to get it wrong, and what
// everyone is told of it.
type wrong struct {
	name    string
	does    string        // what the device or its operator does
	reason  muster.Reason // the word
	detail  string        // of the log and of the memory of refusals
	told    string        // the reason string of MQTT 5; "none: " and why, where there is none
	connack string        // the codes of MQTT 5 and 3.1.1, or none
	explain string        // what muster explain decides about the certificate; "none": TLS ended before there was one
	mend    string
}

// refusals reads the file, but for the reasons that no connection can reach.
func refusals(t *testing.T) (all []wrong) {
	t.Helper()
	var w *wrong
	for i, text := range strings.Split(readFile(t, refusalsFile), "\n") {
		if text == "" || text[0] == '#' || strings.HasPrefix(text, "unreachable:") {
			continue
		}
		if strings.HasPrefix(text, "[") {
			all = append(all, wrong{name: strings.Trim(text, "[]")})
			w = &all[len(all)-1]
			continue
		}
		key, value, ok := strings.Cut(text, ":")
		value = strings.TrimSpace(value)
		if !ok || w == nil || !w.set(key, value) {
			t.Fatalf("%s:%d: %q says nothing", refusalsFile, i+1, text)
		}
	}
	for _, w := range all {
		if slices.Contains([]string{w.does, string(w.reason), w.detail, w.told, w.connack, w.explain, w.mend}, "") {
			t.Errorf("%s: [%s] leaves something out", refusalsFile, w.name)
		}
	}
	return all
}

func (w *wrong) set(key, value string) bool {
	field, ok := map[string]*string{
		"does": &w.does, "reason": (*string)(&w.reason), "detail": &w.detail, "string": &w.told,
		"connack": &w.connack, "explain": &w.explain, "mend": &w.mend,
	}[key]
	if ok {
		*field = value
	}
	return ok
}

// form makes an expression of a text in which … stands for any.
func form(text string) *regexp.Regexp {
	return regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(text), "…", ".*"))
}

func exactly(text string) *regexp.Regexp { return regexp.MustCompile("^" + form(text).String() + "$") }

// walker goes one way to get it wrong, from an address of its own: by that alone
// the log and muster explain find it again.
type walker struct {
	wrong
	t       *testing.T
	s       *server
	from    net.IP
	began   int      // the first line of the log that may be about it
	asks    []string // more arguments of muster explain
	openssl *authority
}

var walkers atomic.Uint32

func (s *server) walker(t *testing.T, w wrong) *walker {
	n := walkers.Add(1)
	return &walker{wrong: w, t: t, s: s, from: net.IPv4(127, 0, 2+byte(n>>8), byte(n)), began: s.log.len()}
}

// group is the walks on one server.
type group struct {
	name     string
	settings map[string]string
	prepare  func(*testing.T, *server)
	parallel bool
	walks    map[string]func(*walker)
}

func groups() []group {
	return []group{
		{"certificates", settings, withOther, true, certificateWalks()},
		{"connections", settings, nil, true, connectionWalks()},
		{"impatient", impatient, nil, false, impatientWalks()},
		{"asAWS", asAWS, nil, false, walksAsAWS()},
		{"webSocket", map[string]string{"websocket": anyPort}, toWebSocket, true, webSocketWalks()},
		{"everyone", everyone, nil, false, map[string]func(*walker){"connects-all": fastWalk}},
		{"crowded", crowded, nil, false, crowdedWalks()},
	}
}

// TestRefusals goes every way of testdata/refusals.txt. There is none without a
// walk, and no walk that the file does not tell of.
func TestRefusals(t *testing.T) {
	t.Parallel()
	all := refusals(t)
	if len(all) < 50 {
		t.Errorf("%s tells of %d ways", refusalsFile, len(all))
	}
	ways := map[string]wrong{}
	for _, w := range all {
		if _, twice := ways[w.name]; twice {
			t.Errorf("[%s] is there twice", w.name)
		}
		ways[w.name] = w
	}
	for _, g := range groups() {
		for name := range g.walks {
			if _, known := ways[name]; !known {
				t.Errorf("%s does not tell of the walk %s", refusalsFile, name)
			}
		}
		walked := maps.Clone(ways)
		maps.DeleteFunc(walked, func(name string, _ wrong) bool { return g.walks[name] == nil })
		maps.DeleteFunc(ways, func(name string, _ wrong) bool { return g.walks[name] != nil })
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.configure(t, g.settings)
			s.start(t)
			if g.prepare != nil {
				g.prepare(t, s)
			}
			for _, name := range slices.Sorted(maps.Keys(walked)) {
				t.Run(name, func(t *testing.T) {
					if g.parallel {
						t.Parallel()
					}
					g.walks[name](s.walker(t, walked[name]))
				})
			}
		})
	}
	for name := range ways {
		t.Errorf("nobody walks [%s] of %s", name, refusalsFile)
	}
}

// configure changes keys of the configuration, which init has written in full.
func (s *server) configure(t *testing.T, settings map[string]string) {
	t.Helper()
	text := readFile(t, s.config())
	for key, value := range settings {
		line := regexp.MustCompile(`(?m)^( +` + key + `:).*$`)
		if !line.MatchString(text) {
			t.Fatalf("the configuration has no key %s", key)
		}
		text = line.ReplaceAllString(text, "$1 "+value)
	}
	if err := os.WriteFile(s.config(), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// refused has a device refused in both versions of MQTT, and looks at all that
// is told of it.
func (w *walker) refused(g *gadget) {
	w.t.Helper()
	w.connects5(g)
	w.connects3(g)
	w.tells(g)
}

// tells looks at the log and asks muster explain. g is nil where the device
// showed no certificate.
func (w *walker) tells(g *gadget) {
	w.t.Helper()
	w.logs(g)
	w.explainsAddress()
	if (g != nil) != (w.explain != "none") {
		w.t.Errorf("the file says explain: %s", w.explain)
	}
	if g != nil {
		w.explainsCertificate(g)
	}
}

// logs demands a line about the device from this address.
func (w *walker) logs(g *gadget) {
	w.t.Helper()
	id := ""
	if g != nil {
		id = g.id
	}
	w.s.await(w.t, w.began, fmt.Sprintf("the device %q from %s is refused for %s: %s", id, w.from, w.reason, w.detail), func(l line) bool {
		var said struct{ Reason, Detail, Remote, Certificate string }
		_ = json.Unmarshal([]byte(l.text), &said) // the server logs JSON
		host, _, _ := net.SplitHostPort(said.Remote)
		return host == w.from.String() && said.Certificate == id && said.Reason == string(w.reason) &&
			exactly(w.detail).MatchString(said.Detail)
	})
}

// explainsAddress asks for what came from the address of the device.
func (w *walker) explainsAddress() {
	w.t.Helper()
	out := program(w.t, "explain", "--config", w.s.config(), "--from", w.from.String(), "-o", "json")
	for text := range strings.Lines(out.stdout) {
		var r struct {
			muster.Refusal
			Mend string
		}
		w.must(json.Unmarshal([]byte(text), &r))
		if r.Reason == w.reason && exactly(w.detail).MatchString(r.Detail) && exactly(w.mend).MatchString(r.Mend) {
			return
		}
	}
	w.t.Errorf("muster explain --from %s does not say\n  %s: %s\n  %s\nbut\n%s%s", w.from, w.reason, w.detail, w.mend, out.stdout, out.stderr)
}

// explainsCertificate asks about the certificate by its file.
func (w *walker) explainsCertificate(g *gadget) {
	w.t.Helper()
	args := append([]string{"explain", "--config", w.s.config(), g.cert}, w.asks...)
	if g.serverName != "" {
		args = append(args, "--sni", g.serverName)
	}
	out := program(w.t, args...)
	if out.code != 0 {
		w.t.Fatalf("muster %s: %+v", strings.Join(args, " "), out)
	}
	wants := []string{"\ndecision     " + w.explain + "\n"}
	if w.mend != "none" {
		wants = append(wants, w.detail, "mend: "+w.mend+"\n")
	}
	for _, want := range wants {
		if !form(want).MatchString(out.stdout) {
			w.t.Errorf("muster explain does not say %q:\n%s", want, out.stdout)
		}
	}
}

// within bounds one connection of a walk.
func (w *walker) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(w.t.Context(), 20*time.Second)
}

// withOther makes a second account.
func withOther(t *testing.T, s *server) {
	t.Helper()
	s.succeeds(t, "account", "create", secondAccount, "--endpoint", secondEndpoint)
}

// ofOther is the server as an operator of the other account sees it.
func (w *walker) ofOther() *server {
	w.t.Helper()
	return w.s.as(w.s.newKey(w.t, secondAccount))
}

// mustAddress is the address of the MQTT listener.
func (w *walker) mustAddress() string {
	if _, err := netip.ParseAddrPort(w.s.vars["MUSTER_MQTT"]); err != nil {
		w.t.Fatal(err)
	}
	return w.s.vars["MUSTER_MQTT"]
}

// ended demands that the server ended a connection without an answer.
func (w *walker) ended(err error) {
	w.t.Helper()
	if err == nil {
		w.t.Error("the server did not end the connection")
	}
	if w.connack != "none" || !strings.HasPrefix(w.told, "none: ") {
		w.t.Errorf("the file promises a CONNACK %s, %s", w.connack, w.told)
	}
}

func (w *walker) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(fmt.Errorf("%s: %w", w.name, err))
	}
}
