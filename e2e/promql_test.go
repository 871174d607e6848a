package e2e_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// selection is what an expression of PromQL asks of one metric.
type selection struct {
	metric   string
	matchers []matcher
}

type matcher struct{ label, operator, value string }

// query is what an expression of PromQL names. It is read token by token, and no
// more is understood than which names are metrics and which are labels: that it
// means something is for Prometheus to say.
type query struct {
	selections []selection
	labels     []string // that it groups by
}

var (
	tokens = regexp.MustCompile(`^(?:\s+|"(?:[^"\\]|\\.)*"|[a-zA-Z_:][a-zA-Z0-9_:]*|[0-9][0-9a-zA-Z.]*|\$__[a-z_]+|=~|!~|!=|==|<=|>=|[-+*/%^<>=(){}\[\],:@])`)
	word   = regexp.MustCompile(`^[a-zA-Z_:]`)
)

var keywords = []string{"and", "or", "unless", "bool", "offset"}

var groupings = []string{"by", "without", "on", "ignoring", "group_left", "group_right"}

var functions = []string{
	"sum", "min", "max", "avg", "count", "topk", "rate", "increase", "changes", "predict_linear", "histogram_quantile",
	"time", "vector", "clamp_min",
}

func tokenize(text string) ([]string, error) {
	var found []string
	for rest := text; rest != ""; {
		token := tokens.FindString(rest)
		if token == "" {
			return nil, fmt.Errorf("%q: not understood from %q on", text, rest)
		}
		rest = rest[len(token):]
		if strings.TrimSpace(token) != "" {
			found = append(found, token)
		}
	}
	return found, nil
}

// parseQuery reads an expression.
func parseQuery(text string) (q query, err error) {
	all, err := tokenize(text)
	if err != nil {
		return q, err
	}
	for i := 0; i < len(all); i++ {
		next := ""
		if i+1 < len(all) {
			next = all[i+1]
		}
		switch name := all[i]; {
		case !word.MatchString(name), slices.Contains(keywords, name):
		case slices.Contains(groupings, name):
			for i++; i < len(all) && all[i] != ")"; i++ {
				if word.MatchString(all[i]) {
					q.labels = append(q.labels, all[i])
				}
			}
		case slices.Contains(functions, name) && (next == "(" || slices.Contains(groupings, next)):
		case next == "(":
			return q, fmt.Errorf("%q: unknown function %s", text, name)
		default:
			s := selection{metric: name}
			if next == "{" {
				if s.matchers, i, err = parseMatchers(all, i+2); err != nil {
					return q, fmt.Errorf("%q: %w", text, err)
				}
			}
			q.selections = append(q.selections, s)
		}
	}
	return q, nil
}

// parseMatchers reads matchers up to the closing brace, whose place it returns.
func parseMatchers(all []string, i int) (found []matcher, end int, err error) {
	for ; i+2 < len(all) && all[i] != "}"; i += 3 {
		if all[i] == "," {
			i++
		}
		if i+2 >= len(all) || !word.MatchString(all[i]) || !strings.HasPrefix(all[i+2], `"`) {
			break
		}
		found = append(found, matcher{all[i], all[i+1], strings.Trim(all[i+2], `"`)})
	}
	if i >= len(all) || all[i] != "}" {
		return nil, i, fmt.Errorf("matchers without an end after %v", found)
	}
	return found, i, nil
}

// series are the metrics of a scrape, with their labels and the values of those.
type series map[string]map[string][]string

var sample = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? \S+$`)

var label = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)

func readScrape(t *testing.T, text string) series {
	t.Helper()
	found := series{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		m := sample.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			t.Fatalf("the scrape has the line %q", line)
		}
		if found[m[1]] == nil {
			found[m[1]] = map[string][]string{}
		}
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			found[m[1]][l[1]] = append(found[m[1]][l[1]], l[2])
		}
	}
	return found
}

// targetLabels are what Prometheus adds to each series.
var targetLabels = []string{"job", "instance"}

// missing returns what an expression names and a scrape does not have.
func (s series) missing(q query) (found []string) {
	grouped := slices.Clone(targetLabels)
	for _, one := range q.selections {
		labels, ok := s[one.metric]
		if !ok && one.metric != "up" { // Prometheus makes that one
			found = append(found, "the metric "+one.metric)
			continue
		}
		grouped = slices.AppendSeq(grouped, maps.Keys(labels))
		for _, m := range one.matchers {
			if slices.Contains(targetLabels, m.label) {
				continue
			}
			if !m.some(labels[m.label]) {
				found = append(found, fmt.Sprintf("%s{%s%s%q}", one.metric, m.label, m.operator, m.value))
			}
		}
	}
	for _, name := range q.labels {
		if !slices.Contains(grouped, name) {
			found = append(found, "the label "+name)
		}
	}
	return found
}

// some says whether each alternative that is matched, or left out, is a value
// that there is.
func (m matcher) some(values []string) bool {
	alternatives := []string{m.value}
	if strings.HasSuffix(m.operator, "~") {
		alternatives = strings.Split(m.value, "|")
	}
	for _, want := range alternatives {
		form, err := regexp.Compile("^(?:" + want + ")$")
		if err != nil || !slices.ContainsFunc(values, form.MatchString) {
			return false
		}
	}
	return true
}

func TestParseQuery(t *testing.T) {
	have := readScrape(t, `# HELP a_total help
a_total{reason="x"} 1
a_total{reason="y"} 2
b_bucket{le="+Inf"} 1
c 3
`)
	for expression, want := range map[string]string{
		`a_total`:                           "",
		`up{job="muster"} == 0`:             "",
		`rate(a_total{reason="x"}[5m]) > 1`: "",
		`sum by (reason, instance) (rate(a_total{job=~"$job", reason=~"x|y"}[$__rate_interval])) or vector(0)`: "",
		`histogram_quantile(0.99, sum by (le) (rate(b_bucket[5m])))`:                                           "",
		`c / on (job) group_left () a_total`:                                                                   "",
		`d`:                                                                                                    "the metric d",
		`rate(d_total[5m])`:                                                                                    "the metric d_total",
		`a_total{reason="z"}`:                                                                                  `a_total{reason="z"}`,
		`a_total{reason=~"x|z"}`:                                                                               `a_total{reason=~"x|z"}`,
		`a_total{reason!="z"}`:                                                                                 `a_total{reason!="z"}`,
		`a_total{cause="x"}`:                                                                                   `a_total{cause="x"}`,
		`sum by (cause) (a_total)`:                                                                             "the label cause",
		`sum without (reason) (c) + a_total`:                                                                   "",
		`predict(c[6h], 3600)`:                                                                                 "unknown function",
		`a_total{reason="x"`:                                                                                   "without an end",
		`a_total ; c`:                                                                                          "not understood",
	} {
		q, err := parseQuery(expression)
		got := strings.Join(have.missing(q), ", ")
		if err != nil {
			got = err.Error()
		}
		if got != want && (err == nil || want == "" || !strings.Contains(got, want)) {
			t.Errorf("%s: %q, want %q", expression, got, want)
		}
	}
}
