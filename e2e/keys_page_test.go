package e2e_test

import "testing"

// TestKeysPage runs the page about access keys.
func TestKeysPage(t *testing.T) {
	t.Parallel()
	testPage(t, "../docs/keys.md", "")
}
