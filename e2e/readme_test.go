package e2e_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster/config"
)

const readme = "../README.md"

// section returns the text below a heading, up to the next one of its level or
// above.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, text, found := strings.Cut(readFile(t, readme), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", readme, heading)
	}
	for level, _, _ := strings.Cut(heading, " "); level != "#"; level = level[1:] {
		text, _, _ = strings.Cut(text, "\n"+level+" ")
	}
	return text
}

// TestReadmeWalk runs the walk as it is written, in one bash and an empty
// folder, on the ports that Muster has by default.
func TestReadmeWalk(t *testing.T) {
	blocks := blocksOf(t, section(t, "## A walk"))
	if len(blocks) < 10 {
		t.Fatalf("the walk has %d blocks", len(blocks))
	}
	runBlocks(t, "server=\ntrap 'test -z \"$server\" || kill \"$server\" 2> /dev/null || :' EXIT\n", blocks)
}

// TestReadmeConfiguration holds the table of the page to that of the program.
func TestReadmeConfiguration(t *testing.T) {
	want := "| key | default | meaning |\n|---|---|---|\n"
	for _, r := range config.Table() {
		want += fmt.Sprintf("| `%s` | `%s` | %s |\n", r.Key, r.Default, r.Meaning)
	}
	if !strings.Contains(section(t, "## Configuration"), "\n\n"+want+"\n") {
		t.Errorf("the table under Configuration should be\n%s", want)
	}
}

// cells returns the first columns of the rows whose first cell is code.
func cells(text string, columns int) [][]string {
	var rows [][]string
	for line := range strings.Lines(text) {
		parts := strings.Split(line, "|")
		if len(parts) < columns+2 || !strings.HasPrefix(parts[1], " `") {
			continue
		}
		var row []string
		for _, p := range parts[1 : columns+1] {
			row = append(row, strings.Trim(strings.TrimSpace(p), "`"))
		}
		rows = append(rows, row)
	}
	return rows
}

func TestReadmeCommands(t *testing.T) {
	_, help, _ := strings.Cut(program(t, "--help").stdout, "Available Commands:\n")
	help, _, _ = strings.Cut(help, "\n\n")
	var want, got []string
	for line := range strings.Lines(help) {
		want = append(want, "muster "+strings.Fields(line)[0])
	}
	for _, row := range cells(section(t, "## The command line"), 1) {
		got = append(got, row[0])
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the page lists %q, the program %q", got, want)
	}
}

// noCONNACK are the reasons that close a connection without one.
var noCONNACK = []string{"handshake_failed", "handshake_timeout", "too_many_connections", "first_connection", "shutdown", "taken_over"}

// TestReadmeReasons holds the table of reasons to reason.go and to the codes
// that package hooks gives them.
func TestReadmeReasons(t *testing.T) {
	var got, want [][]string
	got = cells(section(t, "### Reasons"), 3)
	codes := connackCodes(t)
	for _, r := range reasonConstants(t) {
		row := []string{r.word, "—", "—"}
		if !slices.Contains(noCONNACK, r.word) {
			c, ok := codes[r.name]
			if !ok {
				c = codes[""]
			}
			row = []string{r.word, fmt.Sprintf("0x%02X", c[0]), strconv.Itoa(int(c[1]))}
		}
		want = append(want, row)
	}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("the table of reasons should begin\n%q\nnot\n%q", want, got)
	}
}

type reasonConstant struct{ name, word string }

// reasonConstants reads the constants of type Reason, in their order.
func reasonConstants(t *testing.T) (all []reasonConstant) {
	t.Helper()
	ast.Inspect(parseGo(t, "../reason.go"), func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, reasonConstant{spec.Names[0].Name, word})
		}
		return true
	})
	if len(all) == 0 {
		t.Fatal("reason.go has no reasons")
	}
	return all
}

// connackCodes reads connackOf of package hooks: for MQTT 5 and 3.1.1, by the
// names of reasons; "" is for all that it does not list.
func connackCodes(t *testing.T) map[string][2]byte {
	t.Helper()
	known := map[string]packets.Code{
		"ErrNotAuthorized": packets.ErrNotAuthorized, "ErrBanned": packets.ErrBanned,
		"ErrServerUnavailable": packets.ErrServerUnavailable, "ErrServerBusy": packets.ErrServerBusy,
		"ErrConnectionRateExceeded": packets.ErrConnectionRateExceeded, "ErrProtocolViolation": packets.ErrProtocolViolation,
		"ErrQuotaExceeded":           packets.ErrQuotaExceeded,
		"ErrBadAuthenticationMethod": packets.ErrBadAuthenticationMethod,
		"Err3NotAuthorized":          packets.Err3NotAuthorized, "Err3ServerUnavailable": packets.Err3ServerUnavailable,
	}
	pairs, codes := map[string][2]byte{}, map[string][2]byte{}
	selected := func(e ast.Expr) string { return e.(*ast.SelectorExpr).Sel.Name }
	ast.Inspect(parseGo(t, "../hooks/connack.go"), func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec: // name = connack{packets.X, packets.Y}
			var pair [2]byte
			for i, e := range n.Values[0].(*ast.CompositeLit).Elts {
				c, ok := known[selected(e)]
				if !ok {
					t.Fatalf("hooks/connack.go uses packets.%s, which this test does not know", selected(e))
				}
				pair[i] = c.Code
			}
			pairs[n.Names[0].Name] = pair
		case *ast.FuncDecl:
			if n.Name.Name != "connackOf" {
				return false
			}
			for _, s := range n.Body.List[0].(*ast.SwitchStmt).Body.List {
				clause := s.(*ast.CaseClause)
				for _, reason := range clause.List {
					codes[selected(reason)] = pairs[returned(clause.Body[0])]
				}
			}
			codes[""] = pairs[returned(n.Body.List[1])]
			return false
		}
		return true
	})
	if len(codes) < 2 {
		t.Fatal("hooks/connack.go has no connackOf that this test can read")
	}
	return codes
}

func returned(s ast.Stmt) string { return s.(*ast.ReturnStmt).Results[0].(*ast.Ident).Name }

func parseGo(t *testing.T, path string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestPagesLinks follows the links among the pages: to files, and to headings.
func TestPagesLinks(t *testing.T) {
	pages := []string{readme, "../SECURITY.md", "../CONTRIBUTING.md", "../CHANGELOG.md"}
	for _, pattern := range []string{"../docs/*.md", "../docs/decisions/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: no pages: %v", pattern, err)
		}
		pages = append(pages, found...)
	}
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, page := range pages {
		for _, m := range link.FindAllStringSubmatch(readFile(t, page), -1) {
			if strings.HasPrefix(m[1], "https://") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			} else if anchor != "" && !slices.Contains(anchors(readFile(t, target)), anchor) {
				t.Errorf("%s links to %s: no such heading", page, m[1])
			}
		}
	}
}

// anchors returns the headings of a page as its links name them.
func anchors(text string) (all []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(name, " ", "-"))
	}
	return all
}
