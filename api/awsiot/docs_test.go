package awsiot_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster/api/awsiot"
)

// TestOperationsPage holds the tables of docs/awsiot.md to the operations that
// there are, to those that are refused, and to those that AWS has.
func TestOperationsPage(t *testing.T) {
	content, err := os.ReadFile("../../docs/awsiot.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tables, _ := strings.Cut(string(content), "\n## Operations\n")
	implemented, refused, _ := strings.Cut(tables, "\n## Refused\n")
	first := regexp.MustCompile("(?m)^\\| `(\\w+)` \\|")
	var have, lack []string
	for _, m := range first.FindAllStringSubmatch(implemented, -1) {
		have = append(have, m[1])
	}
	if want := awsiot.Implemented(); !slices.Equal(have, want) {
		t.Errorf("the page has %q\nthe program %q", have, want)
	}
	for line := range strings.Lines(refused) {
		cells := strings.Split(line, " | ")
		if len(cells) != 2 || !strings.Contains(cells[1], "`") {
			continue
		}
		instead := strings.TrimPrefix(cells[0], "| ")
		for _, m := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(cells[1], -1) {
			lack = append(lack, m[1])
			if got := awsiot.Instead(m[1]); !strings.EqualFold(got, instead) {
				t.Errorf("%s is refused with %q, the page says %q", m[1], got, instead)
			}
		}
	}
	slices.Sort(lack)
	var want []string
	for _, m := range sdkModel(t) {
		if !slices.Contains(have, m.name) {
			want = append(want, m.name)
		}
	}
	if !slices.Equal(lack, want) {
		t.Errorf("the page refuses %q\nAWS has besides what it lists %q", lack, want)
	}
}
