package broker_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain holds that no test leaves a goroutine behind: a broker that has
// stopped has stopped.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
