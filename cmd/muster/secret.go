package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"github.com/muster-mqtt/muster/config"
	"github.com/muster-mqtt/muster/registry"
)

// maxSecret bounds a file of keys or certificates, in bytes.
const maxSecret = 1 << 20

// The bits of a mode that let everybody in.
const (
	everyoneReads  = 0o004
	everyoneWrites = 0o002
)

// readSecret reads a key, through symbolic links such as those by which
// Kubernetes mounts secrets. If everyone may write to it, everyone could be this
// server, so that it is refused. What a group may do is left to whoever chose
// the group: Debian's ssl-cert reads keys, and Kubernetes' fsGroup writes
// whatever lies in a volume.
func readSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&everyoneWrites != 0 {
		return nil, fmt.Errorf("%s: everyone may write to it (mode %04o), and so choose the key; chmod o-w it", path, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if len(text) > maxSecret {
		return nil, fmt.Errorf("%s: more than a megabyte; this is no key", path)
	}
	return text, err
}

// exposed says that everyone may read a key, and how to end it; "" if not.
func exposed(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !couldClose(info.Mode(), int64(owner.Uid), int64(os.Geteuid())) {
		return ""
	}
	return fmt.Sprintf("%s: everyone may read this key (mode %04o); chmod o= it, or mount it with mode 0400", path, info.Mode().Perm())
}

// couldClose reports whether a file that everyone may read could be closed to
// them. One that belongs to another user was mounted so, as containers have
// their secrets, and only such a mode lets this user in.
func couldClose(mode fs.FileMode, owner, user int64) bool {
	return mode&everyoneReads != 0 && owner == user
}

// secrets are the files of a configuration that only its owner should read.
func secrets(c *config.Config) []string {
	paths := []string{c.MQTT.Key, c.API.Key, c.Registry.MasterKey}
	if c.Webhook.Secret != "" {
		paths = append(paths, c.Webhook.Secret)
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// readMasterKey reads the key that seals secrets: 64 hex digits, and what white
// space an editor or an orchestrator added. It returns the text, too.
func readMasterKey(path string) ([]byte, *registry.Sealer, error) {
	text, err := readSecret(path)
	if err != nil {
		return nil, nil, fmt.Errorf("master key: %w", err)
	}
	key, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(key) != 32 {
		return nil, nil, fmt.Errorf("master key %s: it must hold 64 hex digits", path)
	}
	sealer, err := registry.NewSealer(key)
	return text, sealer, err
}

// keyError is about the value of a key of the configuration.
type keyError struct {
	key string
	err error
}

func (e *keyError) Error() string { return e.key + ": " + e.err.Error() }
func (e *keyError) Unwrap() error { return e.err }

// loadPair reads the certificate chain of a section and its key. Its error is a
// keyError, and shows nothing of what the files hold.
func loadPair(section, certificate, key string) (pair tls.Certificate, err error) {
	aboutCertificate := func(err error) error { return &keyError{section + ".certificate", err} }
	aboutKey := func(err error) error { return &keyError{section + ".key", err} }
	chain, err := os.ReadFile(certificate)
	if err != nil {
		return pair, aboutCertificate(err)
	}
	text, err := readSecret(key)
	if err != nil {
		return pair, aboutKey(err)
	}
	if err := checkChain(chain); err != nil {
		return pair, aboutCertificate(fmt.Errorf("%s: %w", certificate, err))
	}
	if pair, err = tls.X509KeyPair(chain, text); err != nil {
		return pair, aboutKey(fmt.Errorf("%s: %w; it must be the PEM key of %s", key, err, certificate))
	}
	return pair, nil
}

// checkChain looks at the first certificate, so that what is wrong after it is
// about the key.
func checkChain(chain []byte) error {
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			_, err := x509.ParseCertificate(block.Bytes)
			return err
		}
	}
	return errors.New("it holds no certificate in PEM")
}
