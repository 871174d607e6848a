package awsiot_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	mathrand "math/rand/v2"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/badgerdb"
	"github.com/muster-mqtt/muster/registry/memory"
)

// TestAnySequence plays the moves of testdata/awsiot/moves.txt at random, for two
// accounts and with few names, so that they meet. Whatever was done before: both
// engines give the same answer, no move fails within, and no rule of the registry
// is broken after it. Each move succeeds in one of the histories at least.
func TestAnySequence(t *testing.T) {
	moves := readMoves(t)
	done := map[string]int{}
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, seed)
			for range 700 {
				m := moves[w.random.IntN(len(moves))]
				if w.play(t, m) {
					done[m.text]++
				}
				if t.Failed() {
					t.Fatalf("after:\n%s", strings.Join(w.history, "\n"))
				}
			}
		})
	}
	for _, m := range moves {
		if done[m.text] == 0 {
			t.Errorf("never succeeded: %s", m.text)
		}
	}
}

// move is a request with placeholders.
type move struct{ text, method, target, header, body string }

func readMoves(t *testing.T) []move {
	t.Helper()
	var moves []move
	text, err := os.ReadFile("../../testdata/awsiot/moves.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		m := move{text: line}
		head, body, _ := strings.Cut(line, " {")
		if body != "" {
			m.body = "{" + body
		}
		fields := strings.SplitN(head, " ", 3)
		if len(fields) < 2 {
			t.Fatalf("no move: %s", line)
		}
		m.method, m.target = fields[0], fields[1]
		if len(fields) == 3 {
			m.header = strings.Replace(fields[2], "=", ": ", 1)
		}
		moves = append(moves, m)
	}
	return moves
}

// world is one history on two engines.
type world struct {
	random  *mathrand.Rand
	sides   [2]*server // badgerdb, memory
	engines [2]registry.Engine
	clock   time.Time
	leaves  []string    // PEM, of the authorities and of nobody
	cas     []string    // members of RegisterCACertificate
	csr     string      // PEM
	issuers []string    // IDs of the authorities
	known   [][2]string // IDs of certificates, as each side knows them; the newest last
	last    [2]string   // the one that was chosen last
	acting  string      // account
	history []string
	steps   int
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{random: mathrand.New(mathrand.NewPCG(seed, 5)), clock: time.Now().UTC()}
	folder := badgerdb.Config{Dir: filepath.Join(t.TempDir(), "registry")}
	if err := badgerdb.Create(folder); err != nil {
		t.Fatal(err)
	}
	disk, err := badgerdb.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	w.engines = [2]registry.Engine{disk, memory.New()}
	for i, e := range w.engines {
		w.sides[i] = newServerOn(t, e, func() time.Time { return w.clock })
	}
	for i := range 2 {
		a := newAuthority(t, fmt.Sprint("Factory ", i))
		w.cas = append(w.cas, string(a.CertPEM()))
		for range 2 {
			w.leaves = append(w.leaves, string(issue(t, a).CertPEM()))
		}
		w.issuers = append(w.issuers, fingerprint(t, a.CertPEM()))
	}
	w.leaves = append(w.leaves, string(selfSigned(t)))
	for _, leaf := range w.leaves {
		id := fingerprint(t, []byte(leaf))
		w.known = append(w.known, [2]string{id, id})
	}
	w.last = w.known[0]
	w.csr = newRequest(t)
	return w
}

var placeholder = regexp.MustCompile(`\$[a-z]+`)

// fill returns a text for each side, with the same choices.
func (w *world) fill(text string, escape func(string) string) (out [2]string) {
	rest := text
	for {
		at := placeholder.FindStringIndex(rest)
		if at == nil {
			out[0], out[1] = out[0]+rest, out[1]+rest
			return out
		}
		chosen := w.choose(rest[at[0]+1 : at[1]])
		for i := range out {
			out[i] += rest[:at[0]] + escape(chosen[i])
		}
		rest = rest[at[1]:]
	}
}

func (w *world) choose(word string) [2]string {
	both := func(options ...string) [2]string {
		s := options[w.random.IntN(len(options))]
		return [2]string{s, s}
	}
	switch word {
	case "account":
		return both(account, stranger)
	case "own": // now and then another's
		return both(w.acting, w.acting, w.acting, w.acting, stranger, account)
	case "issuer":
		return both(w.issuers...)
	case "id": // as a rule one of the latest, or the last once more
		const latest = 8
		if recent := w.known[max(0, len(w.known)-latest):]; w.random.IntN(2) == 0 {
			w.last = recent[w.random.IntN(len(recent))]
		}
		return w.last
	case "leaf":
		return both(w.leaves...)
	case "ca":
		return both(w.cas...)
	case "csr":
		return both(w.csr)
	case "template":
		return both(jitpTemplate)
	case "document":
		return both(allowConnect)
	case "role":
		return both(role)
	case "bool":
		return both("true", "false")
	case "status":
		return both("ACTIVE", "INACTIVE", "REVOKED", "INACTIVE")
	}
	return both(word+"1", word+"2") // names: $thing, $group …
}

// play makes a move on both sides and reports whether it succeeded.
func (w *world) play(t *testing.T, m move) bool {
	t.Helper()
	w.clock = w.clock.Add(time.Second)
	w.acting = account
	if w.random.IntN(3) == 0 {
		w.acting = stranger
	}
	target := w.fill(m.target, func(s string) string { return url.QueryEscape(s) })
	header := w.fill(m.header, func(s string) string { return s })
	body := w.fill(m.body, func(s string) string {
		quoted, _ := json.Marshal(s)
		return string(quoted[1 : len(quoted)-1])
	})
	var answers [2]*httptest.ResponseRecorder
	for i, s := range w.sides {
		key := s.key
		if w.acting == stranger {
			key = s.other
		}
		var headers []string
		if header[i] != "" {
			headers = append(headers, header[i])
		}
		answers[i] = s.send(t, key, m.method, target[i], body[i], headers...)
	}
	w.history = append(w.history, fmt.Sprintf("%s: %s %s %s: %d", w.acting, m.method, target[1], body[1], answers[1].Code))
	w.compare(t, m, answers)
	w.learn(t, answers)
	if answers[0].Code == 200 {
		w.hold(t, m, 1)
	}
	if w.steps++; w.steps%25 == 0 { // badgerdb takes its time
		w.hold(t, m, 0)
	}
	return answers[0].Code == 200
}

func (w *world) compare(t *testing.T, m move, answers [2]*httptest.ResponseRecorder) {
	t.Helper()
	const name = "X-Amzn-Errortype"
	disk, model := answers[0], answers[1]
	if disk.Code != model.Code || disk.Header().Get(name) != model.Header().Get(name) {
		t.Errorf("%s: badgerdb %d %s, memory %d %s", m.text, disk.Code, disk.Body, model.Code, model.Body)
	}
	if disk.Code >= 500 || disk.Header().Get(name) == "UnknownOperationException" || disk.Header().Get(name) == "SerializationException" {
		t.Errorf("%s: %d %s\n%s", m.text, disk.Code, disk.Body, w.sides[0].log)
	}
}

// learn keeps the IDs of new certificates.
func (w *world) learn(t *testing.T, answers [2]*httptest.ResponseRecorder) {
	t.Helper()
	var ids [2]string
	for i, a := range answers {
		var made struct{ CertificateID string }
		if err := json.Unmarshal(a.Body.Bytes(), &made); err != nil {
			t.Fatal(err)
		}
		ids[i] = made.CertificateID
	}
	if ids[0] != "" && !slices.Contains(w.known, ids) && !slices.Contains(w.issuers, ids[0]) {
		w.known = append(w.known, ids)
	}
}

// hold demands that every rule of the registry holds on a side.
func (w *world) hold(t *testing.T, m move, side int) {
	t.Helper()
	broken, err := registry.CheckInvariants(t.Context(), w.engines[side])
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range broken {
		t.Errorf("side %d, after %s: %v", side, m.text, b)
	}
}

// fingerprint returns the ID of a certificate, PEM.
func fingerprint(t *testing.T, certificate []byte) string {
	t.Helper()
	block, _ := pem.Decode(certificate)
	if block == nil {
		t.Fatalf("no PEM: %s", certificate)
	}
	return muster.Fingerprint(block.Bytes)
}

// newRequest returns a certificate signing request, PEM.
func newRequest(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}
