package awsiot_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster/api/awsiot"
)

const unreachedFile = "../../testdata/awsiot/unreached.txt"

// outside are the codes that AWS's services answer before they know of an
// operation, so that no model has them.
var outside = []string{"SerializationException", "UnknownOperationException", "InvalidSignatureException",
	"AccessDeniedException", "RequestEntityTooLargeException"}

// shown is an answer that a file of testdata/awsiot has.
type shown struct{ operation, code string } // code "" is success

// readGolden returns what the golden files have, and holds each error to what
// the model gives the operation.
func readGolden(t *testing.T, model map[string]modelled) map[shown]bool {
	t.Helper()
	w := newWalk(t)
	dialect, err := awsiot.New(awsiot.Config{Store: w.server.store, Region: region})
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../testdata/awsiot/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	answers := make(map[shown]bool)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range answersOf(t, dialect, string(content)) {
			answers[a] = true
			if a.operation != "" && a.code != "" && !slices.Contains(outside, a.code) && !model[a.operation].gives(a.code) {
				t.Errorf("%s: %s answers %s, which AWS's model does not give it", file, a.operation, a.code)
			}
		}
	}
	return answers
}

// answersOf reads a golden file, whose form TestGolden describes.
func answersOf(t *testing.T, dialect *awsiot.Dialect, content string) (all []shown) {
	t.Helper()
	operation, sent, answered := "", false, false
	for line := range strings.Lines(content) {
		line = strings.TrimSuffix(line, "\n")
		by, request, isRequest := strings.Cut(line, "> ")
		isRequest = isRequest && strings.Trim(by, ">") == ""
		answer, isAnswer := strings.CutPrefix(line, "< ")
		switch {
		case isRequest && !sent:
			method, target, _ := strings.Cut(request, " ")
			r := httptest.NewRequestWithContext(t.Context(), method, "https://localhost"+target, http.NoBody)
			operation, sent, answered = dialect.Operation(r), true, false
		case isAnswer && !answered:
			_, code, _ := strings.Cut(answer, " ")
			all = append(all, shown{operation, code})
			answered = true
		case !isRequest && !isAnswer:
			sent = false
		}
	}
	return all
}

// readErrors returns the errors that errors.txt has.
func readErrors(t *testing.T) map[shown]bool {
	t.Helper()
	content, err := os.ReadFile(errorsFile)
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := parseErrors(string(content))
	if err != nil {
		t.Fatal(err)
	}
	answers := make(map[shown]bool)
	for _, b := range blocks {
		for _, s := range b.steps {
			if s.call.fault != nil {
				answers[shown{s.call.operation, s.call.fault.code}] = true
			}
		}
	}
	return answers
}

// readUnreached returns the errors that cannot happen, by operation or, under *,
// everywhere. Each must have its reason.
func readUnreached(t *testing.T) map[shown]bool {
	t.Helper()
	content, err := os.ReadFile(unreachedFile)
	if err != nil {
		t.Fatal(err)
	}
	unreached := make(map[shown]bool)
	for line := range strings.Lines(string(content)) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if len(words) < 5 {
			t.Errorf("%s: no reason in %q", unreachedFile, line)
			continue
		}
		for operation := range strings.SplitSeq(words[0], ",") {
			unreached[shown{operation, words[1] + "Exception"}] = true
		}
	}
	return unreached
}

// TestCoverage: the files show each operation succeed, and each error that the
// model gives it, unless that cannot happen here and it is written down why.
func TestCoverage(t *testing.T) {
	model := readModel(t)
	golden, told, unreached := readGolden(t, model), readErrors(t), readUnreached(t)
	used := make(map[shown]bool)
	for _, name := range awsiot.Implemented() {
		if !golden[shown{name, ""}] {
			t.Errorf("no golden file has %s succeed", name)
		}
		for _, code := range model[name].errors {
			at, everywhere := shown{name, code + "Exception"}, shown{"*", code + "Exception"}
			reached := golden[at] || told[at]
			used[at], used[everywhere] = !reached, true
			switch {
			case !reached && !unreached[at] && !unreached[everywhere]:
				t.Errorf("nothing shows %s answer %s, and %s does not say why", name, at.code, unreachedFile)
			case reached && unreached[at]:
				t.Errorf("%s says that %s cannot answer %s, and it does", unreachedFile, name, at.code)
			}
		}
	}
	for u := range unreached {
		if !used[u] {
			t.Errorf("%s: %s cannot answer %s anyway", unreachedFile, u.operation, u.code)
		}
	}
}
