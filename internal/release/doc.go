// Command release turns built programs into what is published: one archive for
// each, with the manual pages, the shell completions, the licences of all that
// is in it and its bill of materials (CycloneDX), and the checksums of them all.
// `make release` builds the programs and calls it.
//
// The same programs and the same commit make the same bytes: no clock, no user
// and no order of a file system gets into an archive.
package main
