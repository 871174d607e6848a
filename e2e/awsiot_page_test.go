package e2e_test

import "testing"

// TestAWSIoTPage runs the commands of docs/awsiot.md as they are written.
func TestAWSIoTPage(t *testing.T) {
	t.Parallel()
	testPage(t, "../docs/awsiot.md", "")
}
