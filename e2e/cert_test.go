package e2e_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/api/admin"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/badgerdb"
)

// operator runs a command on the server's directory, whether it runs or not.
func (s *server) operator(t *testing.T, args ...string) ended {
	t.Helper()
	return program(t, append(args, "--config", s.config())...)
}

// succeeds demands that a command ends well, and returns what it printed.
func (s *server) succeeds(t *testing.T, args ...string) string {
	t.Helper()
	out := s.operator(t, args...)
	if out.code != 0 {
		t.Fatalf("muster %s: %+v", strings.Join(args, " "), out)
	}
	return out.stdout
}

// certLines runs a command of muster cert that prints a certificate a line.
func (s *server) certLines(t *testing.T, args ...string) (lines []admin.Settled) {
	t.Helper()
	for d := json.NewDecoder(strings.NewReader(s.succeeds(t, append(append([]string{"cert"}, args...), "-o", "json")...))); ; {
		var l admin.Settled
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			return lines
		} else if err != nil {
			t.Fatalf("muster cert %s: %v", strings.Join(args, " "), err)
		}
		lines = append(lines, l)
	}
}

func (s *server) waiting(t *testing.T, args ...string) []admin.Settled {
	t.Helper()
	return s.certLines(t, append([]string{"list", "--status", "PENDING_ACTIVATION"}, args...)...)
}

// TestPendingOperations: devices wait, are listed, approved and refused.
func TestPendingOperations(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.prepare(t)
	workshop, garage := newAuthority(t, "Workshop CA"), newAuthority(t, "Garage CA")
	s.register(t, workshop, object{})
	s.register(t, garage, object{})
	real := []*certificate{workshop.device(t, "real-1"), workshop.device(t, "real-2"), workshop.device(t, "real-3")}
	other := garage.device(t, "other")
	for _, c := range append(real, other) {
		s.refuse(t, c, muster.ReasonPendingActivation)
	}
	mass := massProduction(t, workshop)
	var devices []*device
	for i := range 47 {
		devices = append(devices, newDevice(t, mass, fmt.Sprintf("sensor-%02d", i)))
	}
	s.connectAll(t, devices, func(p progress) {
		if p.ended && p.err == nil {
			t.Errorf("%s was let in", p.device.name)
		}
	})

	list := s.waiting(t, "--authority", workshop.id[:8])
	if len(list) != 50 || len(s.waiting(t)) != 51 || len(s.waiting(t, "--authority", workshop.cert, "--limit", "10")) != 10 {
		t.Errorf("%d wait of the workshop", len(list))
	}
	for i, l := range list {
		if l.Account != accountID || l.Status != muster.PendingActivation || l.AuthorityID != workshop.id || l.Authority != "CN=Workshop CA" ||
			!strings.HasPrefix(l.Subject, "CN=") || i > 0 && l.Registered.After(list[i-1].Registered) {
			t.Errorf("line %d is %+v", i, l)
		}
	}
	if got := s.waiting(t, "--older", "1h"); len(got) != 0 {
		t.Errorf("%d wait for an hour", len(got))
	}
	text := s.succeeds(t, "cert", "list", "--oldest-first", "--limit", "1")
	if !strings.Contains(text, real[0].id[:16]+"  PENDING_ACTIVATION") || !strings.Contains(text, "CN=real-1") {
		t.Errorf("for people the list is\n%s", text)
	}

	s.approveWorkshop(t, workshop, list)
	s.admitAll(t, devices)
	for _, c := range real {
		s.admit(t, v5, c)
	}
	s.refuseOthers(t, garage, other)
}

// approveWorkshop tries it first, and then approves all.
func (s *server) approveWorkshop(t *testing.T, workshop *authority, list []admin.Settled) {
	t.Helper()
	approve := []string{"approve", "--authority", workshop.cert, "--policy", "device"}
	for _, l := range s.certLines(t, append(approve, "--dry-run", "--limit", "20")...) {
		if l.Outcome != registry.OutcomeDone || !l.DryRun || l.Status != muster.Active {
			t.Errorf("tried: %+v", l)
		}
	}
	if got := s.waiting(t, "--authority", workshop.id); len(got) != len(list) {
		t.Errorf("a dry run left %d waiting of %d", len(got), len(list))
	}
	out := s.operator(t, append([]string{"cert"}, append(approve, "--yes", "--progress")...)...)
	if out != (ended{stdout: "50 approved, 0 skipped, 0 failed\n", stderr: "50 of 50\n"}) {
		t.Errorf("approved: %+v", out)
	}
	for _, l := range s.certLines(t, "list", "--authority", workshop.id) {
		if l.Status != muster.Active || len(l.Policies) != 1 || l.Policies[0] != "device" {
			t.Errorf("approved is %+v", l)
		}
	}
}

// refuseOthers refuses by age, and lets a device come back in each way there is.
func (s *server) refuseOthers(t *testing.T, garage *authority, other *certificate) {
	t.Helper()
	if got := s.certLines(t, "refuse", "--older", "1h", "--yes"); len(got) != 0 {
		t.Errorf("refused for its age: %+v", got)
	}
	if got := s.certLines(t, "refuse", "--newer", "1h", "--yes"); len(got) != 1 || got[0].ID != other.id || got[0].Status != muster.Inactive {
		t.Errorf("refused: %+v", got)
	}
	s.refuse(t, other, muster.ReasonInactive) // and does not wait again
	if got := s.waiting(t); len(got) != 0 {
		t.Errorf("still wait: %+v", got)
	}
	fails(t, s.operator(t, "cert", "approve", "-o", "json", garage.cert), 1, "certificate", "none that begins so")

	s.attach(t, "device", other)
	bundle := writeFile(t, s.path("bundle.pem"), readFile(t, other.key)+readFile(t, other.cert))
	if got := s.succeeds(t, "cert", "set", bundle, "--status", "ACTIVE"); got != other.id+" is ACTIVE\n" {
		t.Errorf("set: %s", got)
	}
	s.admit(t, v5, other)
	out := s.operator(t, "cert", "approve", other.id[:12])
	if out.code != 0 || !strings.Contains(out.stdout, "skipped: it is ACTIVE") {
		t.Errorf("approved twice: %+v", out)
	}
	out = s.operator(t, "cert", "refuse", other.id[:12])
	if out.code != 1 || !strings.Contains(out.stdout, "failed: it is ACTIVE") || !strings.Contains(out.stderr, "1 of 1 certificates") {
		t.Errorf("refused once it is in: %+v", out)
	}

	again := garage.device(t, "again")
	s.refuse(t, again, muster.ReasonPendingActivation)
	if got := s.certLines(t, "refuse", again.cert, "--delete"); len(got) != 1 || got[0].Outcome != registry.OutcomeDone {
		t.Errorf("deleted: %+v", got)
	}
	s.unknownToAWS(t, again)
	s.refuse(t, again, muster.ReasonPendingActivation)
	if got := s.certLines(t, "refuse", again.cert, "--revoke"); len(got) != 1 || got[0].Status != muster.Revoked {
		t.Errorf("revoked: %+v", got)
	}
	s.refuse(t, again, muster.ReasonRevoked)
	s.aws(t, "delete-certificate", "--certificate-id", again.id)
	s.refuse(t, again, muster.ReasonDeleted)
	if got := s.succeeds(t, "cert", "show", again.id[:8]); !strings.Contains(got, "tombstone    deleted") || strings.Contains(got, "status") {
		t.Errorf("a tombstone is shown as\n%s", got)
	}
	s.succeeds(t, "cert", "forget", again.cert)
	s.refuse(t, again, muster.ReasonPendingActivation)
}

// TestCertMistakes makes the mistakes that operators make, with a server and
// without.
func TestCertMistakes(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	workshop := newAuthority(t, "Workshop CA")
	s.register(t, workshop, object{})
	device := workshop.device(t, "device")
	s.refuse(t, device, muster.ReasonPendingActivation)
	nobody := strings.Repeat("0", 64)
	mistakes := func(t *testing.T) {
		for _, c := range []struct {
			code int
			args string
			want []string
		}{
			{1, "cert show " + nobody, []string{nobody, accountID}},
			{1, "cert show " + device.id[:7], []string{device.id[:7], "too short", "8 hex digits"}},
			{1, "cert show nothing.pem", []string{"nothing.pem", "no such file"}},
			{1, "cert show " + device.key, []string{device.key, "no PEM block of type CERTIFICATE"}},
			{1, "cert show --account 999999999999 " + device.id, []string{"account 999999999999", "not found"}},
			{1, "cert approve " + device.id + " " + nobody, []string{nobody}},
			{1, "cert approve --policy nowhere " + device.id, []string{"policy nowhere", "create it first"}},
			{1, "cert approve --policy nowhere --all --yes", []string{"policy nowhere", "create it first"}},
			{1, "cert approve --authority " + nobody + " --yes", []string{"authority " + nobody}},
			{1, "cert list --authority 1234", []string{"too short"}},
			{1, "cert list --status waiting", []string{"WAITING", "PENDING_ACTIVATION"}},
			{1, "cert set " + device.id + " --status PENDING_TRANSFER", []string{device.id, "cannot be set"}},
			{1, "cert forget " + device.id, []string{device.id, "not found"}},
			{2, "cert set " + device.id, []string{"--status"}},
			{2, "cert approve", []string{"--all", "muster cert approve --help"}},
			{2, "cert approve --all", []string{"no terminal", "--yes", "--dry-run"}},
			{2, "cert approve --all " + device.id, []string{"not both"}},
			{2, "cert refuse --revoke --delete " + device.id, []string{"--revoke", "--delete"}},
			{2, "cert refuse --older 24h --newer 1h --yes", []string{"--newer 1h", "--older 24h"}},
			{2, "cert list --older yesterday", []string{"--older", "36h"}},
			{2, "cert list -o yaml", []string{"yaml", "text or json"}},
			{2, "cert aprove", []string{"aprove", "muster cert --help"}},
		} {
			t.Run(c.args, func(t *testing.T) { fails(t, s.operator(t, strings.Fields(c.args)...), c.code, c.want...) })
		}
		if got := s.waiting(t); len(got) != 1 || got[0].ID != device.id || len(got[0].Policies) != 0 {
			t.Errorf("after all mistakes there wait %+v", got)
		}
	}
	t.Run("served", mistakes)
	s.stop(t)
	t.Run("not served", mistakes)
	if got := s.certLines(t, "approve", device.cert); len(got) != 1 || got[0].Status != muster.Active {
		t.Errorf("approved without a server: %+v", got)
	}
	s.leftNothing(t)
}

// many registers certificates as their first connects would, for figures that
// devices would take long to reach. No server runs.
func (s *server) many(t *testing.T, n int) {
	t.Helper()
	engine, err := badgerdb.Open(badgerdb.Config{Dir: s.path("registry")})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	store, err := registry.New(registry.Config{Engine: engine})
	if err != nil {
		t.Fatal(err)
	}
	ca, err := mint.NewAuthority("Mass CA")
	if err != nil {
		t.Fatal(err)
	}
	a, err := store.RegisterAuthority(t.Context(), registry.AuthorityRegistration{
		Account: accountID, PEM: string(ca.CertPEM()), Mode: muster.ModeSNIOnly, Active: true, AutoRegistration: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	enrolled := make(chan error, n)
	for i := range n {
		go func() {
			leaf, err := ca.Issue(mint.Request{Key: key, Subject: pkix.Name{CommonName: fmt.Sprint("device-", i)}})
			if err == nil {
				_, err = store.Enrol(t.Context(), muster.Enrolment{Account: accountID, AuthorityID: a.ID, PEM: string(leaf.CertPEM())})
			}
			enrolled <- err
		}()
	}
	for range n {
		if err := <-enrolled; err != nil {
			t.Fatal(err)
		}
	}
}

// TestApproveInterrupted: Ctrl-C ends after the present step, tells what is
// done, and the same command goes on with the rest.
func TestApproveInterrupted(t *testing.T) {
	t.Parallel()
	const all = 2000
	s := newServer(t)
	s.many(t, all)
	s.start(t)
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Getenv(binaryVariable), "cert", "approve", "--all", "--yes", "--progress", "--config", s.config())
	var stdout, stderr bytes.Buffer
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = &stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 1) // of the first line of progress
	if _, err := io.ReadFull(pipe, first); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_, _ = stderr.ReadFrom(pipe)
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("interrupted: %v\n%s", err, stderr.String())
	}
	var done int
	if _, err := fmt.Sscanf(stdout.String(), "%d approved, 0 skipped, 0 failed\n", &done); err != nil {
		t.Fatalf("%v in %q", err, stdout.String())
	}
	active := s.certLines(t, "list", "--status", "ACTIVE")
	if len(active) != done || done == 0 || done == all {
		t.Errorf("%d are told to be approved, and %d are, of %d", done, len(active), all)
	}
	if got, want := s.succeeds(t, "cert", "approve", "--all", "--yes"), fmt.Sprintf("%d approved, 0 skipped, 0 failed\n", all-done); got != want {
		t.Errorf("the rest: %s, want %s", got, want)
	}
}

// TestApproveAsks: on a terminal a selection is confirmed first.
func TestApproveAsks(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.many(t, 3)
	for _, c := range []struct {
		answer  string
		code    int
		says    string
		waiting int
	}{
		{"n\n", 1, "nothing was done", 3}, {"\n", 1, "nothing was done", 3}, {"y\n", 0, "3 approved, 0 skipped, 0 failed", 0},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
		defer cancel()
		cmd := exec.CommandContext(ctx, "script", "--quiet", "--return", "--command",
			os.Getenv(binaryVariable)+" cert approve --all --config "+s.config(), "/dev/null")
		cmd.Stdin = strings.NewReader(c.answer)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != c.code || !strings.Contains(string(out), c.says) ||
			!strings.Contains(string(out), "3 certificates of account "+accountID+" wait.") {
			t.Errorf("answered %q: %v\n%s", c.answer, err, out)
		}
		if got := s.waiting(t); len(got) != c.waiting {
			t.Errorf("answered %q: %d wait", c.answer, len(got))
		}
	}
}
