package registry_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/badgerdb"
	"github.com/muster-mqtt/muster/registry/memory"
	"github.com/muster-mqtt/muster/registry/registrytest"
)

// testMaster is the master key of fixtures.
const testMaster = "0123456789abcdef0123456789abcdef"

func testSealer(tb testing.TB, key string) *registry.Sealer {
	tb.Helper()
	s, err := registry.NewSealer([]byte(key))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func newBadger(tb testing.TB) *badgerdb.Engine {
	tb.Helper()
	dir := tb.TempDir()
	if err := badgerdb.Create(badgerdb.Config{Dir: dir}); err != nil {
		tb.Fatal(err)
	}
	e := openBadger(tb, dir)
	tb.Cleanup(func() { _ = e.Close() }) // a fixture may have closed it
	return e
}

// fill writes documents of every kind, and returns the secret of an access key.
func (f *fixture) fill() (secret string) {
	f.Helper()
	ctx := f.Context()
	ca := f.mint("Factory CA")
	a := f.authority(ca)
	f.policy("p")
	must(f.CreateThingType(ctx, muster.ThingType{Account: account, Name: "sensor"}))(f)
	must(f.CreateThingGroup(ctx, muster.ThingGroup{Account: account, Name: "hall"}))(f)
	must(f.CreateTemplate(ctx, muster.Template{Account: account, Name: "t", Type: muster.TemplateJITP, RoleARN: role}, jitp))(f)
	r := thingNamed("device")
	r.Policies = []muster.RegistrationGrant{{Name: "p"}}
	must(f.Enrol(ctx, muster.Enrolment{Account: account, AuthorityID: a.ID, PEM: f.leaf(ca, "device"), Registration: r}))(f)
	f.enrol(a, ca, "pending")
	f.register(ca, "inactive", muster.Inactive)
	f.issue("issued", muster.Inactive)
	f.register(ca, "revoked", muster.Revoked)
	gone := f.register(ca, "gone", muster.Revoked)
	f.ok(f.DeleteCertificate(ctx, account, gone.ID, false))
	f.ok(f.PutAnswer(ctx, "answer", []byte("\x00\xff<answer>"), time.Time{}))
	f.ok(f.SaveRefusals(ctx, []muster.Refusal{{
		Account: account, AuthorityID: a.ID, CertificateID: "c", Detail: "<&>  \"ü\"", Reason: muster.ReasonRevoked, Facts: []byte(`{"a":1}`),
	}}, nil))
	key := must(f.CreateAccessKey(ctx, muster.AccessKey{Account: account}))(f)
	return key.Secret
}

// contents returns all that an engine holds, without the versions, which count
// its own changes.
func contents(tb testing.TB, e registry.Engine) []string {
	tb.Helper()
	var all []string
	err := e.View(tb.Context(), func(r registry.Reader) error {
		for _, k := range registry.Kinds() {
			for q := (registry.Query{Limit: 1000}); ; {
				docs, next, err := r.List(k, q)
				if err != nil {
					return err
				}
				for _, d := range docs {
					all = append(all, fmt.Sprintf("%s %q %s %v", k, d.ID, d.JSON, d.Index))
				}
				if q.After = next; next == nil {
					break
				}
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

func backup(tb testing.TB, e registry.Engine) ([]byte, registry.BackupReport) {
	tb.Helper()
	var b bytes.Buffer
	report, err := registry.Backup(tb.Context(), e, &b, "v1.2.3")
	if err != nil {
		tb.Fatal(err)
	}
	return b.Bytes(), report
}

func restore(tb testing.TB, e registry.Engine, file []byte) registry.BackupReport {
	tb.Helper()
	report, err := registry.Restore(tb.Context(), e, bytes.NewReader(file), testSealer(tb, testMaster))
	if err != nil {
		tb.Fatal(err)
	}
	if report.Broken != nil {
		tb.Errorf("restored: %q", report.Broken)
	}
	return report
}

func unzip(tb testing.TB, file []byte) []byte {
	tb.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		tb.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func rezip(tb testing.TB, text []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	zip, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := zip.Write(text); err != nil {
		tb.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// TestBackupRoundTrip goes from badger to memory and back: all documents and
// index entries are the same, and so are the backups.
func TestBackupRoundTrip(t *testing.T) {
	f := newFixtureOn(t, newBadger(t), registry.Config{})
	f.fill()
	want := contents(t, f.engine)
	file, wrote := backup(t, f.engine)
	if wrote.Documents != len(want) || wrote.Seq != f.seq() || wrote.Muster != "v1.2.3" || wrote.Broken != nil {
		t.Errorf("report %+v of %d documents, sequence %d", wrote, len(want), f.seq())
	}
	for _, k := range registry.Kinds() {
		if wrote.Kinds[k] == 0 {
			t.Errorf("the backup holds no %s: the test shows nothing of it", k)
		}
	}
	if n := wrote.Certificates; n[muster.Active] != 1 || n[muster.PendingActivation] != 1 || n[muster.Inactive] != 2 || n[muster.Revoked] != 1 {
		t.Errorf("certificates %v", n)
	}
	for _, to := range []registry.Engine{memory.New(), newBadger(t)} {
		report := restore(t, to, file)
		if !slices.Equal(contents(t, to), want) {
			t.Errorf("%T holds\n%q\nwant\n%q", to, contents(t, to), want)
		}
		if report.Secrets != 2 || report.SHA256 != wrote.SHA256 || report.Documents != wrote.Documents || !report.Time.Equal(wrote.Time) {
			t.Errorf("restored %+v, backed up %+v", report, wrote)
		}
		registrytest.Check(t, to)
		file, wrote = backup(t, to)
	}
	if text, again := unzip(t, file), contents(t, f.engine); bytes.Count(text, []byte("\n")) != len(again)+2 {
		t.Errorf("the last backup has %d lines for %d documents", bytes.Count(text, []byte("\n")), len(again))
	}
}

// No secret stands in a backup in clear.
func TestBackupIsSealed(t *testing.T) {
	f := newFixture(t)
	secret := f.fill()
	file, _ := backup(t, f.engine)
	text := string(unzip(t, file))
	if !strings.Contains(text, `"kind":"key","id":"AKIA`) {
		t.Fatal("the backup holds no access key")
	}
	for _, clear := range []string{secret, testMaster, fmt.Sprintf("%x", testMaster)} {
		if strings.Contains(text, clear) {
			t.Errorf("%q stands in the backup", clear)
		}
	}
}

func TestRestoreIntoUse(t *testing.T) {
	f := newFixture(t)
	file, _ := backup(t, f.engine)
	before := f.seq()
	_, err := registry.Restore(t.Context(), f.engine, bytes.NewReader(file), testSealer(t, testMaster))
	f.is("restore into a registry in use", err, muster.ErrState)
	if f.seq() != before {
		t.Error("it wrote")
	}
	_, err = registry.Restore(t.Context(), memory.New(), bytes.NewReader(file), nil)
	if err == nil {
		t.Error("restored without a master key")
	}
}

func TestRestoreWrongMasterKey(t *testing.T) {
	f := newFixture(t)
	f.fill()
	file, _ := backup(t, f.engine)
	other := testSealer(t, strings.Repeat("x", 32))
	for name, read := range map[string]func() error{
		"restore": func() error {
			_, err := registry.Restore(t.Context(), memory.New(), bytes.NewReader(file), other)
			return err
		},
		"verify": func() error {
			_, err := registry.VerifyBackup(t.Context(), bytes.NewReader(file), other)
			return err
		},
	} {
		err := read()
		f.is(name, err, muster.ErrInvalid)
		if err == nil || !strings.Contains(err.Error(), "another master key") {
			t.Errorf("%s: %v", name, err)
		}
	}
	report := must(registry.VerifyBackup(t.Context(), bytes.NewReader(file), nil))(f)
	if report.Secrets != 0 || report.Documents == 0 {
		t.Errorf("without a key: %+v", report)
	}
}

// A registry that breaks its rules is backed up, and the backup says so.
func TestBackupOfTheBroken(t *testing.T) {
	e := withAccount(t)
	write(t, e, map[registry.Kind][]any{registry.KindThing: {muster.Thing{Account: account, Name: "t", Type: "k"}}}, nil)
	file, wrote := backup(t, e)
	report, err := registry.Restore(t.Context(), memory.New(), bytes.NewReader(file), testSealer(t, testMaster))
	if err != nil {
		t.Fatal(err)
	}
	for name, broken := range map[string][]string{"backup": wrote.Broken, "restore": report.Broken} {
		if len(broken) != 1 || !strings.Contains(broken[0], "no thingtype k") {
			t.Errorf("%s says %q", name, broken)
		}
	}
}

// forgetful is an engine that lost a document, but not what leads to it.
type forgetful struct{ registry.Engine }

type forgetfulReader struct{ registry.Reader }

func (f forgetful) View(ctx context.Context, fn func(registry.Reader) error) error {
	return f.Engine.View(ctx, func(r registry.Reader) error { return fn(forgetfulReader{r}) })
}

func (r forgetfulReader) List(k registry.Kind, q registry.Query) ([]registry.Doc, registry.Cursor, error) {
	docs, next, err := r.Reader.List(k, q)
	if k == registry.KindCert && len(docs) > 0 {
		if q.Index != "" {
			return nil, nil, fmt.Errorf("listed in index %q: %w", q.Index, registry.ErrNoDoc)
		}
		docs = docs[1:]
	}
	return docs, next, err
}

func TestBackupMissesLostDocuments(t *testing.T) {
	f := newFixture(t)
	f.fill()
	var b bytes.Buffer
	if _, err := registry.Backup(t.Context(), forgetful{f.engine}, &b, ""); !errors.Is(err, registry.ErrNoDoc) || b.Len() > 0 {
		t.Errorf("%v after %d bytes", err, b.Len())
	}
}

// cancelling cancels a context after some writes.
type cancelling struct {
	cancel context.CancelFunc
	after  int
}

func (c *cancelling) Write(p []byte) (int, error) {
	if c.after--; c.after == 0 {
		c.cancel()
	}
	return len(p), nil
}

func TestBackupEndsWithItsContext(t *testing.T) {
	f := newFixture(t)
	ca := f.mint("Many")
	f.authority(ca)
	for i := range 300 {
		f.register(ca, fmt.Sprint("device-", i), muster.Active)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := registry.Backup(ctx, f.engine, &cancelling{cancel, 1}, "")
	f.is("a backup whose context ended", err, context.Canceled)

	file, _ := backup(t, f.engine)
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	_, err = registry.Restore(ctx, memory.New(), bytes.NewReader(file), testSealer(t, testMaster))
	f.is("a restore whose context ended", err, context.Canceled)
}

func TestBackupTellsOfAFullDisk(t *testing.T) {
	f := newFixture(t)
	f.fill()
	full := errors.New("no space left")
	for _, room := range []int{0, 1, 100, 1000} {
		_, err := registry.Backup(t.Context(), f.engine, &limited{room, full}, "")
		f.is(fmt.Sprint("with room for ", room), err, full)
	}
}

// limited takes so many bytes.
type limited struct {
	room int
	err  error
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.room {
		n := l.room
		l.room = 0
		return n, l.err
	}
	l.room -= len(p)
	return len(p), nil
}
