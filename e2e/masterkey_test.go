package e2e_test

import (
	"os"
	"strings"
	"testing"
)

// TestOtherMasterKey: a server whose master key is another says so at the start,
// and not first when somebody's request fails.
func TestOtherMasterKey(t *testing.T) {
	s := newServer(t)
	if err := os.WriteFile(s.path("master.key"), []byte(strings.Repeat("0", 64)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	if text := s.log.text(); !strings.Contains(text, `"event":"master_key_differs"`) || !strings.Contains(text, s.path("master.key")) {
		t.Errorf("the log does not say it:\n%s", text)
	}
	whole := startServer(t)
	if text := whole.log.text(); strings.Contains(text, "master_key_differs") {
		t.Errorf("the log of a server whose master key is its own:\n%s", text)
	}
}
