package ocsp_test

import (
	"testing"

	"go.uber.org/goleak"
)

// No flight and no connection outlives its Client.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
