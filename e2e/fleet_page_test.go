package e2e_test

import "testing"

// TestFleetPage runs the page about fleet provisioning.
func TestFleetPage(t *testing.T) {
	t.Parallel()
	testPage(t, "../docs/fleet.md", "export AWS_PAGER=\n")
}
