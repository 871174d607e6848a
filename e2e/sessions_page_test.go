package e2e_test

import "testing"

// TestMQTTPage runs the commands of docs/mqtt.md as they are written.
func TestMQTTPage(t *testing.T) {
	t.Parallel()
	testPage(t, "../docs/mqtt.md", "")
}
