// Package config reads muster.yaml: one strict YAML document, turned into
// typed values. An unknown key, a key given twice, a wrong type and a value
// out of bounds are errors, all reported at once with file, line and key.
//
// It knows no other package of Muster; the program hands the values on. The
// keys, their defaults, bounds and meanings stand in one place, from which the
// reader, the document that Document writes and the rows of Table all come.
package config

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// maxSize bounds the file, in bytes, so that a wrong path (a device, a
// registry's log) ends in an error and not in exhausted memory.
const maxSize = 1 << 20

// Config is the whole configuration. Its meanings, units and defaults are those
// of Table; no field of a configuration that was read is zero, except where the
// default is.
type Config struct {
	// Dir is the folder of the file, absolute, set by Load. It is no key: the
	// paths in the file are relative to it.
	Dir string

	Region    string
	MQTT      MQTT
	API       API
	HTTP      HTTP
	Registry  Registry
	Admission Admission
	OCSP      OCSP
	Limits    Limits
	Log       Log
}

// MQTT is the listener for devices.
type MQTT struct {
	Address          string
	Certificate, Key string // paths, PEM
	HandshakeTimeout time.Duration
	ConnectTimeout   time.Duration
	MaxPacketSize    int           // bytes
	KeepAliveMax     time.Duration // whole seconds
	Refusals         Refusals
	FirstConnection  FirstConnection
}

// Refusals says how a device learns that it is refused.
type Refusals string

// The ways to refuse.
const (
	RefusalsConnack Refusals = "connack" // with the reason
	RefusalsHangup  Refusals = "hangup"  // silently, as AWS does
)

// FirstConnection says what becomes of the connection that provisioned a
// device.
type FirstConnection string

// The ends of a first connection.
const (
	FirstConnectionAdmit FirstConnection = "admit"
	FirstConnectionClose FirstConnection = "close" // as AWS does: the device connects again
)

// API is the HTTPS listener of the control planes.
type API struct {
	Address          string
	Certificate, Key string // paths, PEM; Load fills in those of MQTT
}

// HTTP is the plain listener for metrics and probes.
type HTTP struct {
	Address string
}

// Registry says where the registry lies and what bounds it.
type Registry struct {
	Path       string // a folder
	MasterKey  string // path
	PendingTTL time.Duration
	PendingCap int // certificates an authority
	Cache      int // records
}

// Admission adjusts the rules by which devices are judged.
type Admission struct {
	ClockSkew time.Duration
}

// OCSP bounds what is asked of responders.
type OCSP struct {
	AllowPrivate []netip.Prefix
	Timeout      time.Duration
	Skew         time.Duration
	Concurrent   int
	Waiting      int // certificates
	Recheck      time.Duration
}

// Limits bounds what strangers can take.
type Limits struct {
	Connections        int
	Handshakes         int
	ConnectsPerAddress int // a second; the burst is twice that
}

// Log says what is logged, and how.
type Log struct {
	Level  Level
	Format Format
}

// Level is the least severe level that is logged.
type Level string

// The levels.
const (
	LevelDebug Level = "debug"
	LevelInfo  Level = "info"
	LevelWarn  Level = "warn"
	LevelError Level = "error"
)

// Format is the form of log lines.
type Format string

// The forms of log lines.
const (
	FormatJSON    Format = "json"
	FormatConsole Format = "console"
)

// Default returns the configuration of an empty file. Its paths are relative.
func Default() *Config {
	return &Config{
		Region: "us-east-1",
		MQTT: MQTT{
			Address:          "127.0.0.1:8883",
			Certificate:      "server.pem",
			Key:              "server-key.pem",
			HandshakeTimeout: 10 * time.Second,
			ConnectTimeout:   10 * time.Second,
			MaxPacketSize:    256 << 10,
			KeepAliveMax:     20 * time.Minute,
			Refusals:         RefusalsConnack,
			FirstConnection:  FirstConnectionAdmit,
		},
		API:  API{Address: "127.0.0.1:8443"},
		HTTP: HTTP{Address: "127.0.0.1:8080"},
		Registry: Registry{
			Path:       "registry",
			MasterKey:  "master.key",
			PendingTTL: 30 * 24 * time.Hour,
			PendingCap: 100_000,
			Cache:      50_000,
		},
		Admission: Admission{ClockSkew: 5 * time.Minute},
		OCSP: OCSP{
			Timeout: 5 * time.Second, Skew: 5 * time.Minute, Concurrent: 64, Waiting: 4096, Recheck: time.Minute,
		},
		Limits: Limits{Connections: 100_000, Handshakes: 4096, ConnectsPerAddress: 500},
		Log:    Log{Level: LevelInfo, Format: FormatJSON},
	}
}

// Load reads the file at path, makes its paths absolute and fills in the
// certificate of the API. Its error has one line for each problem, at most
// twenty, in the order of the file.
func Load(path string) (*Config, error) {
	data, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c, err := Parse(data, path)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	c.locate(dir)
	return c, nil
}

func read(path string) ([]byte, error) {
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

// locate makes the paths absolute. The API shows the certificate of the MQTT
// listener unless it has its own.
func (c *Config) locate(dir string) {
	c.Dir = dir
	if c.API.Certificate == "" {
		c.API.Certificate, c.API.Key = c.MQTT.Certificate, c.MQTT.Key
	}
	for _, k := range c.keys() {
		if k.file != nil && !filepath.IsAbs(*k.file) {
			*k.file = filepath.Join(dir, *k.file)
		}
	}
}
