// Package muster holds the words of the domain: certificates and the
// authorities that sign them, the things, policies and templates that a
// registration makes, the reasons for which a device is refused, and the
// errors that every store of them answers with.
//
// It has no behaviour beyond what a word implies, does no I/O and imports the
// standard library alone, so that every other package may speak its language.
// The packages policy and provisioning hold the pure rules over these words,
// registry keeps them, admission decides by them, and broker and hooks act on
// what was decided.
package muster
