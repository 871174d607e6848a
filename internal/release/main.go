package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	out := flag.String("out", "dist", "the `directory` to write to")
	extra := flag.String("with", "", "a `directory` whose files go into every archive: manual pages, completions")
	flag.Parse()
	if err := run(*out, *extra, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// documents of the project that go into every archive.
var documents = []string{"LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md"}

func run(out, extra string, programs []string) error {
	if len(programs) == 0 {
		return errors.New("no programs given; call it by make release")
	}
	var made []string
	for _, path := range programs {
		b, err := inspect(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		files, err := contents(b, extra)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		name := fmt.Sprintf("muster_%s_%s", strings.TrimPrefix(b.version, "v"), b.platform)
		bill, err := b.bill()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		files = append(files, file{"sbom.cdx.json", bill, 0o644})
		archive, err := pack(name, files, b.time)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, f := range []file{{name + ".tar.gz", archive, 0o644}, {name + ".cdx.json", bill, 0o644}} {
			if err := os.WriteFile(filepath.Join(out, f.name), f.data, f.mode); err != nil {
				return err
			}
			made = append(made, f.name)
		}
	}
	return checksums(out, made)
}

// checksums writes SHA256SUMS in the form of sha256sum.
func checksums(out string, names []string) error {
	slices.Sort(names)
	var text strings.Builder
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%x  %s\n", sha256.Sum256(data), name)
		fmt.Println(name)
	}
	return os.WriteFile(filepath.Join(out, "SHA256SUMS"), []byte(text.String()), 0o644)
}

// build is what a program says of itself.
type build struct {
	path     string
	info     *buildinfo.BuildInfo
	version  string
	platform string // linux_armv7
	time     time.Time
}

func inspect(path string) (*build, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return nil, err
	}
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	b := &build{path: path, info: info, version: info.Main.Version, platform: set["GOOS"] + "_" + set["GOARCH"]}
	if arm := set["GOARM"]; arm != "" {
		b.platform = fmt.Sprintf("%s_armv%s", set["GOOS"], arm[:1])
	}
	switch {
	case set["CGO_ENABLED"] != "0":
		return nil, errors.New("it was built with cgo and is not static; build it with CGO_ENABLED=0")
	case b.version == "" || b.version == "(devel)" || set["vcs.time"] == "":
		return nil, errors.New("it does not know its version; build it in a git clone, with -buildvcs=true")
	}
	b.time, err = time.Parse(time.RFC3339, set["vcs.time"])
	return b, err
}
