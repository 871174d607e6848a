package policy_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/policy"
)

const (
	vectors = "../testdata/policies"
	region  = "us-east-1"
	account = "123456789012"
)

var realm = policy.NewRealm(region, account)

// block is what the lines of a table have said so far since its last ===.
type block struct {
	name        string
	statements  [][]string // of each document
	variables   policy.Variables
	certificate certificate
}

var tables = []string{"verdicts.txt", "variables.txt", "conditions.txt"}

func TestVerdicts(t *testing.T) {
	for _, file := range tables {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(vectors, file))
			if err != nil {
				t.Fatal(err)
			}
			if n := runTable(t, string(text)); n < 50 {
				t.Errorf("only %d cases were run", n)
			}
		})
	}
}

// runTable runs each case as a subtest and returns how many there are.
func runTable(t *testing.T, text string) int {
	var b block
	cases := 0
	for i, line := range strings.Split(text, "\n") {
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || word == "#":
		case word == "===":
			b = block{name: rest, statements: make([][]string, 1)}
		case word == "document":
			b.statements = append(b.statements, nil)
		case word == "statement":
			last := len(b.statements) - 1
			b.statements[last] = append(b.statements[last], rest)
		case word == "allowed" || word == "explicit" || word == "implicit":
			cases++
			t.Run(fmt.Sprintf("%s/%s line %d", b.name, line, i+1), func(t *testing.T) {
				b.check(t, word, rest)
			})
		default:
			if err := b.set(word, rest); err != nil {
				t.Fatalf("line %d: %v", i+1, err)
			}
		}
	}
	return cases
}

// set reads a line about a variable.
func (b *block) set(word, rest string) error {
	v := &b.variables
	name, value, _ := strings.Cut(rest, " ")
	switch word {
	case "client":
		v.ClientID = unquote(rest)
	case "certificate":
		v.CertificateID = rest
	case "domain":
		v.DomainName = rest
	case "persistent":
		v.Connect.PersistentConnect = true
	case "will":
		v.Connect.LastWill, v.Connect.WillTopic = true, rest
	case "now":
		now, err := time.Parse(time.RFC3339, rest)
		v.Now = func() time.Time { return now }
		return err
	case "ip":
		v.SourceIP = rest
	case "thing":
		v.Thing = &muster.Thing{Name: name, Type: value, Attributes: map[string]string{}}
	case "attribute":
		v.Thing.Attributes[name] = value
	default:
		return b.certificate.set(word, name, unquote(value))
	}
	return nil
}

// documents returns the policies, and puts the certificate among the variables.
func (b *block) documents(t *testing.T) (docs []*policy.Document) {
	t.Helper()
	b.variables.Certificate = b.certificate.make(t)
	for _, statements := range b.statements {
		if len(statements) == 0 {
			continue
		}
		docs = append(docs, parse(t, strings.Join(statements, ",")))
	}
	return docs
}

func (b *block) check(t *testing.T, want, question string) {
	word, name, _ := strings.Cut(question, " ")
	action, ok := map[string]policy.Action{
		"connect": policy.Connect, "publish": policy.Publish, "retain": policy.RetainPublish,
		"subscribe": policy.Subscribe, "receive": policy.Receive,
	}[word]
	if !ok {
		t.Fatalf("unknown action %q", word)
	}
	docs := b.documents(t)
	got := realm.Bind(docs, b.variables).Evaluate(action, unquote(name))
	if !strings.HasPrefix(got.String(), want) {
		t.Errorf("got %v, want %s", got, want)
	}
	explained(t, docs, b.variables, action, unquote(name), got)
}

// explained demands that Explain says the same as Evaluate, and gives a reason.
func explained(t *testing.T, docs []*policy.Document, v policy.Variables, a policy.Action, name string, want policy.Verdict) {
	t.Helper()
	e := realm.Explain(docs, v, a, name)
	if e.Verdict != want {
		t.Errorf("Explain says %v, Evaluate says %v: %+v", e.Verdict, want, e)
	}
	if d := e.Decided(); (d != nil) != (want != policy.ImplicitDeny) || d != nil && d.Effect != want {
		t.Errorf("verdict %v was decided by %+v", want, d)
	}
	for _, o := range e.Statements {
		if (o.Role == policy.Silent) != (o.Nearness != policy.Fits) || o.Role == policy.Silent && o.Cause == "" {
			t.Errorf("no reason is given by %+v", o)
		}
	}
}

func TestParseErrors(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(vectors, "errors.txt"))
	if err != nil {
		t.Fatal(err)
	}
	_, blocks, _ := strings.Cut(string(text), "=== ")
	for one := range strings.SplitSeq(blocks, "\n=== ") {
		name, rest, _ := strings.Cut(one, "\n")
		doc, wants, ok := strings.Cut("\n"+rest, "\n--- ")
		if !ok {
			t.Fatalf("%s: no expected error", name)
		}
		t.Run(name, func(t *testing.T) {
			_, err := policy.Parse([]byte(strings.TrimPrefix(doc, "\n")))
			if !errors.Is(err, muster.ErrMalformedPolicy) {
				t.Fatalf("error %v does not wrap ErrMalformedPolicy", err)
			}
			for want := range strings.SplitSeq(strings.TrimSpace(wants), "\n--- ") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not contain %q", err, want)
				}
			}
		})
	}
}

// parse reads a document of these statements.
func parse(t testing.TB, statements string) *policy.Document {
	t.Helper()
	d, err := policy.Parse(document(statements))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func document(statements string) []byte {
	return []byte(`{"Version":"2012-10-17","Statement":[` + statements + `]}`)
}

func unquote(s string) string {
	if unquoted, err := strconv.Unquote(s); err == nil {
		return unquoted
	}
	return s
}

// statementsOf returns the statements of every table, as seeds.
func statementsOf(t testing.TB) []string {
	t.Helper()
	var statements []string
	for _, file := range tables {
		text, err := os.ReadFile(filepath.Join(vectors, file))
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			if s, ok := strings.CutPrefix(lines.Text(), "statement "); ok {
				statements = append(statements, s)
			}
		}
	}
	return statements
}
