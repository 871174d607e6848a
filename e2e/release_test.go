package e2e_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// release runs make release in a directory of sources.
func release(t *testing.T, src, dist string, args ...string) {
	t.Helper()
	out := commandWithin(t, buildTimeout, os.Environ(), "make", append([]string{"-C", src, "release", "DIST=" + dist}, args...)...)
	if out.code != 0 {
		t.Fatalf("make release: %+v", out)
	}
}

// unpack reads an archive into memory; its names come without the folder.
func unpack(t *testing.T, path string) map[string][]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(h.Name, "/")
		if files[name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// permissive are phrases of the terms under which everything in the program may
// be handed on.
var permissive = regexp.MustCompile(`Apache License|MIT License|Permission is hereby granted, free of charge|` +
	`Redistribution and use in source and binary forms|Eclipse Distribution License`)

// TestRelease makes what is published and looks into it.
func TestRelease(t *testing.T) {
	t.Parallel()
	dist := t.TempDir()
	release(t, "..", dist)
	if out := command(t, nil, "sh", "-c", "cd "+dist+" && sha256sum --strict -c SHA256SUMS"); out.code != 0 ||
		strings.Count(out.stdout, ": OK\n") != 6 {
		t.Errorf("the checksums of three archives and their bills: %+v", out)
	}
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "armv7": elf.EM_ARM}
	for platform, machine := range machines {
		t.Run(platform, func(t *testing.T) {
			found, err := filepath.Glob(filepath.Join(dist, "muster_*_linux_"+platform+".tar.gz"))
			if err != nil || len(found) != 1 {
				t.Fatalf("%v, %v: want one archive", found, err)
			}
			inspectArchive(t, unpack(t, found[0]), machine)
		})
	}
	testPage(t, "../docs/installing.md", "cp "+dist+"/* .\n")
}

func inspectArchive(t *testing.T, files map[string][]byte, machine elf.Machine) {
	t.Helper()
	program, err := elf.NewFile(bytes.NewReader(files["muster"]))
	if err != nil {
		t.Fatal(err)
	}
	libraries, err := program.ImportedLibraries()
	if err != nil || len(libraries) > 0 || program.Machine != machine {
		t.Errorf("the program is for %v and needs %v, %v; want a static one for %v", program.Machine, libraries, err, machine)
	}
	info, err := buildinfo.Read(bytes.NewReader(files["muster"]))
	if err != nil || info.Main.Version == "" || info.Main.Version == "(devel)" {
		t.Errorf("the program's version: %v, %v", info, err)
	}
	var bill struct {
		BOMFormat  string `json:"bomFormat"`
		Components []struct{ Name, Version string }
	}
	if err := json.Unmarshal(files["sbom.cdx.json"], &bill); err != nil || bill.BOMFormat != "CycloneDX" {
		t.Errorf("the bill of materials: %v, %q", err, bill.BOMFormat)
	}
	listed := map[string]string{}
	for _, c := range bill.Components {
		listed[c.Name] = c.Version
	}
	for _, m := range info.Deps {
		if listed[m.Path] != m.Version {
			t.Errorf("the bill lists %s as %q, the program holds %s", m.Path, listed[m.Path], m.Version)
		}
		if !licensed(files, "licences/"+m.Path+"/") {
			t.Errorf("%s: no permissive licence among what is handed on", m.Path)
		}
	}
	if len(listed) != len(info.Deps)+1 || !licensed(files, "licences/go/") {
		t.Errorf("the bill lists %d components, the program holds %d and the standard library", len(listed), len(info.Deps))
	}
	for _, name := range []string{"LICENSE", "README.md", "CHANGELOG.md", "man1/muster.1", "man1/muster-serve.1",
		"completions/muster.bash", "completions/muster.zsh", "completions/muster.fish", "deploy/systemd/muster.service"} {
		if len(files[name]) == 0 {
			t.Errorf("the archive has no %s", name)
		}
	}
}

func licensed(files map[string][]byte, folder string) bool {
	for name, text := range files {
		if strings.HasPrefix(name, folder) && permissive.Match(text) {
			return true
		}
	}
	return false
}

// TestReleaseIsReproducible builds one commit in two places.
func TestReleaseIsReproducible(t *testing.T) {
	t.Parallel()
	var sums []string
	for range 2 {
		base := t.TempDir()
		src, dist := filepath.Join(base, "src"), filepath.Join(base, "dist")
		if out := command(t, os.Environ(), "git", "clone", "-q", "..", src); out.code != 0 {
			t.Fatalf("git clone: %+v", out)
		}
		release(t, src, dist, "TARGETS=amd64")
		text, err := os.ReadFile(filepath.Join(dist, "SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, string(text))
	}
	if sums[0] != sums[1] || !strings.Contains(sums[0], "linux_amd64.tar.gz") {
		t.Errorf("two builds of one commit differ:\n%s%s", sums[0], sums[1])
	}
}

// TestManualPages renders the pages as man does, and demands one a command.
func TestManualPages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fails(t, program(t, "man", filepath.Join(dir, "missing")), 1, "no directory")
	if out := program(t, "man", dir); out.code != 0 {
		t.Fatalf("%+v", out)
	}
	for _, name := range []string{"muster", "muster-serve", "muster-explain"} {
		text, err := os.ReadFile(filepath.Join(dir, name+".1"))
		if err != nil || !bytes.HasPrefix(text, []byte(".nh\n.TH")) || !bytes.Contains(text, []byte(".SH SYNOPSIS")) {
			t.Errorf("%s.1 is no manual page: %v\n%.200s", name, err, text)
		}
	}
}

// TestCompletion asks for completions as a shell does.
func TestCompletion(t *testing.T) {
	t.Parallel()
	out := program(t, "__complete", "ex")
	if !strings.HasPrefix(out.stdout, "explain\t") {
		t.Errorf("completing ex: %+v", out)
	}
	script := program(t, "completion", "bash")
	path := writeFile(t, filepath.Join(t.TempDir(), "muster.bash"), script.stdout)
	if out := command(t, nil, "bash", "-c", ". "+path+" && complete -p muster"); out.code != 0 ||
		!strings.Contains(out.stdout, "__start_muster") {
		t.Errorf("the completions of bash: %+v", out)
	}
}
