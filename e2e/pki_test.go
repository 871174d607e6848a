package e2e_test

import (
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
)

// certificate is a certificate with its key, in files that openssl wrote.
type certificate struct {
	name      string // its common name
	cert, key string // paths
	id        string // the fingerprint, which is the AWS certificate ID too
}

// authority is a certificate that signs others. Each directory of one belongs
// to it alone.
type authority struct {
	certificate
	dir string
}

// The two ways in which people make keys.
var (
	curve = []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"}
	rsa   = []string{"-newkey", "rsa:2048", "-nodes"}
)

// deviceExtensions are those of a client certificate, as openssl x509 -extfile
// reads them. Without any, openssl makes certificates of X.509 version 1.
const deviceExtensions = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n"

func openssl(t *testing.T, args ...string) {
	t.Helper()
	if out := command(t, nil, "openssl", args...); out.code != 0 {
		t.Fatalf("openssl %s: exit %d\n%s", strings.Join(args, " "), out.code, out.stderr)
	}
}

func writeFile(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// identify reads the fingerprint of a certificate that was written.
func (c *certificate) identify(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(c.cert)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("%s holds no PEM", c.cert)
	}
	c.id = muster.Fingerprint(block.Bytes)
}

// selfSigned makes a certificate that vouches for itself.
func selfSigned(t *testing.T, dir, name string, args ...string) certificate {
	t.Helper()
	c := certificate{name: name, cert: filepath.Join(dir, name+".pem"), key: filepath.Join(dir, name+".key")}
	openssl(t, append(append([]string{"req", "-x509", "-batch", "-sha256", "-days", "30", "-subj", "/CN=" + name,
		"-keyout", c.key, "-out", c.cert}, curve...), args...)...)
	c.identify(t)
	return c
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	dir := t.TempDir()
	return &authority{selfSigned(t, dir, name, "-addext", "keyUsage=critical,keyCertSign,cRLSign"), dir}
}

// issue makes a key of the kind given and has the authority sign it, with the
// extensions given, the lines of an openssl configuration.
func (a *authority) issue(t *testing.T, name string, kind []string, extensions string, args ...string) *certificate {
	t.Helper()
	path := func(suffix string) string { return filepath.Join(a.dir, name+suffix) }
	c := &certificate{name: name, cert: path(".pem"), key: path(".key")}
	openssl(t, append([]string{"req", "-new", "-batch", "-subj", "/CN=" + name, "-keyout", c.key, "-out", path(".csr")}, kind...)...)
	sign := []string{"x509", "-req", "-in", path(".csr"), "-CA", a.cert, "-CAkey", a.key, "-CAcreateserial",
		"-sha256", "-days", "30", "-out", c.cert}
	if extensions != "" {
		sign = append(sign, "-extfile", writeFile(t, path(".ext"), extensions))
	}
	openssl(t, append(sign, args...)...)
	c.identify(t)
	return c
}

// device makes an everyday device.
func (a *authority) device(t *testing.T, name string) *certificate {
	t.Helper()
	return a.issue(t, name, curve, deviceExtensions)
}

// supervised makes a device that names its OCSP responder, with a serial number
// that is chosen beforehand so that the responder knows it.
func (a *authority) supervised(t *testing.T, name string, serial int, url string) *certificate {
	t.Helper()
	return a.issue(t, name, curve, deviceExtensions+"authorityInfoAccess=OCSP;URI:"+url+"\n", "-set_serial", fmt.Sprint(serial))
}

// proof makes the certificate that shows possession of the authority's key, by
// the commands of the AWS documentation.
func (a *authority) proof(t *testing.T, registrationCode string) string {
	t.Helper()
	return a.issue(t, registrationCode, rsa, "").cert
}
