package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/api/admin"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
)

// failing is an engine that has a damaged disk, or loses it when templates are
// read, which come after things.
type failing struct {
	registry.Engine
	verify, templates error
}

func (f failing) Verify(context.Context) error { return f.verify }

func (f failing) View(ctx context.Context, fn func(registry.Reader) error) error {
	return f.Engine.View(ctx, func(r registry.Reader) error { return fn(failingReader{r, f.templates}) })
}

type failingReader struct {
	registry.Reader
	templates error
}

func (r failingReader) List(k registry.Kind, q registry.Query) ([]registry.Doc, registry.Cursor, error) {
	if k == registry.KindTemplate && r.templates != nil {
		return nil, nil, r.templates
	}
	return r.Reader.List(k, q)
}

// backup asks for a backup of a registry with so many things.
func backup(t *testing.T, engine registry.Engine, things int) (*http.Response, []byte) {
	t.Helper()
	store, err := registry.New(registry.Config{Engine: engine})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.CreateAccount(t.Context(), muster.Account{ID: account, Endpoint: "localhost"}); err != nil {
		t.Fatal(err)
	}
	for i := range things {
		if _, err := store.CreateThing(t.Context(), muster.Thing{Account: account, Name: fmt.Sprint("thing-", i)}); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(admin.New(admin.Config{Registry: store, Version: "v1"}).Handler())
	t.Cleanup(server.Close)
	w, err := http.Post(server.URL+"/backup", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w, text
}

func TestBackup(t *testing.T) {
	w, text := backup(t, memory.New(), 3)
	report, err := registry.VerifyBackup(t.Context(), strings.NewReader(string(text)), nil)
	if err != nil || report.Documents != 4 || report.Muster != "v1" {
		t.Errorf("%+v, %v", report, err)
	}
	if w.StatusCode != http.StatusOK || w.Trailer.Get(admin.BackupFailure) != "" {
		t.Errorf("%s, trailer %q", w.Status, w.Trailer)
	}
}

// A backup that cannot begin is an answer that says why; one that breaks off says
// so behind what went before.
func TestBackupFails(t *testing.T) {
	cause := errors.New("the disk is gone")
	w, text := backup(t, failing{Engine: memory.New(), verify: cause}, 3)
	var failed admin.Failure
	if err := json.Unmarshal(text, &failed); err != nil || w.StatusCode != http.StatusInternalServerError || !strings.Contains(failed.Error, cause.Error()) {
		t.Errorf("%s %s: %v", w.Status, text, err)
	}
	w, text = backup(t, failing{Engine: memory.New(), templates: cause}, 3000)
	if _, err := registry.VerifyBackup(t.Context(), strings.NewReader(string(text)), nil); err == nil || len(text) == 0 {
		t.Errorf("what broke off after %d bytes is a backup", len(text))
	}
	if got := w.Trailer.Get(admin.BackupFailure); w.StatusCode != http.StatusOK || !strings.Contains(got, cause.Error()) {
		t.Errorf("%s, trailer %q", w.Status, got)
	}
}
