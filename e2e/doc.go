// Package e2e tests the program as its users meet it: the static binary, run as
// a process, with the AWS command line, mosquitto's clients and openssl on the
// other side. It holds tests only; make e2e runs them, make tools installs what
// they need. With MUSTER_BINARY set to an absolute path they test that binary
// instead of one that they build.
package e2e
