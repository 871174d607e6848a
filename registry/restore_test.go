package registry_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
	"github.com/muster-mqtt/muster/registry/registrytest"
)

// refuses demands that a file is refused, by Restore and by VerifyBackup alike.
func refuses(t *testing.T, what string, file []byte) error {
	t.Helper()
	_, verify := registry.VerifyBackup(t.Context(), bytes.NewReader(file), nil)
	_, restore := registry.Restore(t.Context(), memory.New(), bytes.NewReader(file), testSealer(t, testMaster))
	for name, err := range map[string]error{"VerifyBackup": verify, "Restore": restore} {
		if at := new(registry.BackupError); !errors.As(err, &at) || at.Line < 1 {
			t.Errorf("%s: %s says %v", what, name, err)
		}
	}
	return verify
}

// TestCutOff cuts a backup off after many of its bytes, compressed and not.
func TestCutOff(t *testing.T) {
	f := newFixture(t)
	f.fill()
	file, _ := backup(t, f.engine)
	for n := 0; n < len(file); n += 1 + n%7 {
		refuses(t, fmt.Sprintf("the first %d bytes", n), file[:n])
	}
	text := unzip(t, file)
	for n := 0; n < len(text); n += 1 + n%37 {
		refuses(t, fmt.Sprintf("the first %d bytes of text", n), rezip(t, text[:n]))
	}
	refuses(t, "a byte more", append(slices.Clone(file), 0))
	refuses(t, "a second backup behind it", append(slices.Clone(file), file...))
	refuses(t, "a byte more of text", rezip(t, append(slices.Clone(text), '\n')))
}

// TestFlipped flips bits of the text, above all in its first and last lines, and
// of the file. There, some bits mean nothing: its header has a time that nobody
// reads.
func TestFlipped(t *testing.T) {
	f := newFixture(t)
	f.fill()
	want := contents(t, f.engine)
	file, _ := backup(t, f.engine)
	text := unzip(t, file)
	for i := range text {
		if i > 200 && i < len(text)-400 && i%11 > 0 {
			continue
		}
		bad := slices.Clone(text)
		bad[i] ^= 1 << (i % 8)
		refuses(t, fmt.Sprintf("byte %d of the text flipped from %q to %q", i, text[i], bad[i]), rezip(t, bad))
	}
	meaningless := 0
	for i := range file {
		if i > 100 && i < len(file)-100 && i%5 > 0 {
			continue
		}
		bad := slices.Clone(file)
		bad[i] ^= 1 << (i % 8)
		e := memory.New()
		_, err := registry.Restore(t.Context(), e, bytes.NewReader(bad), testSealer(t, testMaster))
		if err == nil && !slices.Equal(contents(t, e), want) {
			t.Errorf("byte %d of the file flipped: restored to something else", i)
		}
		if err == nil {
			meaningless++
		}
	}
	if meaningless > 10 {
		t.Errorf("%d bytes of the file mean nothing", meaningless)
	}
}

// sealed ends lines with a right last line, as somebody does who knows how.
func sealed(lines []string) []byte {
	text := []byte(strings.Join(lines, ""))
	kinds := map[string]int{}
	for _, l := range lines[min(1, len(lines)):] {
		var d struct{ Kind string }
		if json.Unmarshal([]byte(l), &d) == nil {
			kinds[d.Kind]++
		}
	}
	counts, err := json.Marshal(kinds)
	if err != nil {
		panic(err) // a map of words and numbers
	}
	return fmt.Appendf(text, `{"end":{"kinds":%s,"sha256":"%x"}}`+"\n", counts, sha256.Sum256(text))
}

// TestAltered alters lines and makes the checksum right again.
func TestAltered(t *testing.T) {
	f := newFixture(t)
	f.fill()
	file, _ := backup(t, f.engine)
	lines := slices.Collect(strings.Lines(string(unzip(t, file))))
	header, docs := lines[0], lines[1:len(lines)-1]
	if _, err := registry.VerifyBackup(t.Context(), bytes.NewReader(rezip(t, sealed(lines[:len(lines)-1]))), nil); err != nil {
		t.Fatalf("nothing altered: %v", err)
	}
	of := func(kind string) int {
		return slices.IndexFunc(docs, func(l string) bool { return strings.HasPrefix(l, `{"kind":"`+kind+`"`) })
	}
	cert := of("cert")
	edit := func(at int, old, new string) func([]string) []string {
		return func(l []string) []string {
			if !strings.Contains(l[at], old) {
				t.Fatalf("%q is not in %s", old, l[at])
			}
			l[at] = strings.Replace(l[at], old, new, 1)
			return l
		}
	}
	swap := func(i, j int) func([]string) []string {
		return func(l []string) []string { l[i], l[j] = l[j], l[i]; return l }
	}
	for name, test := range map[string]struct {
		alter func([]string) []string // of the header, at 0, and the documents
		says  string
	}{
		"no header":       {func(l []string) []string { return l[1:] }, "line 1: this is no backup"},
		"another format":  {edit(0, "muster-backup", "muster-copy"), "line 1: this is no backup"},
		"a newer version": {edit(0, `"version":1`, `"version":2`), "line 1: the backup has format version 2, written by Muster v1.2.3"},
		"a header with more": {edit(0, `"version":1`, `"version":1,"note":""`),
			`line 1: this is no line of a backup: json: unknown field "note"`},
		"unknown kind":         {edit(1+cert, `"kind":"cert"`, `"kind":"certificate"`), `of kind "certificate": unknown kind`},
		"no kind":              {edit(1+cert, `"kind":"cert",`, ``), `of kind "": unknown kind`},
		"another ID":           {edit(1+cert, `"id":"`, `"id":"0`), "belongs under"},
		"another content":      {edit(1+cert, `"doc":{"account":"123`, `"doc":{"account":"321`), "belongs under"},
		"content of no object": {edit(1+cert, `"doc":{`, `"doc":[],"x":{`), "no line of a backup"},
		"a line with more":     {edit(1+cert, `"kind"`, `"note":1,"kind"`), `unknown field "note"`},
		"two values":           {edit(1+cert, "\n", " 1\n"), "something follows the JSON object"},
		"an empty line":        {edit(1+cert, "\n", "\n\n"), fmt.Sprintf("line %d: this is no line", cert+3)},
		"two lines swapped":    {swap(1+cert, 2+cert), "stands after"},
		"kinds mixed":          {swap(1, len(docs)), "belong"},
		"a document twice":     {func(l []string) []string { return slices.Insert(l, 1+cert, l[1+cert]) }, "is there twice"},
		"a line too long":      {edit(1+cert, `"pem":"`, `"pem":"`+strings.Repeat("x", 2<<20)), "a line of more than 2097152 bytes"},
	} {
		if name == "kinds mixed" {
			test.alter = func(l []string) []string { return append(l, l[1]) }
			test.says = "stand further above"
		}
		altered := sealed(test.alter(append([]string{header}, docs...)))
		if err := refuses(t, name, rezip(t, altered)); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
	text := strings.Replace(string(sealed(append([]string{header}, docs...))), `"cert":5`, `"cert":6`, 1)
	if err := refuses(t, "another count", rezip(t, []byte(text))); !strings.Contains(err.Error(), "it counts map[") {
		t.Errorf("another count: %v", err)
	}
	if err := refuses(t, "not gzip", []byte(text)); !strings.Contains(err.Error(), "not compressed by gzip") {
		t.Errorf("not gzip: %v", err)
	}
}

// A document that claims what is another's is told of by name.
func TestRestoreClash(t *testing.T) {
	f := newFixture(t)
	file, _ := backup(t, f.engine)
	text := strings.ReplaceAll(string(unzip(t, file)), "a"+account2+".example", "a"+account+".example")
	lines := slices.Collect(strings.Lines(text))
	_, err := registry.Restore(t.Context(), memory.New(), bytes.NewReader(rezip(t, sealed(lines[:len(lines)-1]))), testSealer(t, testMaster))
	if !errors.Is(err, registry.ErrDocExists) || !strings.Contains(err.Error(), account2) {
		t.Errorf("two accounts with one endpoint: %v", err)
	}
}

// TestRestoreLarge restores documents that do not fit into one transaction,
// however few or many they are.
func TestRestoreLarge(t *testing.T) {
	e := withAccount(t)
	for i, size := range []int{1, 200_000, 900_000, 900_000, 300_000, 300_000, 5} {
		thing := muster.Thing{Account: account, Name: fmt.Sprint("large", i), ID: strings.Repeat("x", size)}
		write(t, e, map[registry.Kind][]any{registry.KindThing: {thing}}, nil)
	}
	for i := range 1200 {
		write(t, e, map[registry.Kind][]any{registry.KindThing: {muster.Thing{Account: account, Name: fmt.Sprint("small", i)}}}, nil)
	}
	file, _ := backup(t, e)
	for _, to := range []registry.Engine{memory.New(), newBadger(t)} {
		restore(t, to, file)
		if !slices.Equal(contents(t, to), contents(t, e)) {
			t.Errorf("%T holds something else", to)
		}
	}
}

// FuzzRestore: a backup that is refused is refused with an error, and what is
// accepted is a registry that can be backed up and restored to the same.
func FuzzRestore(f *testing.F) {
	e := memory.New()
	account := muster.Account{ID: account}
	text, err := json.Marshal(account)
	if err != nil {
		f.Fatal(err)
	}
	id, entries, err := registry.Index(registry.KindAccount, text)
	if err != nil {
		f.Fatal(err)
	}
	err = e.Update(f.Context(), func(tx registry.Tx) error {
		return tx.Put(registry.KindAccount, registry.Doc{ID: id, JSON: text, Index: entries})
	})
	if err != nil {
		f.Fatal(err)
	}
	file, _ := backup(f, e)
	f.Add(unzip(f, file), false)
	lines := slices.Collect(strings.Lines(string(unzip(f, file))))
	f.Add([]byte(strings.Join(lines[:2], "")), true)
	for _, kind := range registry.Kinds() {
		line := fmt.Sprintf(`{"kind":%q,"id":"/","doc":{}}`+"\n", kind)
		f.Add([]byte(lines[0]+line), true)
	}
	f.Add(file, false)
	f.Fuzz(func(t *testing.T, text []byte, seal bool) {
		if seal {
			text = sealed(slices.Collect(strings.Lines(string(text))))
		}
		e := memory.New()
		_, err := registry.Restore(t.Context(), e, bytes.NewReader(rezip(t, text)), testSealer(t, testMaster))
		if err != nil {
			return
		}
		again := memory.New()
		file, _ := backup(t, e)
		if _, err := registry.Restore(t.Context(), again, bytes.NewReader(file), testSealer(t, testMaster)); err != nil {
			t.Fatalf("restored, backed up and not restored again: %v", err)
		}
		registrytest.CheckEngine(t, again, map[registry.Kind][]string{
			registry.KindCert: {registry.IndexOwner, registry.IndexStatus}, registry.KindAccount: {registry.IndexEndpoint},
		})
	})
}
