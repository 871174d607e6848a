// Package hooks answers the questions that a mochi-mqtt server asks: may this
// client connect, publish, subscribe, receive? It puts each to package
// admission or to the policies of the client's certificate, and turns the
// decision into the packet that MQTT has for it.
//
// A Hook must be the only one of its server that authenticates or checks
// access: mochi takes the first yes of any hook.
//
// In a mochi server of one's own, certificate, record, OCSP and policies are
// judged as strictly as by muster serve: a connection that nobody inspected is
// inspected in OnConnect, from its *tls.Conn, whose configuration should be
// Gate.TLSConfig. What stands around that only package broker has:
//
//   - deadlines and limits for handshakes and for the time until CONNECT, and
//     OCSP asked outside of them;
//   - the index of connections, which finds those that a change concerns, also
//     between TLS and CONNECT. Without it, have Hook.Rejudge told of the
//     registry's changes, or a revoked device stays until it reconnects; it looks
//     at each client. OCSP is not asked again about live connections;
//   - Session.End, which cleans up after a decoder that panicked and keeps the
//     client ID locked while mochi removes the client;
//   - a server for each account, so that topics and client IDs cannot meet.
//
// Clients publish to no topic that begins with $, unless Config.Requests serves
// it: package fleet is what muster serve puts there.
package hooks
