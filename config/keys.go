package config

import "time"

// key is one key of the file: what it is called, what it means, and the field
// that holds its value. The default is what Default has in that field.
type key struct {
	path    string // "limits.handshakes"
	meaning string
	absent  string // what to call an empty default
	binding
}

// keys returns every key, bound to the fields of c, in the order in which
// Document writes them. Keys of one section stand together.
func (c *Config) keys() []key {
	keys := []key{
		{path: "region", binding: region(&c.Region),
			meaning: "The region in ARNs and in the signatures of requests."},
	}
	for _, section := range [][]key{c.mqttKeys(), c.apiKeys(), c.registryKeys(), c.ruleKeys(), c.limitKeys(), c.sessionKeys(), c.fleetKeys(), c.outwardKeys()} {
		keys = append(keys, section...)
	}
	return keys
}

func (c *Config) mqttKeys() []key {
	m := &c.MQTT
	return []key{
		{path: "mqtt.address", binding: addresses(&m.Address),
			meaning: "Where devices connect by MQTT over mutual TLS: a list of host:port. Port 0 takes a free one."},
		{path: "mqtt.websocket", binding: addresses(&m.Websocket), absent: "none",
			meaning: "Where devices connect by MQTT over WebSocket (path /mqtt) over mutual TLS: a list of host:port."},
		{path: "mqtt.certificate", binding: file(&m.Certificate),
			meaning: "The server's certificate chain, PEM, its own certificate first."},
		{path: "mqtt.key", binding: file(&m.Key),
			meaning: "The private key of that certificate, PEM."},
		{path: "mqtt.handshake_timeout", binding: duration(&m.HandshakeTimeout, time.Millisecond, 5*time.Minute),
			meaning: "How long a TLS handshake may take."},
		{path: "mqtt.connect_timeout", binding: duration(&m.ConnectTimeout, time.Millisecond, 5*time.Minute),
			meaning: "How long a device may take from the end of the handshake to its CONNECT packet."},
		// MQTT 5 §2.1.4: the remaining length ends at 268,435,455 bytes.
		{path: "mqtt.max_packet_size", binding: size(&m.MaxPacketSize, 1<<10, 256<<20-1),
			meaning: "The largest MQTT packet that is read, in bytes."},
		// The MQTT library adds half of it in 16 bits, which overflows above
		// 43,690 seconds.
		{path: "mqtt.keep_alive_max", binding: duration(&m.KeepAliveMax, time.Second, 12*time.Hour),
			meaning: "The longest keep-alive. MQTT 5 clients that ask for more are told this one; " +
				"MQTT 3.1.1 has no way to tell, so its clients keep what they asked for."},
		{path: "mqtt.refusals", binding: choice(&m.Refusals, RefusalsConnack, RefusalsHangup),
			meaning: "How a device learns that it is refused: connack tells it the reason, hangup closes silently as AWS does."},
		{path: "mqtt.first_connection", binding: choice(&m.FirstConnection, FirstConnectionAdmit, FirstConnectionClose),
			meaning: "What becomes of the connection on which a device was provisioned: admit lets it in, " +
				"close disconnects it as AWS does, and it is let in when it connects again."},
		{path: "mqtt.one_connection", binding: choice(&m.OneConnection, OneConnectionClient, OneConnectionCertificate),
			meaning: "Which older connection a new one displaces: client only that of the same client ID, as MQTT has it; " +
				"certificate also that of the same certificate under another client ID."},
		{path: "mqtt.drain", binding: duration(&m.Drain, time.Millisecond, time.Hour),
			meaning: "Over how long the disconnecting of devices is spread when the server stops, so that they do not all come back at once."},
	}
}

func (c *Config) apiKeys() []key {
	return []key{
		{path: "api.address", binding: address(&c.API.Address),
			meaning: "Where the control planes answer by HTTPS, host:port."},
		{path: "api.certificate", binding: file(&c.API.Certificate), absent: "mqtt.certificate",
			meaning: "The certificate chain of the API, PEM. Give api.key too."},
		{path: "api.key", binding: file(&c.API.Key), absent: "mqtt.key",
			meaning: "The private key of that certificate, PEM."},
		{path: "api.requests_per_key", binding: number(&c.API.RequestsPerKey, 0, 1_000_000),
			meaning: "How many requests a second one access key may make; a burst may have twice as many. 0 is no limit."},
		{path: "http.address", binding: address(&c.HTTP.Address),
			meaning: "Where /metrics, /livez and /readyz answer by plain HTTP, host:port, and /debug/pprof/ to this machine alone. " +
				"They ask nobody for a password: keep them away from strangers."},
		{path: "admin.path", binding: file(&c.Admin.Path), absent: "the folder of this file",
			meaning: "The folder of the admin socket, muster.sock, and of addresses.json, by which the command line " +
				"finds the server. It must be writable, and its path short."},
	}
}

func (c *Config) registryKeys() []key {
	r := &c.Registry
	return []key{
		{path: "registry.path", binding: file(&r.Path),
			meaning: "The folder of the registry. It must exist: a wrong path does not become an empty registry."},
		{path: "registry.master_key", binding: file(&r.MasterKey),
			meaning: "The file of the key that seals the secrets in the registry. Without it no access key works: keep a copy elsewhere."},
		{path: "registry.pending_ttl", binding: duration(&r.PendingTTL, time.Second, 10*365*24*time.Hour),
			meaning: "How long a certificate may stay PENDING_ACTIVATION before it is forgotten."},
		{path: "registry.pending_cap", binding: count(&r.PendingCap, 100_000_000),
			meaning: "How many certificates of one authority may be PENDING_ACTIVATION; more are refused."},
		{path: "registry.cache", binding: count(&r.Cache, 100_000_000),
			meaning: "How many records each cache keeps in memory."},
	}
}

func (c *Config) ruleKeys() []key {
	o := &c.OCSP
	return []key{
		{path: "admission.clock_skew", binding: duration(&c.Admission.ClockSkew, time.Second, 24*time.Hour),
			meaning: "How far a device's clock, or that of its authority, may be off when the validity of a certificate is judged."},
		{path: "ocsp.allow_private", binding: prefixes(&o.AllowPrivate), absent: "none",
			meaning: "Private addresses where OCSP responders may be asked, as prefixes. A certificate names its responder " +
				"itself, so each prefix lets devices make the server send requests into that network. " +
				"For development, muster init allows the loopback; take it out in production."},
		{path: "ocsp.timeout", binding: duration(&o.Timeout, time.Millisecond, time.Minute),
			meaning: "How long a responder may take to answer."},
		{path: "ocsp.skew", binding: duration(&o.Skew, time.Second, time.Hour),
			meaning: "How far a responder's clock may be off."},
		{path: "ocsp.concurrent", binding: count(&o.Concurrent, 10_000),
			meaning: "How many requests to responders are made at the same time; one responder gets a quarter of them."},
		{path: "ocsp.waiting", binding: count(&o.Waiting, 1_000_000),
			meaning: "How many certificates may be asked about at once; those above it count as unanswered."},
		{path: "ocsp.recheck", binding: duration(&o.Recheck, time.Second, 24*time.Hour),
			meaning: "How often the certificates of live connections are looked at again; a responder is asked only when its answer has grown old."},
	}
}

func (c *Config) limitKeys() []key {
	return []key{
		{path: "limits.connections", binding: count(&c.Limits.Connections, 100_000_000),
			meaning: "How many connections may be open."},
		{path: "limits.handshakes", binding: count(&c.Limits.Handshakes, 1_000_000),
			meaning: "How many of them may be in the TLS handshake at once."},
		{path: "limits.connects", binding: count(&c.Limits.Connects, 10_000_000),
			meaning: "How many connections a second may be opened in all; a burst may have twice as many."},
		{path: "limits.connects_per_address", binding: count(&c.Limits.ConnectsPerAddress, 1_000_000),
			meaning: "How many connections a second one address, or one IPv6 network of 64 bits, may open; a burst may have twice as many."},
		{path: "limits.connects_per_authority", binding: count(&c.Limits.ConnectsPerAuthority, 10_000_000),
			meaning: "How many devices of one authority may connect in a second; a burst may have twice as many."},
		{path: "limits.registrations", binding: count(&c.Limits.Registrations, 1_000_000),
			meaning: "How many devices may be registered and provisioned at once; more are told that the server is busy, as are those above half of it of one authority that OCSP is asked about."},
		{path: "limits.sessions", binding: count(&c.Limits.Sessions, 100_000_000),
			meaning: "How many sessions that outlive their connection an account may have."},
		{path: "limits.retained", binding: count(&c.Limits.Retained, 100_000_000),
			meaning: "How many messages an account may retain."},
		{path: "limits.waiting", binding: size(&c.Limits.Waiting, 1<<20, 2047<<20),
			meaning: "How many bytes of messages may wait in the sessions of an account; each message counts 1 KiB besides its own."},
	}
}

func (c *Config) sessionKeys() []key {
	return []key{
		{path: "sessions.store", binding: choice(&c.Sessions.Store, SessionStoreDisk, SessionStoreMemory),
			meaning: "Where sessions and retained messages are kept: disk, where they outlive the server, or memory."},
		{path: "sessions.path", binding: file(&c.Sessions.Path), absent: "sessions, beside the registry",
			meaning: "The folder of the sessions on disk. It is made when it is missing."},
	}
}

func (c *Config) fleetKeys() []key {
	f := &c.Fleet
	return []key{
		{path: "fleet.hooks", binding: hooks(&f.Hooks), absent: "none",
			meaning: "Where the pre-provisioning hooks are that provisioning templates may name: a list of ARN=URL. " +
				"The server asks by HTTP POST; webhook.secret signs the requests, webhook.roots vouches for HTTPS."},
		{path: "fleet.hook_timeout", binding: duration(&f.HookTimeout, time.Millisecond, time.Minute),
			meaning: "How long a pre-provisioning hook may take to answer; the device is refused after that."},
		{path: "fleet.concurrent", binding: count(&f.Concurrent, 10_000),
			meaning: "How many requests of fleet provisioning over MQTT are worked on at once; some more wait, others are told to come again."},
	}
}

func (c *Config) outwardKeys() []key {
	w := &c.Webhook
	return []key{
		{path: "webhook.url", binding: urls(&w.URL), absent: "none",
			meaning: "Who is told of registrations, refusals and revocations by HTTP POST: a list of URLs."},
		{path: "webhook.secret", binding: file(&w.Secret), absent: "none",
			meaning: "The file of the key that signs those requests, so that the receiver knows who sent them."},
		{path: "webhook.roots", binding: file(&w.Roots), absent: "those of the system",
			meaning: "The roots, PEM, that the certificate of an HTTPS receiver must come from."},
		{path: "webhook.timeout", binding: duration(&w.Timeout, time.Millisecond, time.Minute),
			meaning: "How long a receiver may take to answer."},
		{path: "log.level", binding: choice(&c.Log.Level, LevelDebug, LevelInfo, LevelWarn, LevelError),
			meaning: "The least severe level that is logged: debug, info, warn or error."},
		{path: "log.format", binding: choice(&c.Log.Format, FormatJSON, FormatConsole),
			meaning: "The form of log lines: json for machines, console for people."},
	}
}
