package main

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster/api/admin"
	"github.com/muster-mqtt/muster/config"
)

// TestConsoleOfAnotherRegistry: a command whose environment names another
// registry than the server has open must not settle the server's devices.
func TestConsoleOfAnotherRegistry(t *testing.T) {
	dir, theirs, ours := t.TempDir(), t.TempDir(), t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, socketFile))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: admin.New(admin.Config{Folder: theirs}).Handler()}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	for _, tt := range []struct{ folder, says string }{
		{theirs, ""},
		{filepath.Join(theirs, "..", filepath.Base(theirs)), ""},
		{ours, "has the registry " + theirs + " open"},
		{filepath.Join(ours, "missing"), "has the registry " + theirs + " open"},
	} {
		_, err := openConsole(t.Context(), &config.Config{Admin: config.Admin{Path: dir}, Registry: config.Registry{Path: tt.folder}})
		if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s: %v, want %q", tt.folder, err, tt.says)
		}
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	<-served
}
