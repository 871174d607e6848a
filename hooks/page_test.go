package hooks_test

import (
	"os"
	"strings"
	"testing"
)

// TestPluginPage: the code that docs/plugin.md shows is that of the example, and
// is short.
func TestPluginPage(t *testing.T) {
	example, err := os.ReadFile("example_test.go")
	must(t, err)
	_, code, found := strings.Cut(string(example), "\n// serve attaches")
	code, _, ended := strings.Cut("// serve attaches"+code, "\n}\n")
	if !found || !ended {
		t.Fatal("the example has no function serve")
	}
	code += "\n}\n"
	page, err := os.ReadFile("../docs/plugin.md")
	must(t, err)
	if !strings.Contains(string(page), "\n```go\n"+code+"```\n") {
		t.Errorf("docs/plugin.md shows something else than\n%s", code)
	}
	_, body, _ := strings.Cut(code, "{\n")
	if lines := strings.Count(body, "\n") - 1; lines >= 30 {
		t.Errorf("%d lines", lines)
	}
}
