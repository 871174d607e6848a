package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// maxSize bounds the file, in bytes, so that a wrong path (a device, a
// registry's log) ends in an error and not in exhausted memory.
const maxSize = 1 << 20

// Source says where a configuration comes from. The environment wins over the
// file, and the file over the defaults.
type Source struct {
	File string // path
	// Optional lets the environment alone be the configuration when there is no
	// file: it must then name the registry, its master key, the certificate and
	// its key, whose defaults lie beside the file.
	Optional bool
	Environ  []string // "NAME=value", as os.Environ has it; of a name that comes twice, the last counts
}

// Origin says where a value comes from; the zero value is the default.
type Origin struct {
	File     string
	Line     int    // 0: unknown
	Variable string // of the environment
}

// String returns "FILE:LINE", the name of the variable, or "default".
func (o Origin) String() string {
	switch {
	case o.Variable != "":
		return o.Variable
	case o.Line > 0:
		return o.File + ":" + strconv.Itoa(o.Line)
	case o.File != "":
		return o.File
	}
	return "default"
}

// MarshalText is String, for JSON.
func (o Origin) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Setting is the value of one key.
type Setting struct {
	Key   string `json:"key"`
	Value any    `json:"value"` // a string, a number or a list, as the file would have it
	From  Origin `json:"from"`

	text string // the value as YAML
}

// Load reads a configuration, makes its paths absolute and fills in the
// certificate of the API. Its error has one line for each problem, at most
// twenty-one: those of the file, in its order, then those of the environment.
func Load(s Source) (*Config, error) {
	c, _, err := Read(s)
	return c, err
}

// Read is Load that also tells every key's value, and where it comes from.
func Read(s Source) (*Config, Settings, error) {
	r := newReader(s.File)
	data, err := readFile(s.File)
	absent := errors.Is(err, fs.ErrNotExist)
	switch {
	case err == nil:
		r.read(data)
	case absent && s.Optional:
	case absent:
		return nil, nil, noFile(err)
	default:
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	r.environment(s.Environ)
	r.listeners()
	r.pair()
	if problems := r.err(); problems != nil {
		return nil, nil, problems
	}
	if absent {
		if err := r.complete(err); err != nil {
			return nil, nil, err
		}
	}
	if err := r.locate(absent); err != nil {
		return nil, nil, fmt.Errorf("configuration %s: %w", s.File, err)
	}
	return r.config, r.settings(), nil
}

// Written reads the file alone and returns the keys to which it gives a value,
// paths as they stand there.
func Written(file string) (Settings, error) {
	r := newReader(file)
	data, err := readFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noFile(err)
	} else if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	r.read(data)
	r.listeners()
	r.pair()
	if err := r.err(); err != nil {
		return nil, err
	}
	var given Settings
	for _, s := range r.settings() {
		if s.From != (Origin{}) {
			given = append(given, s)
		}
	}
	return given, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxSize {
		return nil, fmt.Errorf("%s: more than %s; this is no configuration", path, sizeText(maxSize))
	}
	return data, nil
}

func noFile(err error) error {
	return fmt.Errorf("configuration: %w; muster init makes one, --config or %s names another", err, fileVariable)
}

// complete demands that the environment can stand for the file whose absence is
// the error, by naming all that would lie beside it.
func (r *reader) complete(absence error) error {
	var given bool
	var missing []string
	for _, k := range r.keys {
		switch {
		case k.file == nil || *k.file == "": // no default
		case r.origins[k.path].Variable == "":
			missing = append(missing, k.variable())
		default:
			given = true
		}
	}
	switch {
	case len(missing) == 0:
		return nil
	case given:
		return fmt.Errorf("%w; without a file, the environment must also have %s", noFile(absence), strings.Join(missing, ", "))
	}
	return noFile(absence)
}

// locate makes the paths absolute: those of the file and the defaults start
// from its folder, those of the environment from the working directory. The API
// shows the certificate of the MQTT listener unless it has its own, and sessions lie
// beside the registry unless they have a place of their own.
func (r *reader) locate(absent bool) error {
	working, err := os.Getwd()
	if err != nil {
		return err
	}
	c := r.config
	under := func(dir, path string) string {
		if filepath.IsAbs(path) {
			return filepath.Clean(path)
		}
		return filepath.Join(dir, path)
	}
	c.Dir = filepath.Dir(under(working, r.file))
	if absent {
		c.Dir = filepath.Dir(under(working, c.Registry.Path))
	}
	for _, k := range r.keys {
		if k.file == nil || *k.file == "" {
			continue
		}
		dir := c.Dir
		if r.origins[k.path].Variable != "" {
			dir = working
		}
		*k.file = under(dir, *k.file)
	}
	if c.API.Certificate == "" {
		c.API.Certificate, c.API.Key = c.MQTT.Certificate, c.MQTT.Key
	}
	if c.Admin.Path == "" {
		c.Admin.Path = c.Dir
	}
	if c.Sessions.Path == "" {
		c.Sessions.Path = filepath.Join(filepath.Dir(c.Registry.Path), "sessions")
	}
	return nil
}

// Settings are the values of keys, in the order of Table.
type Settings []Setting

func (r *reader) settings() Settings {
	all := make(Settings, len(r.keys))
	for i, k := range r.keys {
		all[i] = Setting{Key: k.path, From: r.origins[k.path], text: k.text()}
		if err := yaml.Unmarshal([]byte(all[i].text), &all[i].Value); err != nil {
			all[i].Value = all[i].text // text is YAML
		}
	}
	return all
}

// Of returns where the value of a key comes from.
func (s Settings) Of(key string) Origin {
	for _, one := range s {
		if one.Key == key {
			return one.From
		}
	}
	return Origin{}
}

// Document renders the settings as a file, each with its origin as a comment.
// Parse reads it back to the same values.
func (s Settings) Document() []byte {
	var out strings.Builder
	section := ""
	for _, one := range s {
		in, name, ok := strings.Cut(one.Key, ".")
		indent := "  "
		switch {
		case !ok:
			name, indent = in, ""
		case in != section:
			section = in
			fmt.Fprintf(&out, "%s:\n", in)
		}
		fmt.Fprintf(&out, "%s%s: %s # %s\n", indent, name, one.text, plain(one.From.String()))
	}
	return []byte(out.String())
}

// plain keeps a comment within its line.
func plain(s string) string {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return strconv.Quote(s)
	}
	return s
}
