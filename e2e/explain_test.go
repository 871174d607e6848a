package e2e_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/api/admin"
)

// explained demands that muster explain says all these words.
func (s *server) explained(t *testing.T, what string, words ...string) {
	t.Helper()
	out := s.explain(t, what)
	if out.code != 0 || out.stderr != "" {
		t.Fatalf("muster explain %s: %+v", what, out)
	}
	for _, w := range words {
		if !strings.Contains(out.stdout, w) {
			t.Errorf("muster explain %s does not say %q:\n%s", what, w, out.stdout)
		}
	}
}

// explainedJSON reads what machines read: of a certificate, and of the latest
// refusals, one a line.
func (s *server) explainedJSON(t *testing.T, known, stranger *certificate) {
	t.Helper()
	var e admin.Explanation
	if err := json.Unmarshal([]byte(s.succeeds(t, "explain", known.cert, "-o", "json")), &e); err != nil {
		t.Fatal(err)
	}
	if e.Verdict != "admit" || e.CertificateID != known.id || len(e.Lines) != 15 {
		t.Errorf("in JSON: %+v", e)
	}
	lines := strings.Split(strings.TrimSpace(s.succeeds(t, "explain", "--last", "2", "-o", "json")), "\n")
	var of []string
	for _, text := range lines {
		var r admin.Refusal
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
		of = append(of, r.CertificateID)
	}
	if len(of) != 2 || of[1] != stranger.id {
		t.Errorf("the latest refusals are of %q", of)
	}
}

// TestExplainArguments makes the mistakes that people make.
func TestExplainArguments(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, c := range []struct {
		code int
		args []string
		want string
	}{
		{2, []string{"--from", "192.0.2.1", "--last"}, "exclude each other"},
		{2, []string{"--from", "192.0.2.1", "device.pem"}, "--from asks about refusals"},
		{2, []string{"--last", "none"}, "a number of refusals"},
		{2, []string{"--last", "0"}, "1 or more"},
		{2, []string{"device.pem", "--will", "a"}, "--will needs --client"},
		{2, []string{"device.pem", "--client", "a", "--retain"}, "--retain needs --will"},
		{2, []string{"device.pem", "-o", "yaml"}, "want text or json"},
		{1, []string{"--from", "muster.test"}, "no IP address"},
		{1, []string{"--last", "5000"}, "1 to 1000"},
	} {
		args := append([]string{"explain", "--config", s.config()}, c.args...)
		fails(t, program(t, args...), c.code, c.want)
	}
	if out := s.succeeds(t, "explain", "--last"); out != "no refusal is remembered\n" {
		t.Errorf("of a new server: %q", out)
	}
}

// The words of decisions.
const (
	admits = "decision     admit\n"
	waits  = "decision     refuse pending_activation\n"
	closed = "decision     refuse untrusted_issuer\n"
)

// TestExplain asks about devices of each kind while the server runs, and again
// when it does not.
func TestExplain(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.prepare(t)
	factory, workshop, garage := newAuthority(t, "Factory CA"), newAuthority(t, "Workshop CA"), newAuthority(t, "Garage CA")
	s.register(t, factory, provisioned())
	s.register(t, workshop, object{})

	known, pending, stranger := factory.device(t, "known"), workshop.device(t, "pending"), garage.device(t, "stranger")
	s.admit(t, v5, known)
	s.refuse(t, pending, muster.ReasonPendingActivation)
	from := s.log.len()
	if out := s.publish(t, v5, stranger, "let me in"); out.code == 0 {
		t.Errorf("a stranger was let in: %+v", out)
	}
	s.await(t, from, "the stranger is refused", func(l line) bool { return l.Reason == string(muster.ReasonUntrustedIssuer) })
	application := s.application(t)
	s.setStatus(t, application, "INACTIVE")
	s.refuse(t, application, muster.ReasonInactive)

	activate := "mend: activate it: aws iot update-certificate --certificate-id " + pending.id
	refusedTwice := "for pending_activation (2 times since"
	inactive := []string{"decision     refuse inactive\n", "for inactive (2 times since", `client "application" from 127.0.0.1:`}
	s.explained(t, known.cert, admits, known.id, "CN=known", "account      "+accountID)
	s.explained(t, strings.ToUpper(known.id), admits)
	s.explained(t, pending.cert, waits, activate, refusedTwice)
	s.explained(t, pending.id, waits, activate, refusedTwice, `client "pending" from 127.0.0.1:`)
	s.explained(t, stranger.cert, closed, "CN=Garage CA", "aws iot register-ca-certificate")
	s.explained(t, stranger.id, closed, "the facts of its latest refusal", "for untrusted_issuer")
	s.explained(t, application.id, inactive...)
	s.explainedJSON(t, known, stranger)
	unknown := strings.Repeat("0", 64)
	fails(t, s.explain(t, unknown), 1, unknown, "PEM")
	fails(t, s.explain(t, s.config()), 1, "no PEM block")
	fails(t, s.explain(t, filepath.Join(s.dir, "nothing.pem")), 1, "nothing.pem", "no such file")

	// Without a server the registry answers, which has kept the refusals of all
	// but strangers.
	s.stop(t)
	s.explained(t, known.cert, admits)
	s.explained(t, known.id, admits)
	s.explained(t, pending.id, waits, activate, refusedTwice)
	s.explained(t, application.id, inactive...)
	s.explained(t, stranger.cert, closed)
	fails(t, s.explain(t, stranger.id), 1, stranger.id, "PEM")
}
