// Package hooks answers the questions that a mochi-mqtt server asks: may this
// client connect, publish, subscribe, receive? It puts each to package
// admission or to the policies of the client's certificate, and turns the
// decision into the packet that MQTT has for it.
//
// A Hook must be the only one of its server that authenticates or checks
// access: mochi takes the first yes of any hook.
package hooks
