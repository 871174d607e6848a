// Package admission decides whether a device may come in.
//
// Facts are gathered by a Gate, at two moments: Inspect after the TLS
// handshake (who are you?), Connect at the MQTT CONNECT packet (may you come
// in now?). Decide is pure: the first of its rules that speaks decides, and
// whatever no rule foresaw is refused. The same rules judge before and after
// a device is registered, so that registering is no special case.
//
// The package knows no transport: broker and hooks carry what it decides to
// the wire.
package admission
