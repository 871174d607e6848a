package awsiot_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
)

var (
	reference = regexp.MustCompile(`\$(\$|[A-Za-z]\w*(?:\.\w+)*)`)
	counter   = regexp.MustCompile(`\$i\b`)
)

// numbered puts the number of a repetition, from 1, in place of $i.
func numbered(text string, i int) string {
	return counter.ReplaceAllString(text, strconv.Itoa(i+1))
}

// substitute puts values in the place of $names.
func (w *walk) substitute(text string) (string, error) {
	var wrong error
	replaced := reference.ReplaceAllStringFunc(text, func(name string) string {
		value, err := w.value(name[1:])
		if err != nil {
			wrong = err
		}
		return value
	})
	return replaced, wrong
}

func (w *walk) value(path string) (string, error) {
	if path == "$" {
		return "$", nil
	}
	name, rest, _ := strings.Cut(path, ".")
	value, ok := w.values[name]
	if !ok {
		return "", fmt.Errorf("nothing is named $%s", name)
	}
	return lookUp(value, rest)
}

// substituteJSON puts them into the strings of a JSON value.
func (w *walk) substituteJSON(text string) ([]byte, error) {
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return nil, err
	}
	value, err := w.fill(value)
	if err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

func (w *walk) fill(value any) (any, error) {
	var err error
	switch v := value.(type) {
	case string:
		return w.substitute(v)
	case []any:
		for i := range v {
			if v[i], err = w.fill(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for name := range v {
			if v[name], err = w.fill(v[name]); err != nil {
				return nil, err
			}
		}
	}
	return value, nil
}

// lookUp follows a path of members, map keys and numbers of list items, which
// are the SDK's but for the case of the first letter.
func lookUp(in any, path string) (string, error) {
	v := reflect.ValueOf(in)
	for path != "" {
		var name string
		name, path, _ = strings.Cut(path, ".")
		v = reflect.Indirect(v)
		switch v.Kind() {
		case reflect.Struct:
			v = v.FieldByName(strings.ToUpper(name[:1]) + name[1:])
		case reflect.Map:
			v = v.MapIndex(reflect.ValueOf(name).Convert(v.Type().Key()))
		case reflect.Slice:
			i, err := strconv.Atoi(name)
			if err != nil || i >= v.Len() {
				return "", fmt.Errorf("no item %s of %d", name, v.Len())
			}
			v = v.Index(i)
		default:
			return "", fmt.Errorf("no %s in a %T", name, in)
		}
		if !v.IsValid() {
			return "", fmt.Errorf("no %s in a %T", name, in)
		}
	}
	v = reflect.Indirect(v)
	if !v.IsValid() {
		return "", fmt.Errorf("a member of %T is not there", in)
	}
	return fmt.Sprint(v.Interface()), nil
}

// minted is a certificate, or a request for one, that a block made.
type minted struct {
	authority *mint.Authority
	cert      []byte // PEM
}

// setUp does a line that is no call.
func (w *walk) setUp(t *testing.T, text string) error {
	words := strings.Fields(text)
	switch {
	case words[0] == "let" && len(words) > 2:
		value, err := w.substitute(strings.Join(words[2:], " "))
		w.values[words[1]] = value
		return err
	case words[0] == "wait" && len(words) == 2:
		d, err := time.ParseDuration(words[1])
		w.clock = w.clock.Add(d)
		return err
	case words[0] == "enrol" && len(words) == 4:
		return w.enrol(t, words[1], words[2], words[3])
	case words[0] == "key" && len(words) == 5 && words[2] == "of":
		return w.key(t, words[1], words[3], words[4])
	case words[0] == "mint" && len(words) > 2:
		m, err := w.mint(words[2], words[3:])
		if err != nil {
			return err
		}
		w.minted[words[1]], w.values[words[1]] = m, string(m.cert)
		return nil
	}
	return fmt.Errorf("%q is not understood", text)
}

// enrol does what the first connect of a device does under an authority that has
// no template: its certificate becomes PENDING_ACTIVATION.
func (w *walk) enrol(t *testing.T, owner, authority, leaf string) error {
	ca, ok := w.minted[authority]
	device, known := w.minted[leaf]
	if !ok || ca.authority == nil || !known {
		return fmt.Errorf("enrol: %s and %s must be minted", authority, leaf)
	}
	_, err := w.server.store.Enrol(t.Context(), muster.Enrolment{
		Account:     map[string]string{"A": account, "B": stranger}[owner],
		AuthorityID: muster.Fingerprint(ca.authority.Cert.Raw),
		PEM:         string(device.cert),
	})
	return err
}

// mint makes a certificate, by words such as "leaf ca CN=x expired".
func (w *walk) mint(kind string, words []string) (minted, error) {
	var parent *mint.Authority
	if len(words) > 0 && w.minted[words[0]].authority != nil {
		parent, words = w.minted[words[0]].authority, words[1:]
	}
	r, err := w.request(words)
	if err != nil {
		return minted{}, err
	}
	switch {
	case kind == "csr":
		return newCSR(r)
	case kind == "authority":
		r.IsCA = true
		r.ExtKeyUsage = []x509.ExtKeyUsage{}
		r.Edit = func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }
		leaf, err := issueOrSign(parent, r)
		if err != nil {
			return minted{}, err
		}
		return minted{authority: &mint.Authority{Cert: leaf.Cert, Key: leaf.Key}, cert: leaf.CertPEM()}, nil
	case kind == "leaf" && parent != nil, kind == "self" && parent == nil:
		leaf, err := issueOrSign(parent, r)
		if err != nil {
			return minted{}, err
		}
		return minted{cert: leaf.CertPEM()}, nil
	}
	return minted{}, fmt.Errorf("mint: %s of %v is not understood", kind, words)
}

func issueOrSign(parent *mint.Authority, r mint.Request) (*mint.Leaf, error) {
	if parent == nil {
		return mint.SelfSigned(r)
	}
	return parent.Issue(r)
}

// request turns words into what a certificate shall hold.
func (w *walk) request(words []string) (r mint.Request, err error) {
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "CN":
			r.Subject.CommonName, err = w.substitute(value)
		case "expired":
			r.NotBefore, r.NotAfter = w.clock.AddDate(-2, 0, 0), w.clock.AddDate(-1, 0, 0)
		case "future":
			r.NotBefore, r.NotAfter = w.clock.AddDate(1, 0, 0), w.clock.AddDate(2, 0, 0)
		case "ca":
			r.IsCA = true
		case "server":
			r.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		case "rsa1024":
			r.Key, err = rsa.GenerateKey(rand.Reader, 1024)
		case "rsa2048":
			r.Key, err = rsa.GenerateKey(rand.Reader, 2048)
		case "p224":
			r.Key, err = ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
		default:
			err = fmt.Errorf("mint: %q is not understood", word)
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

func newCSR(r mint.Request) (minted, error) {
	if r.Key == nil {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return minted{}, err
		}
		r.Key = key
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: r.Subject}, r.Key)
	if err != nil {
		return minted{}, err
	}
	return minted{cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})}, nil
}
