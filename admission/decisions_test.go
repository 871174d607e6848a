package admission_test

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
)

const decisionsFile = "../testdata/decisions.txt"

type row struct {
	line  int
	name  string
	facts admission.Facts
	want  string
}

// readDecisions reads the table. Its grammar stands at the head of the file.
func readDecisions(t *testing.T) []row {
	t.Helper()
	f, err := os.Open(decisionsFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []row
	for n, in := 1, bufio.NewScanner(f); in.Scan(); n++ {
		text := in.Text()
		if text == "" || text[0] == '#' {
			continue
		}
		cells := strings.Split(text, "|")
		if len(cells) != 3 {
			t.Fatalf("%s:%d: want three cells, got %d", decisionsFile, n, len(cells))
		}
		facts, err := parseFacts(strings.Fields(cells[1]))
		if err != nil {
			t.Fatalf("%s:%d: %v", decisionsFile, n, err)
		}
		rows = append(rows, row{n, strings.TrimSpace(cells[0]), facts, strings.TrimSpace(cells[2])})
	}
	if len(rows) < 100 {
		t.Fatalf("%s has %d rows", decisionsFile, len(rows))
	}
	return rows
}

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func parseFacts(words []string) (admission.Facts, error) {
	const skew = 5 * time.Minute
	f := admission.Facts{
		Now: now, Skew: skew, Account: "123456789012",
		Leaf: admission.LeafFacts{NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)},
		OCSP: admission.OCSPFacts{IssuerHeld: true},
	}
	withAuthority := true
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "leaf":
			f.Leaf.IsCA = value == "ca"
			f.Leaf.NoClientAuth = value == "no_client_auth"
			if value == "weak" {
				f.Leaf.Weakness = "its RSA key has 1024 bits"
			}
		case "time":
			switch value {
			case "early":
				f.Leaf.NotBefore = now.Add(skew + time.Second)
			case "late":
				f.Leaf.NotAfter = now.Add(-skew - time.Second)
			case "skewed":
				f.Leaf.NotBefore = now.Add(skew - time.Second)
			}
		case "ambiguous":
			f.Account, f.Ambiguous = "", []string{"111111111111", "222222222222"}
		case "tombstone":
			f.Tombstone = muster.TombstoneKind(value)
		case "record":
			f.Record.Status = muster.Status(value)
		case "offered":
			f.Record.Offered = true
		case "expires":
			f.Record.Expires = map[string]time.Time{"past": now, "future": now.Add(time.Second)}[value]
		case "no_authority":
			withAuthority = false
		case "authority":
			f.Authority.State = admission.AuthorityState(value)
		case "auto":
			f.Authority.AutoRegistration = true
		case "template":
			f.Authority.Template = true
		case "expected":
			f.Expected = true
		case "failed":
			f.ProvisioningFailure = "Country is missing"
		case "quota":
			f.Authority.Pending, f.Authority.PendingCap = 10, 10
		case "ocsp":
			f.OCSP.Mode = muster.OCSPMode(value)
		case "no_issuer":
			f.OCSP.IssuerHeld = false
		case "answer":
			f.OCSP.Answer = admission.AnswerStatus(value)
		default:
			return f, fmt.Errorf("unknown word %q", w)
		}
	}
	if f.Record.Status != "" && withAuthority {
		f.Record.AuthorityID = "ca"
	}
	return f, nil
}

func TestDecisions(t *testing.T) {
	names := map[string]int{}
	for _, r := range readDecisions(t) {
		if other, ok := names[r.name]; ok {
			t.Errorf("%s:%d: the name %q is that of line %d", decisionsFile, r.line, r.name, other)
		}
		names[r.name] = r.line
		t.Run(r.name, func(t *testing.T) {
			d := admission.Decide(r.facts)
			got := strings.TrimSpace(fmt.Sprintf("%d %s %s", d.Rule, d.Verdict, d.Reason))
			if got != r.want {
				t.Errorf("%s:%d: got %q, want %q", decisionsFile, r.line, got, r.want)
			}
			if d.Verdict == admission.Refuse && d.Detail == "" {
				t.Errorf("%s:%d: a refusal without a detail", decisionsFile, r.line)
			}
		})
	}
}

// TestDecisionsCoverThePairs holds the table to the rules: for any two rules
// that can speak about the same facts there is a row in which both do, so that
// no order can change unnoticed.
func TestDecisionsCoverThePairs(t *testing.T) {
	covered := map[[2]int]bool{}
	decides := map[int]bool{}
	for _, r := range readDecisions(t) {
		first := true
		speaking := speakers(r.facts)
		for i, a := range speaking {
			if first {
				decides[a] = true
				first = false
			}
			for _, b := range speaking[i+1:] {
				covered[[2]int{a, b}] = true
			}
		}
	}
	possible := map[[2]int]bool{}
	everyFacts(func(words []string) {
		f, err := parseFacts(words)
		if err != nil {
			t.Fatal(err)
		}
		speaking := speakers(f)
		for i, a := range speaking {
			for _, b := range speaking[i+1:] {
				possible[[2]int{a, b}] = true
			}
		}
	})
	for pair := range possible {
		if !covered[pair] {
			t.Errorf("no row of %s has rules %d and %d both speaking", decisionsFile, pair[0], pair[1])
		}
	}
	for rule := 1; rule <= 16; rule++ {
		if !decides[rule] {
			t.Errorf("no row of %s is decided by rule %d", decisionsFile, rule)
		}
	}
	if len(possible) < 50 {
		t.Errorf("only %d pairs of rules can meet", len(possible))
	}
}

func speakers(f admission.Facts) []int {
	var rules []int
	for _, l := range admission.Explain(f) {
		if l.Says != "silent" {
			rules = append(rules, l.Rule)
		}
	}
	return rules
}

func everyFacts(visit func(words []string)) {
	dimensions := [][]string{
		{"", "leaf=weak"}, {"", "time=late"}, {"", "ambiguous"}, {"", "tombstone=deleted"},
		{"", "record=ACTIVE", "record=INACTIVE", "record=PENDING_ACTIVATION"}, {"", "no_authority"},
		{"", "authority=usable", "authority=inactive"}, {"", "auto"}, {"", "template"}, {"", "failed"}, {"", "quota"},
		{"", "ocsp=soft", "ocsp=hard"}, {"answer=good", "answer=revoked", "answer=unavailable"},
	}
	var words []string
	var walk func(i int)
	walk = func(i int) {
		if i == len(dimensions) {
			visit(words)
			return
		}
		for _, w := range dimensions[i] {
			n := len(words)
			if w != "" {
				words = append(words, w)
			}
			walk(i + 1)
			words = words[:n]
		}
	}
	walk(0)
}

// TestExplainAgrees holds the explanation to the decision.
func TestExplainAgrees(t *testing.T) {
	for _, r := range readDecisions(t) {
		d := admission.Decide(r.facts)
		var deciding []admission.Line
		for _, l := range admission.Explain(r.facts) {
			if l.Saw == "" || l.Name == "" {
				t.Errorf("%s: rule %d says nothing of what it saw", r.name, l.Rule)
			}
			if l.Says == "refuse" && l.Mend == "" {
				t.Errorf("%s: rule %d refuses without a mend", r.name, l.Rule)
			}
			if l.Decides {
				deciding = append(deciding, l)
			}
		}
		if len(deciding) != 1 || deciding[0].Rule != d.Rule || deciding[0].Reason != d.Reason || deciding[0].Says != d.Verdict.String() {
			t.Errorf("%s: decided by %+v, explained as %+v", r.name, d, deciding)
		}
	}
}

func TestZeroFactsAreRefused(t *testing.T) {
	if d := admission.Decide(admission.Facts{}); d.Verdict != admission.Refuse {
		t.Errorf("zero facts: %+v", d)
	}
	if (admission.Decision{}).Verdict != admission.Refuse {
		t.Error("the zero decision does not refuse")
	}
}
