// Package broker accepts connections, shakes hands, has each one inspected and
// hands it to the mochi-mqtt server of its account. It keeps every connection
// in an index by certificate, so that a change of the registry finds those
// that it concerns, and ends them all when it stops.
//
// The eye can follow one device through handle, from accept to the end.
package broker
