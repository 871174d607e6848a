// Package admin is the operator's own front door: JSON over HTTP on a unix
// socket that only the server's user may open. The command line is its client.
package admin
