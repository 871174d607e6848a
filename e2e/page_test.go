package e2e_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const walkTimeout = 5 * time.Minute

// block is a block of commands of a page and what the page says that they print.
type block struct{ commands, shown string }

var fence = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// blocksOf reads the blocks sh of a page, each with the block text that may
// follow it. Blocks of other languages show and are not run.
func blocksOf(t *testing.T, page string) []block {
	t.Helper()
	var blocks []block
	open := false // the last block of commands may still be followed by what it prints
	for _, m := range fence.FindAllStringSubmatch(page, -1) {
		switch language, text := m[1], m[2]; {
		case language == "sh":
			blocks, open = append(blocks, block{commands: text}), true
		case language == "text" && open:
			blocks[len(blocks)-1].shown, open = text, false
		default:
			open = false
		}
	}
	if len(blocks) == 0 {
		t.Fatal("the page has no block sh")
	}
	return blocks
}

// testPage runs the blocks sh of a page of docs as they are written, in one
// bash and an empty folder where a server of its own runs on free ports, with
// what muster env exports, and compares what they print with the blocks text.
// prelude is run before, and shown nowhere.
func testPage(t *testing.T, path, prelude string) {
	t.Helper()
	blocks := blocksOf(t, readFile(t, path))
	runBlocks(t, `muster init > /dev/null
muster serve --mqtt 127.0.0.1:0 --api 127.0.0.1:0 --http 127.0.0.1:0 2> muster.log &
server=$!
trap 'kill "$server" 2> /dev/null || :' EXIT
until muster health > /dev/null 2>&1; do kill -0 "$server"; sleep 0.1; done
eval "$(muster env)"
export AWS_PAGER=
`+prelude, blocks)
}

// runBlocks runs blocks one after another in one bash.
func runBlocks(t *testing.T, prelude string, blocks []block) {
	t.Helper()
	const mark = "-- end of block --"
	script := "set -eu\n" + prelude
	for _, b := range blocks {
		script += b.commands + "echo '" + mark + "'\n"
	}
	out, err := runScript(t, script)
	printed := strings.Split(out, mark+"\n")
	for i, b := range blocks[:min(len(blocks), len(printed))] {
		if line := firstMissing(b.shown, printed[i]); line != "" {
			t.Errorf("the page shows %q after\n%s\nwhich prints\n%s", line, b.commands, printed[i])
		}
	}
	if err != nil || len(printed) != len(blocks)+1 {
		t.Errorf("%d of %d blocks ran: %v\n%s", len(printed)-1, len(blocks), err, printed[len(printed)-1])
	}
}

func runScript(t *testing.T, script string) (string, error) {
	t.Helper()
	dir, bin := t.TempDir(), t.TempDir()
	if err := os.Symlink(os.Getenv(binaryVariable), filepath.Join(bin, "muster")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), walkTimeout)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &out
	cmd.Env = []string{
		"PATH=" + bin + ":/usr/bin:/bin", "HOME=" + dir, "LC_ALL=C.UTF-8", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
	}
	// The shell is a group of its own, so that nothing that it started stays.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "muster.log"))
		t.Logf("log of the server:\n%s", log)
	}
	return out.String(), err
}

// firstMissing returns the first line of shown that printed does not have after
// those before it; "" if it has all. … stands for any text.
func firstMissing(shown, printed string) string {
	lines := strings.Split(printed, "\n")
	for want := range strings.Lines(shown) {
		want = strings.TrimSpace(want)
		form := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".+") + "$")
		i := slices.IndexFunc(lines, func(line string) bool { return form.MatchString(strings.TrimSpace(line)) })
		if i < 0 {
			return want
		}
		lines = lines[i+1:]
	}
	return ""
}

func TestFirstMissing(t *testing.T) {
	for _, c := range []struct{ shown, printed, want string }{
		{"", "a\n", ""},
		{"a\nc\n", "a\nb\n  c\n", ""},
		{"c\na\n", "a\nb\nc\n", "a"},
		{"a … z (*)\n", "a b z (*)\n", ""},
		{"a … z\n", "a z\n", "a … z"},
		{"a\n", "ab\n", "a"},
	} {
		if got := firstMissing(c.shown, c.printed); got != c.want {
			t.Errorf("firstMissing(%q, %q) = %q, want %q", c.shown, c.printed, got, c.want)
		}
	}
}
