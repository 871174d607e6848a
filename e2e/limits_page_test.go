package e2e_test

import "testing"

// TestLimitsPage runs the page about limits.
func TestLimitsPage(t *testing.T) {
	t.Parallel()
	testPage(t, "../docs/limits.md", "")
}
