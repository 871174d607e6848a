// Package config reads muster.yaml, one strict YAML document, and the variables
// of the environment that win over it, and turns them into typed values. An
// unknown key, a key given twice, a wrong type and a value out of bounds are
// errors, all reported at once with file, line and key, or with the variable.
//
// It knows no other package of Muster; the program hands the values on. The
// keys, their defaults, bounds and meanings stand in one place, from which the
// reader, the variables, the document that Document writes, the rows of Table
// and the JSON Schema all come.
package config

import (
	"net/netip"
	"time"
)

// Config is the whole configuration. Its meanings, units and defaults are those
// of Table; no field of a configuration that was read is zero, except where the
// default is.
type Config struct {
	// Dir is the folder of the file, absolute, set by Load; without a file, the
	// one that the registry lies in. It is no key: the paths in the file are
	// relative to it.
	Dir string

	Region    string
	MQTT      MQTT
	API       API
	HTTP      HTTP
	Admin     Admin
	Registry  Registry
	Admission Admission
	OCSP      OCSP
	Limits    Limits
	Sessions  Sessions
	Fleet     Fleet
	Webhook   Webhook
	Log       Log
}

// MQTT says where and how devices are served.
type MQTT struct {
	Address          []string // of MQTT over TLS
	Websocket        []string // of MQTT over WebSocket over TLS
	Certificate, Key string   // paths, PEM
	HandshakeTimeout time.Duration
	ConnectTimeout   time.Duration
	MaxPacketSize    int           // bytes
	KeepAliveMax     time.Duration // whole seconds
	Refusals         Refusals
	FirstConnection  FirstConnection
	OneConnection    OneConnection
	Drain            time.Duration
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

// OneConnection says whose connections displace each other.
type OneConnection string

// The scopes of one connection.
const (
	OneConnectionClient      OneConnection = "client"      // those of one client ID, as MQTT has it
	OneConnectionCertificate OneConnection = "certificate" // also those of one certificate
)

// API is the HTTPS listener of the control planes.
type API struct {
	Address          string
	Certificate, Key string // paths, PEM; Load fills in those of MQTT
	// RequestsPerKey is how many requests a second an access key may make; 0 is
	// no limit.
	RequestsPerKey int
}

// Fleet bounds provisioning over MQTT, and says where its hooks are.
type Fleet struct {
	// Hooks are the pre-provisioning hooks that templates may name, each as
	// ARN=URL.
	Hooks       []string
	HookTimeout time.Duration
	Concurrent  int // requests that are worked on at once
}

// HTTP is the plain listener for metrics and probes.
type HTTP struct {
	Address string
}

// Admin says where the command line finds the server.
type Admin struct {
	Path string // the folder of the admin socket and of addresses.json; Load fills in Dir
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
	Connections          int
	Handshakes           int
	Connects             int // a second, of all addresses; the burst is twice that
	ConnectsPerAddress   int // a second; the burst is twice that
	ConnectsPerAuthority int // a second; the burst is twice that
	Registrations        int // first connects that are provisioned at once
	Sessions             int // that an account keeps for clients that are away
	Retained             int // messages that an account retains
	Waiting              int // bytes of messages that wait in an account's sessions
}

// Sessions says where sessions and retained messages lie.
type Sessions struct {
	Store SessionStore
	Path  string // a folder; Load fills in one beside the registry
}

// SessionStore says what sessions and retained messages outlive.
type SessionStore string

// The stores of sessions.
const (
	SessionStoreDisk   SessionStore = "disk"   // a restart and a crash of the server
	SessionStoreMemory SessionStore = "memory" // nothing
)

// Webhook says who is told of events, and how.
type Webhook struct {
	URL     []string
	Secret  string // path of the key that signs requests; "" for none
	Roots   string // path, PEM: whom an HTTPS receiver's certificate must come from; "" for the system's
	Timeout time.Duration
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
			Address:          []string{"127.0.0.1:8883"},
			Certificate:      "server.pem",
			Key:              "server-key.pem",
			HandshakeTimeout: 10 * time.Second,
			ConnectTimeout:   10 * time.Second,
			MaxPacketSize:    256 << 10,
			KeepAliveMax:     20 * time.Minute,
			Refusals:         RefusalsConnack,
			FirstConnection:  FirstConnectionAdmit,
			OneConnection:    OneConnectionClient,
			Drain:            10 * time.Second,
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
		Limits: Limits{
			Connections: 100_000, Handshakes: 4096, Connects: 10_000, ConnectsPerAddress: 500, ConnectsPerAuthority: 5_000,
			Registrations: 1024, Sessions: 100_000, Retained: 100_000, Waiting: 1 << 30,
		},
		Sessions: Sessions{Store: SessionStoreDisk},
		Fleet:    Fleet{HookTimeout: 5 * time.Second, Concurrent: 32},
		Webhook:  Webhook{Timeout: 5 * time.Second},
		Log:      Log{Level: LevelInfo, Format: FormatJSON},
	}
}
