package provisioning_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster/provisioning"
)

// TestFindings lints the cases of findings.txt, which explains its own form.
func TestFindings(t *testing.T) {
	for _, b := range blocks(t, "findings.txt") {
		t.Run(b.name, func(t *testing.T) {
			var got []string
			for _, f := range provisioning.Lint([]byte(b.template)) {
				got = append(got, fmt.Sprintf("%s %s (line %d): %s; %s", f.Severity, f.Path, f.Line, f.Problem, f.Mend))
			}
			if !slices.Equal(got, b.says) {
				t.Errorf("got\n! %s\nwant\n! %s", strings.Join(got, "\n! "), strings.Join(b.says, "\n! "))
			}
		})
	}
}

// TestFindingsAreBounded lints a text of nothing but faults.
func TestFindingsAreBounded(t *testing.T) {
	var body strings.Builder
	body.WriteString(`{"Resources": {`)
	for i := range 900 {
		fmt.Fprintf(&body, `"%d":{},`, i)
	}
	body.WriteString(`"x": "${!a}"}}`)
	if n := len(provisioning.Lint([]byte(body.String()))); n != 102 {
		t.Errorf("%d findings, want a hundred errors and two warnings", n)
	}
}

// agrees demands that Parse refuses a text exactly for the first error of Lint.
func agrees(t *testing.T, body []byte) {
	t.Helper()
	findings := provisioning.Lint(body)
	first := slices.IndexFunc(findings, func(f provisioning.Finding) bool { return f.Severity == provisioning.SeverityError })
	for _, f := range findings {
		if f.Path == "" || f.Line < 1 || f.Problem == "" || f.Mend == "" {
			t.Errorf("a finding that says too little: %+v", f)
		}
	}
	_, err := provisioning.Parse(body)
	switch {
	case (err == nil) != (first < 0):
		t.Errorf("Parse says %v, Lint %+v", err, findings)
	case err != nil:
		f := findings[first]
		wantError(t, err, fmt.Sprintf("%s (line %d): %s; %s", f.Path, f.Line, f.Problem, f.Mend))
	}
}

func TestLintAgreesWithParse(t *testing.T) {
	for _, file := range []string{"refused.txt", "findings.txt"} {
		for _, b := range blocks(t, file) {
			t.Run(b.name, func(t *testing.T) { agrees(t, []byte(b.template)) })
		}
	}
}
