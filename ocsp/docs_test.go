package ocsp_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster/ocsp"
)

// faults returns the words of all constants in fault.go.
func faults(t *testing.T) []ocsp.Fault {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var list []ocsp.Fault
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := v.Type.(*ast.Ident); !ok || name.Name != "Fault" {
			return false
		}
		word, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, ocsp.Fault(word))
		return false
	})
	return list
}

// The page tells of every fault, and what to mend of those that somebody must
// mend, and of no other.
func TestPageKnowsFaults(t *testing.T) {
	text, err := os.ReadFile("../docs/ocsp.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| `fault` | what to mend |\n|---|---|\n")
	table, rest, found2 := strings.Cut(table, "\n\n")
	if !found || !found2 {
		t.Fatal("docs/ocsp.md has no table of faults")
	}
	words := regexp.MustCompile("`([a-z_]+)`")
	mend, others := map[string]bool{}, map[string]bool{}
	for _, row := range strings.Split(table, "\n") {
		for _, m := range words.FindAllStringSubmatch(strings.Split(row, "|")[1], -1) {
			mend[m[1]] = true
		}
	}
	paragraph, _, _ := strings.Cut(rest, "\n")
	for _, m := range words.FindAllStringSubmatch(paragraph, -1) {
		others[m[1]] = true
	}
	all := faults(t)
	if len(all) < 30 {
		t.Fatalf("%d faults in fault.go", len(all))
	}
	for _, f := range all {
		if mend[string(f)] != f.Misconfigured() || others[string(f)] == f.Misconfigured() {
			t.Errorf("%s: misconfigured %v, but the page says what to mend: %v, and that it passes: %v",
				f, f.Misconfigured(), mend[string(f)], others[string(f)])
		}
	}
}
