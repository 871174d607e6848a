package muster_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/muster-mqtt/muster"

// Modules that packages may import, besides the standard library.
const (
	awsSigner  = "github.com/aws/aws-sdk-go-v2/aws"
	badger     = "github.com/dgraph-io/badger/v4"
	cbor       = "github.com/fxamacker/cbor/v2"
	cobra      = "github.com/spf13/cobra"
	cyclonedx  = "github.com/CycloneDX/cyclonedx-go"
	gorilla    = "github.com/gorilla/websocket"
	mochi      = "github.com/mochi-mqtt/server/v2"
	paho       = "github.com/eclipse/paho.golang"
	prometheus = "github.com/prometheus/client_golang"
	systemd    = "github.com/coreos/go-systemd/v22/daemon"
	xcrypto    = "golang.org/x/crypto/ocsp"
	xsync      = "golang.org/x/sync"
	xtime      = "golang.org/x/time"
	yaml       = "go.yaml.in/yaml/v3"
	zerolog    = "github.com/rs/zerolog"
)

// imports is what a package may import: packages of ours, by their folders, "."
// for the root, and modules of others.
type imports struct{ ours, others []string }

// allowed is the architecture as a table. Whoever needs another line adds it in
// a commit of its own that says why.
func allowed() map[string]imports {
	return map[string]imports{
		// Words and pure rules.
		".":            {},
		"policy":       {ours: []string{"."}},
		"provisioning": {ours: []string{".", "policy"}},

		// What is kept. The engines know no entity.
		"registry":              {[]string{".", "policy", "provisioning"}, []string{xsync}},
		"registry/badgerdb":     {[]string{"registry", "internal/unfinished"}, []string{badger}},
		"registry/memory":       {ours: []string{"registry"}},
		"registry/registrytest": {ours: []string{".", "registry"}},

		// Who is let in. broker and hooks never meet: the program joins them.
		"ocsp":           {[]string{"."}, []string{xcrypto, xsync, xtime, zerolog}},
		"ocsp/responder": {[]string{"."}, []string{xcrypto, xsync, xtime, zerolog}},
		"admission":      {[]string{".", "provisioning", "internal/pace"}, []string{xtime, zerolog}},
		"hooks":          {[]string{".", "admission", "policy"}, []string{mochi, zerolog}},
		"broker":         {[]string{".", "admission", "internal/pace"}, []string{gorilla, mochi, xtime, zerolog}},

		// Devices that provision themselves. It asks the registry by an interface of
		// its own; the program joins it to hooks.
		"fleet": {[]string{".", "provisioning"}, []string{cbor, zerolog}},

		// What outlives a connection, and who is told of events.
		"sessions": {[]string{".", "internal/unfinished"}, []string{badger, mochi, zerolog}},
		"webhook":  {[]string{"."}, []string{zerolog}},

		// The control planes. A dialect knows api, which knows no dialect.
		"api":        {[]string{".", "registry", "policy", "provisioning"}, []string{zerolog}},
		"api/sigv4":  {ours: []string{"."}},
		"api/awsiot": {[]string{".", "registry", "policy", "provisioning", "api", "api/sigv4", "internal/pace"}, []string{zerolog}},
		"api/admin":  {[]string{".", "registry", "policy", "provisioning", "admission", "api"}, []string{zerolog}},

		// What stands by itself.
		"config":           {others: []string{yaml}},
		"internal/metrics": {[]string{"."}, []string{prometheus}},
		"internal/mint":    {ours: []string{"."}},
		"internal/pace":    {},
		"internal/release": {others: []string{cyclonedx}},
		"internal/testpki": {[]string{".", "internal/mint"}, []string{xcrypto}},

		"internal/unfinished": {},

		// The program knows everyone but the helpers of tests. Its demo meets the
		// server as devices and operators do: by an MQTT client, and by requests
		// that it signs.
		"cmd/muster": {
			[]string{
				".", "policy", "provisioning", "registry", "registry/badgerdb", "ocsp", "ocsp/responder",
				"admission", "hooks", "broker", "api", "api/sigv4", "api/awsiot", "api/admin", "config", "fleet",
				"internal/metrics", "internal/mint", "sessions", "webhook",
			},
			[]string{awsSigner, cobra, mochi, paho, systemd, xsync, xtime, zerolog},
		},

		// Tests of the program; the package itself is empty.
		"e2e": {},
	}
}

// listed is what go list says about a package.
type listed struct {
	ImportPath string
	Imports    []string
}

// violations names every import that the table does not allow, and every
// package that is not in it.
func violations(table map[string]imports, packages []listed) []string {
	var found []string
	for _, p := range packages {
		name := folder(p.ImportPath)
		may, ok := table[name]
		if !ok {
			found = append(found, name+": not in the table")
			continue
		}
		for _, path := range p.Imports {
			if !may.allow(path) {
				found = append(found, fmt.Sprintf("%s: may not import %s", name, path))
			}
		}
	}
	return found
}

func (may imports) allow(path string) bool {
	if name := folder(path); name != path {
		return slices.Contains(may.ours, name)
	}
	if path == "C" {
		return false // the program is built without cgo
	}
	if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
		return true // the standard library
	}
	return slices.ContainsFunc(may.others, func(prefix string) bool {
		return path == prefix || strings.HasPrefix(path, prefix+"/")
	})
}

// folder turns the import path of a package of ours into its folder, and
// returns other paths as they are.
func folder(path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

func TestImports(t *testing.T) {
	var stderr bytes.Buffer
	list := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...")
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if !slices.ContainsFunc(packages, func(p listed) bool { return p.ImportPath == module }) {
		t.Fatalf("go list does not know the root package: %s", out)
	}
	for _, v := range violations(allowed(), packages) {
		t.Error(v)
	}
}

func TestViolations(t *testing.T) {
	table := map[string]imports{
		".":     {},
		"inner": {[]string{"."}, []string{"example.com/lib"}},
	}
	got := violations(table, []listed{
		{module, []string{"context", "C", module + "/inner"}},
		{module + "/inner", []string{module, "net/http", "example.com/lib", "example.com/lib/sub", "example.com/library"}},
		{module + "/new", nil},
	})
	want := []string{
		".: may not import C",
		".: may not import " + module + "/inner",
		"inner: may not import example.com/library",
		"new: not in the table",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestTableHasNoCycle holds that the table itself could be built.
func TestTableHasNoCycle(t *testing.T) {
	table := allowed()
	var visit func(name string, path []string)
	visit = func(name string, path []string) {
		if slices.Contains(path, name) {
			t.Errorf("cycle: %s", strings.Join(append(path, name), " imports "))
			return
		}
		if _, ok := table[name]; !ok {
			t.Errorf("%s: allowed, but not in the table", name)
		}
		for _, next := range table[name].ours {
			visit(next, append(path[:len(path):len(path)], name))
		}
	}
	for name := range table {
		visit(name, nil)
	}
}
