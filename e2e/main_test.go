package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const (
	binaryVariable = "MUSTER_BINARY"
	awsProgram     = "/usr/bin/aws" // the one of the distribution, whatever else PATH has
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

// testMain finds the tools and the program before any test runs: a tool that is
// missing fails all tests, rather than leaving some of them out.
func testMain(m *testing.M) int {
	for _, tool := range []string{awsProgram, "bwrap", "git", "jq", "make", "openssl", "script", "mosquitto_pub", "mosquitto_sub", "stdbuf", "strace", "systemd-analyze"} {
		if _, err := exec.LookPath(tool); err != nil {
			fmt.Fprintf(os.Stderr, "%v; make tools installs what the tests need\n", err)
			return 1
		}
	}
	if os.Getenv(binaryVariable) != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "muster-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "muster")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "../cmd/muster")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building muster: %v\n%s", err, out)
		return 1
	}
	if err := os.Setenv(binaryVariable, binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
