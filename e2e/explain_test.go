package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
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
