package broker_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain holds that no test leaves a goroutine behind: a broker that has
// stopped has stopped. As the child of a benchmark it is the server instead.
func TestMain(m *testing.M) {
	if peer := os.Getenv(childPeer); peer != "" {
		serveAsChild(peer)
		return
	}
	goleak.VerifyTestMain(m)
}
