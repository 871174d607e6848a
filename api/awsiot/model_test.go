package awsiot_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	modelFile = "../../testdata/awsiot/model.txt"
	sdkModule = "github.com/aws/aws-sdk-go-v2/service/iot"
)

// modelled is what AWS's model says of an operation.
type modelled struct {
	name, method, path string
	errors             []string // codes without the Exception at their ends, sorted
}

func (m modelled) String() string {
	return strings.Join(append([]string{m.name, m.method, m.path}, m.errors...), " ")
}

// gives reports whether the operation may answer this code.
func (m modelled) gives(code string) bool {
	return slices.Contains(m.errors, strings.TrimSuffix(code, "Exception"))
}

var (
	serialized   = regexp.MustCompile(`(?s)func \(m \*awsRestjson1_serializeOp(\w+)\) HandleSerialize\(.*?SplitURI\("([^"?]+)[^"]*"\).*?request\.Method = "(\w+)"`)
	deserialized = regexp.MustCompile(`(?ms)^func awsRestjson1_deserializeOpError(\w+)\(.*?^}`)
	errorCase    = regexp.MustCompile(`strings\.EqualFold\("(\w+)Exception", errorCode\)`)
)

// sdkModel reads the model out of the source of the SDK, in the order of names.
func sdkModel(t *testing.T) []modelled {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", sdkModule).Output()
	if err != nil {
		t.Fatalf("go list -m %s: %v", sdkModule, err)
	}
	source := func(name string) string {
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	all := make(map[string]*modelled)
	for _, m := range serialized.FindAllStringSubmatch(source("serializers.go"), -1) {
		all[m[1]] = &modelled{name: m[1], method: m[3], path: m[2]}
	}
	for _, m := range deserialized.FindAllStringSubmatch(source("deserializers.go"), -1) {
		for _, code := range errorCase.FindAllStringSubmatch(m[0], -1) {
			all[m[1]].errors = append(all[m[1]].errors, code[1])
		}
	}
	var model []modelled
	for _, name := range slices.Sorted(maps.Keys(all)) {
		slices.Sort(all[name].errors)
		model = append(model, *all[name])
	}
	return model
}

// readModel reads testdata/awsiot/model.txt, which TestModel holds to the SDK.
func readModel(t *testing.T) map[string]modelled {
	t.Helper()
	content, err := os.ReadFile(modelFile)
	if err != nil {
		t.Fatal(err)
	}
	model := make(map[string]modelled)
	for line := range strings.Lines(string(content)) {
		if words := strings.Fields(line); len(words) > 3 && words[0] != "#" {
			model[words[0]] = modelled{words[0], words[1], words[2], words[3:]}
		}
	}
	return model
}

// TestModel holds the file to the SDK that go.mod names; -update writes it.
func TestModel(t *testing.T) {
	var want strings.Builder
	want.WriteString("# Every operation that AWS IoT's control plane has, as the AWS SDK for Go knows it:\n" +
		"# name, method, path, and the errors that it may answer, without Exception at\n" +
		"# their ends. Written by go test ./api/awsiot -run TestModel -update.\n")
	for _, m := range sdkModel(t) {
		fmt.Fprintln(&want, m)
	}
	if *update {
		if err := os.WriteFile(modelFile, []byte(want.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(modelFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want.String() {
		t.Errorf("%s is not what the SDK of go.mod has; -update writes it", modelFile)
	}
}
