package e2e_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
)

// restored makes another server's directory from a backup and brings the files
// that a backup does not hold.
func (s *server) restored(t *testing.T, file string) *server {
	t.Helper()
	r := &server{dir: filepath.Join(t.TempDir(), "restored")}
	out := program(t, "restore", file, "--dir", r.dir, "--master-key", s.path("master.key"))
	if out.code != 0 || out.stderr != "" || !strings.Contains(out.stdout, "Next: muster serve --config "+r.config()) {
		t.Fatalf("muster restore: %+v", out)
	}
	for _, name := range []string{"server.pem", "server-key.pem", "ca.pem", "credentials"} {
		writeFile(t, r.path(name), readFile(t, s.path(name)))
	}
	return r
}

// TestBackup backs a server up while devices connect to it, restores it and
// serves what was restored: the devices are known, what was revoked is revoked,
// and the access key works.
func TestBackup(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.prepare(t)
	factory := newAuthority(t, "Factory CA")
	s.register(t, factory, provisioned())
	sensor, lost := factory.device(t, "sensor-1"), factory.device(t, "sensor-2")
	s.admit(t, v5, sensor)
	s.admit(t, v5, lost)
	s.setStatus(t, lost, "REVOKED")
	mass := massProduction(t, factory)
	var early, late []*device
	for i := range 30 {
		early = append(early, newDevice(t, mass, fmt.Sprint("early-", i)))
		late = append(late, newDevice(t, mass, fmt.Sprint("late-", i)))
	}
	s.admitAll(t, early)

	file := filepath.Join(t.TempDir(), "muster.gz")
	var backup, stderr bytes.Buffer
	cmd := exec.Command(os.Getenv(binaryVariable), "backup", "-", "--config", s.config())
	cmd.Stdout, cmd.Stderr = &backup, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.admitAll(t, late)
	if err := cmd.Wait(); err != nil || !strings.HasPrefix(stderr.String(), "Wrote ") {
		t.Fatalf("muster backup -: %v\n%s", err, &stderr)
	}
	writeFile(t, file, backup.String())
	s.keepsSecrets(t, &backup)

	r := s.restored(t, file)
	s.stop(t)
	r.start(t)
	r.aws(t, "describe-certificate", "--certificate-id", sensor.id).want(t, "ACTIVE", "certificateDescription", "status")
	r.aws(t, "describe-thing", "--thing-name", "sensor-1").want(t, "sensor", "thingTypeName")
	r.admit(t, v5, sensor)
	r.admitAll(t, early)
	if n := r.metric(t, `muster_registrations_total{outcome="active"}`); n != 0 {
		t.Errorf("%v devices were registered anew", n)
	}
	r.refuse(t, lost, muster.ReasonRevoked)
	r.admitAll(t, late) // those that the backup missed register again
	r.admit(t, v5, factory.device(t, "sensor-3"))
}

// keepsSecrets demands that no secret of the server stands in a backup.
func (s *server) keepsSecrets(t *testing.T, backup io.Reader) {
	t.Helper()
	zip, err := gzip.NewReader(backup)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte(s.vars["AWS_ACCESS_KEY_ID"])) {
		t.Error("the backup does not hold the access key")
	}
	for name, secret := range map[string]string{
		"the secret access key": s.vars["AWS_SECRET_ACCESS_KEY"], "the master key": strings.TrimSpace(readFile(t, s.path("master.key"))),
	} {
		if secret == "" || bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s stands in the backup", name)
		}
	}
}

// TestBackupFile is about the file: whole, private, and never over another.
func TestBackupFile(t *testing.T) {
	t.Parallel()
	s := newServer(t) // none runs: the command opens the registry itself
	dir := t.TempDir()
	file := filepath.Join(dir, "muster.gz")
	backup := func(args ...string) ended {
		return program(t, append([]string{"backup", "--config", s.config()}, args...)...)
	}
	out := backup(file)
	if out.code != 0 || out.stderr != "" || !strings.HasPrefix(out.stdout, "Wrote "+file+": 2 documents, ") {
		t.Errorf("muster backup: %+v", out)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	first := readFile(t, file)
	fails(t, backup(file), 1, file, "it exists", "--force")
	if readFile(t, file) != first {
		t.Error("the file was written to")
	}
	if out := backup(file, "--force", "-o", "json"); out.code != 0 || !strings.Contains(out.stdout, `"documents":2,"kinds":{"account":1,"key":1}`) {
		t.Errorf("muster backup --force: %+v", out)
	}
	if readFile(t, file) == first {
		t.Error("the file was not overwritten")
	}
	fails(t, backup(filepath.Join(dir, "none", "muster.gz")), 1, "none", "no such file")
	fails(t, backup(), 2, "muster backup --help")
	wantFiles(t, dir, "muster.gz")
	if out := program(t, "restore", "--check", file); out.code != 0 || !strings.HasPrefix(out.stdout, "Whole: "+file) {
		t.Errorf("muster restore --check: %+v", out)
	}
}

// TestBackupPage runs the examples of the page.
func TestBackupPage(t *testing.T) {
	t.Parallel()
	runBlocks(t, "muster init > /dev/null\n", blocksOf(t, readFile(t, "../docs/backup.md")))
}

func wantFiles(t *testing.T, dir string, names ...string) {
	t.Helper()
	var got []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("%s holds %q, want %q", dir, got, names)
	}
}

// TestRestoreRefuses demands one clear error, and that nothing is left behind.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	dir := t.TempDir()
	file, key := filepath.Join(dir, "muster.gz"), s.path("master.key")
	if out := program(t, "backup", "--config", s.config(), file); out.code != 0 {
		t.Fatalf("muster backup: %+v", out)
	}
	whole := readFile(t, file)
	cut := writeFile(t, filepath.Join(dir, "cut.gz"), whole[:len(whole)-20])
	flipped := []byte(whole)
	flipped[len(flipped)/2] ^= 1
	altered := writeFile(t, filepath.Join(dir, "altered.gz"), string(flipped))
	other := writeFile(t, filepath.Join(dir, "other.key"), strings.Repeat("ab", 32))
	into := t.TempDir()
	to := filepath.Join(into, "new")
	for _, c := range []struct {
		code int
		args []string
		want []string
	}{
		{1, []string{cut, "--dir", to, "--master-key", key}, []string{to, "line ", "cut off"}},
		{1, []string{altered, "--dir", to, "--master-key", key}, []string{to, "line "}},
		{1, []string{key, "--dir", to, "--master-key", key}, []string{"no backup of Muster", "gzip"}},
		{1, []string{file, "--dir", to, "--master-key", other}, []string{to, "line ", "access key", "another master key"}},
		{1, []string{file, "--dir", to, "--master-key", file}, []string{file, "64 hex digits"}},
		{1, []string{file, "--dir", s.dir, "--master-key", key}, []string{s.dir, "it exists"}},
		{1, []string{to, "--dir", to, "--master-key", key}, []string{to, "no such file"}},
		{1, []string{file, "--dir", to, "--master-key", key, "--region", "a b"}, []string{"region"}},
		{1, []string{cut, "--check"}, []string{"line ", "cut off"}},
		{1, []string{file, "--check", "--master-key", other}, []string{"another master key"}},
		{2, []string{file, "--dir", to}, []string{"--master-key"}},
		{2, []string{file, "--check", "--dir", to}, []string{"--check", "--dir"}},
	} {
		fails(t, program(t, append([]string{"restore"}, c.args...)...), c.code, c.want...)
		wantFiles(t, into)
	}
}

// largeBackup writes the backup of a registry that does not fit into the buffers
// of pipes and sockets.
func largeBackup(t *testing.T) string {
	t.Helper()
	engine := memory.New()
	store, err := registry.New(registry.Config{Engine: engine})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.CreateAccount(t.Context(), muster.Account{ID: accountID, Endpoint: "localhost"}); err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		text := strings.Repeat(rand.Text(), 2)
		for range 5 {
			text += rand.Text() + rand.Text() + rand.Text() + rand.Text() + rand.Text() + rand.Text() + rand.Text() + rand.Text()
		}
		_, err := store.CreateThingType(t.Context(), muster.ThingType{Account: accountID, Name: fmt.Sprint("type-", i), Description: text})
		if err != nil {
			t.Fatal(err)
		}
	}
	var file bytes.Buffer
	if _, err := registry.Backup(t.Context(), engine, &file, ""); err != nil {
		t.Fatal(err)
	}
	if file.Len() < 1<<20 {
		t.Fatalf("the large backup has %d bytes", file.Len())
	}
	return file.String()
}

// TestRestoreEnds ends a restore in the middle, as a power cut and as people do.
func TestRestoreEnds(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	backup := largeBackup(t)
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		dir := t.TempDir()
		to := filepath.Join(dir, "new")
		cmd := exec.Command(os.Getenv(binaryVariable), "restore", "-", "--dir", to, "--master-key", s.path("master.key"))
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// All but the last byte: it reads until it waits for that.
		if _, err := io.WriteString(stdin, backup[:len(backup)-1]); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		err = cmd.Wait()
		if err == nil {
			t.Errorf("%v: the restore went on", signal)
		}
		if signal == syscall.SIGINT {
			wantFiles(t, dir)
			fails(t, ended{code: cmd.ProcessState.ExitCode(), stderr: stderr.String()}, 1, "interrupted")
			continue
		}
		left, err := filepath.Glob(filepath.Join(dir, ".muster-new-*", "*"))
		if err != nil || len(left) == 0 {
			t.Fatalf("%v: what is left is %q, %v", signal, left, err)
		}
		if _, err := os.Lstat(to); !os.IsNotExist(err) {
			t.Errorf("%v: %s is there: %v", signal, to, err)
		}
		config := filepath.Join(filepath.Dir(left[0]), "muster.yaml")
		fails(t, program(t, "serve", "--config", config), 1, config, "no such file")
	}
}

// TestBackupDoesNotHoldUp stops a server while somebody reads a backup and has
// fallen asleep: the server ends in time, and the reader learns that it has no
// backup.
func TestBackupDoesNotHoldUp(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r := s.restored(t, writeFile(t, filepath.Join(t.TempDir(), "large.gz"), largeBackup(t)))
	r.start(t)
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Getenv(binaryVariable), "backup", "-", "--config", r.config())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	sleepy := bufio.NewReader(stdout)
	if _, err := sleepy.ReadByte(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	r.stop(t)
	t.Logf("the server ended after %v", time.Since(begin))
	if _, err := io.Copy(io.Discard, sleepy); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the backup that broke off succeeded")
	}
	fails(t, ended{code: cmd.ProcessState.ExitCode(), stderr: stderr.String()}, 1)
}
