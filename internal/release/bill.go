package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// purl names a module as a package URL.
func purl(path, version string) string { return fmt.Sprintf("pkg:golang/%s@%s", path, version) }

// bill is the program's bill of materials: what the linker recorded of it, so
// that nothing is in it that is not in the program.
func (b *build) bill() ([]byte, error) {
	root := cdx.Component{
		BOMRef: purl(b.info.Main.Path, b.version), Type: cdx.ComponentTypeApplication, Name: "muster", Version: b.version,
		PackageURL: purl(b.info.Main.Path, b.version),
		Licenses:   &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
	}
	components := []cdx.Component{{
		BOMRef: purl("std", b.info.GoVersion), Type: cdx.ComponentTypeLibrary, Name: "std",
		Version: b.info.GoVersion, PackageURL: purl("std", strings.TrimPrefix(b.info.GoVersion, "go")),
	}}
	for _, m := range b.modules() {
		c := cdx.Component{
			BOMRef: purl(m.Path, m.Version), Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version,
			PackageURL: purl(m.Path, m.Version),
		}
		// The checksum of the module's files, as in go.sum; it is none of an archive.
		c.Properties = &[]cdx.Property{{Name: "go.sum", Value: m.Sum}}
		components = append(components, c)
	}
	needs := make([]string, len(components))
	for i, c := range components {
		needs[i] = c.BOMRef
	}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Timestamp: b.time.UTC().Format(time.RFC3339), Component: &root}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: root.BOMRef, Dependencies: &needs}}
	var out bytes.Buffer
	err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
	return out.Bytes(), err
}

// modules returns the modules in the program, replacements in place of what
// they replace.
func (b *build) modules() []*debug.Module {
	var list []*debug.Module
	for _, m := range b.info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		list = append(list, m)
	}
	return list
}

// licenceFile admits the names under which projects keep their terms.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|edl|epl)([-._].*)?$`)

// licences returns the terms of every module in the program, which their
// authors want handed on with it.
func (b *build) licences() ([]file, error) {
	folders, err := moduleFolders()
	if err != nil {
		return nil, err
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	terms, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "LICENSE"))
	if err != nil {
		return nil, fmt.Errorf("the licence of Go: %w", err)
	}
	files := []file{{"licences/go/LICENSE", terms, 0o644}}
	for _, m := range b.modules() {
		folder, ok := folders[m.Path+"@"+m.Version]
		if !ok {
			return nil, fmt.Errorf("module %s %s: not in the module cache; run go mod download", m.Path, m.Version)
		}
		entries, err := os.ReadDir(folder)
		if err != nil {
			return nil, err
		}
		found := 0
		for _, e := range entries {
			if e.IsDir() || !licenceFile.MatchString(e.Name()) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(folder, e.Name()))
			if err != nil {
				return nil, err
			}
			files = append(files, file{"licences/" + m.Path + "/" + e.Name(), text, 0o644})
			found++
		}
		if found == 0 {
			return nil, fmt.Errorf("module %s %s: it comes with no licence; do not hand it on", m.Path, m.Version)
		}
	}
	return files, nil
}

// moduleFolders maps path@version to where the Go tool keeps a module.
func moduleFolders() (map[string]string, error) {
	text, err := exec.Command("go", "list", "-m", "-json", "all").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	folders := map[string]string{}
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var m struct{ Path, Version, Dir string }
		switch err := d.Decode(&m); {
		case errors.Is(err, io.EOF):
			return folders, nil
		case err != nil:
			return nil, err
		}
		folders[m.Path+"@"+m.Version] = m.Dir
	}
}
