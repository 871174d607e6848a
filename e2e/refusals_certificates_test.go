package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	rsakeys "crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/muster-mqtt/muster/internal/mint"
)

// settings make what would take a month or a fleet happen at once.
var settings = map[string]string{"pending_cap": "1", "clock_skew": "1s", "max_packet_size": "32768"}

// certificateWalks are about who the device is: its certificate, its authority,
// its record and OCSP.
func certificateWalks() map[string]func(*walker) {
	return map[string]func(*walker){
		"unknown-authority":          func(w *walker) { w.refused(w.device(w.authority(), nil)) },
		"issuer-sent":                func(w *walker) { w.refused(w.sending(w.authority(), 1)) },
		"intermediate-sent":          func(w *walker) { w.refused(w.sending(w.intermediate(), 1)) },
		"intermediate-not-sent":      func(w *walker) { w.refused(w.sending(w.intermediate(), 0)) },
		"same-name-other-key":        namesakeWalk,
		"authority-of-other-account": elsewhereWalk,
		"ambiguous-account":          ambiguousWalk,
		"authority-inactive":         authorityInactiveWalk,
		"authority-deleted":          authorityDeletedWalk,
		"authority-expired":          authorityExpiredWalk,
		"auto-registration-off":      autoRegistrationWalk,
		"pending-activation":         func(w *walker) { w.refused(w.registered(object{}, nil)) },
		"pending-quota":              quotaWalk,
		"inactive":                   func(w *walker) { w.refused(w.alone("INACTIVE")) },
		"revoked":                    func(w *walker) { w.refused(w.alone("REVOKED")) },
		"deleted":                    deletedWalk,
		"pending-transfer":           func(w *walker) { w.refused(w.offered()) },
		"pending-transfer-at-target": offeredWalk,
		"transferred":                transferredWalk,
		"not-yet-valid":              notYetValidWalk,
		"expired":                    expiredWalk,
		"no-client-auth":             noClientAuthWalk,
		"ca-as-device":               caWalk,
		"rsa-1024":                   weakRSAWalk,
		"sha-1":                      sha1Walk,
		"p-224":                      p224Walk,
		"ocsp-revoked":               ocspWalk(func(w *walker, url string) *gadget { return w.supervised(revokedSerial, url) }),
		"ocsp-unknown":               ocspWalk(func(w *walker, url string) *gadget { return w.supervised(0x2000, url) }),
		"ocsp-down":                  ocspWalk(func(w *walker, _ string) *gadget { return w.supervised(goodSerial, "http://127.0.0.1:1") }),
		"ocsp-no-url":                ocspWalk(func(w *walker, _ string) *gadget { return w.supervised(freshSerial, "") }),
	}
}

func (w *walker) intermediate() *mint.Authority {
	w.t.Helper()
	root := w.authority()
	line, err := root.Intermediate("Line 3")
	w.must(err)
	w.register(root, object{})
	return line
}

// sending is a device that sends so many certificates besides its own.
func (w *walker) sending(a *mint.Authority, n int) *gadget {
	w.t.Helper()
	l, err := a.Issue(mint.Request{Subject: pkix.Name{CommonName: w.name}})
	w.must(err)
	return w.gadget(l, n)
}

// registered is a device of an authority that is registered so.
func (w *walker) registered(body object, edit func(*mint.Request)) *gadget {
	w.t.Helper()
	a := w.authority()
	w.register(a, body)
	return w.device(a, edit)
}

func namesakeWalk(w *walker) {
	w.register(w.authority(), object{})
	w.refused(w.device(w.authority(), nil))
}

func elsewhereWalk(w *walker) {
	a := w.authority()
	w.registerAt(w.ofOther(), a, object{})
	g := w.device(a, nil)
	g.exotic = true // mosquitto sends no server name to an address
	w.asks = []string{"--sni", "localhost"}
	w.refused(g)
}

func ambiguousWalk(w *walker) {
	a := w.authority()
	w.register(a, object{"certificateMode": "SNI_ONLY"})
	w.registerAt(w.ofOther(), a, object{"certificateMode": "SNI_ONLY"})
	g := w.device(a, nil)
	g.serverName = "plant-3.muster.test"
	w.refused(g)
}

func (w *walker) switchAuthority(id string, query url.Values) {
	w.t.Helper()
	w.s.call(w.t, "PUT", "/cacertificate/"+id, query, object{})
}

func authorityInactiveWalk(w *walker) {
	a := w.authority()
	w.switchAuthority(w.register(a, object{}), url.Values{"newStatus": {"INACTIVE"}})
	w.refused(w.device(a, nil))
}

func authorityDeletedWalk(w *walker) {
	a := w.authority()
	id := w.register(a, object{})
	g := w.device(a, nil)
	w.first(g)
	w.switchAuthority(id, url.Values{"newStatus": {"INACTIVE"}})
	w.s.call(w.t, "DELETE", "/cacertificate/"+id, nil, nil)
	w.refused(g)
}

// first is a connect that comes before what the walk is about.
func (w *walker) first(g *gadget) {
	w.t.Helper()
	ctx, cancel := w.within()
	defer cancel()
	if _, err := w.connect(ctx, g, nil); err == nil {
		w.t.Error("the first connect was let in")
	}
	w.s.await(w.t, w.began, "it is refused", func(l line) bool { return l.Certificate == g.id })
	w.began = w.s.log.len()
}

func authorityExpiredWalk(w *walker) {
	until := time.Now().Add(6 * time.Second).Truncate(time.Second)
	root, err := mint.SelfSigned(mint.Request{Subject: pkix.Name{CommonName: w.name + " CA"}, NotAfter: until,
		Edit: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign }})
	w.must(err)
	a := &mint.Authority{Cert: root.Cert, Key: root.Key}
	w.register(a, object{})
	g := w.device(a, nil)
	eventually(w.t, 20*time.Second, "the authority expires", func() bool { return time.Now().After(until.Add(2 * time.Second)) })
	w.refused(g)
}

func autoRegistrationWalk(w *walker) {
	a := w.authority()
	w.switchAuthority(w.register(a, object{}), url.Values{"newAutoRegistrationStatus": {"DISABLE"}})
	w.refused(w.device(a, nil))
}

func quotaWalk(w *walker) {
	a := w.authority()
	w.register(a, object{})
	w.first(w.device(a, nil))
	w.refused(w.device(a, nil))
}

func deletedWalk(w *walker) {
	g := w.device(w.authority(), nil)
	w.s.call(w.t, "POST", "/certificate/register-no-ca", nil, object{"certificatePem": readFile(w.t, g.cert), "status": "INACTIVE"})
	w.s.call(w.t, "DELETE", "/certificates/"+g.id, nil, nil)
	w.refused(g)
}

// offered is a device whose certificate is offered to the other account.
func (w *walker) offered() *gadget {
	w.t.Helper()
	g := w.alone("INACTIVE")
	w.s.call(w.t, "PATCH", "/transfer-certificate/"+g.id, url.Values{"targetAwsAccount": {secondAccount}}, nil)
	return g
}

func offeredWalk(w *walker) {
	g := w.offered()
	g.serverName = secondEndpoint
	w.refused(g)
}

func transferredWalk(w *walker) {
	g := w.offered()
	w.ofOther().call(w.t, "PATCH", "/accept-certificate-transfer/"+g.id, url.Values{"setAsActive": {"true"}}, nil)
	g.exotic = true // without a server name, as mosquitto sends none to an address, the other account has it
	w.asks = []string{"--sni", "localhost"}
	w.refused(g)
}

func notYetValidWalk(w *walker) {
	w.refused(w.registered(object{}, func(r *mint.Request) { r.NotBefore = time.Now().Add(time.Hour) }))
}

func expiredWalk(w *walker) {
	w.refused(w.registered(object{}, func(r *mint.Request) {
		r.NotBefore, r.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	}))
}

func noClientAuthWalk(w *walker) {
	w.refused(w.registered(object{}, func(r *mint.Request) { r.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }))
}

func caWalk(w *walker) {
	w.refused(w.registered(object{}, func(r *mint.Request) { r.IsCA = true }))
}

func weakRSAWalk(w *walker) {
	key, err := rsakeys.GenerateKey(rand.Reader, 1024)
	w.must(err)
	g := w.registered(object{}, func(r *mint.Request) { r.Key = key })
	g.exotic = true
	w.refused(g)
}

func sha1Walk(w *walker) {
	g := w.registered(object{}, func(r *mint.Request) {
		r.Edit = func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }
	})
	g.exotic = true
	w.refused(g)
}

// p224Walk needs TLS 1.2: TLS 1.3 has no signature for that curve.
func p224Walk(w *walker) {
	key, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	w.must(err)
	g := w.registered(object{}, func(r *mint.Request) { r.Key = key })
	g.maxVersion = tls.VersionTLS12
	w.refused(g)
}

// ocspWalk has an authority with hard OCSP and openssl's responder.
func ocspWalk(device func(w *walker, url string) *gadget) func(*walker) {
	return func(w *walker) {
		a := newAuthority(w.t, w.name+" CA")
		w.s.register(w.t, a, object{"tags": []object{{"Key": "muster:ocsp", "Value": "hard"}}})
		w.openssl = a
		w.refused(device(w, startResponder(w.t, a).url))
	}
}

// supervised is a device of the walk's authority of openssl; without a URL it
// names no responder.
func (w *walker) supervised(serial int, url string) *gadget {
	w.t.Helper()
	extensions := deviceExtensions
	if url != "" {
		extensions += "authorityInfoAccess=OCSP;URI:" + url + "\n"
	}
	return w.ofFiles(w.openssl.issue(w.t, w.name, curve, extensions, "-set_serial", fmt.Sprint(serial)))
}

// TestProtocols: devices that were made for AWS IoT ask for its protocol, those
// of others for MQTT's, most for none.
func TestProtocols(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	w := s.walker(t, wrong{name: "protocols"})
	g := w.alone("ACTIVE", devicePolicy)
	for offered, want := range map[string]string{"x-amzn-mqtt-ca": "x-amzn-mqtt-ca", "mqtt": "mqtt", "": ""} {
		c := w.tls(g)
		if offered != "" {
			c.NextProtos = []string{"spdy/3", offered}
		}
		ctx, cancel := w.within()
		conn, err := w.secure(ctx, c)
		w.must(err)
		if got := conn.ConnectionState().NegotiatedProtocol; got != want {
			t.Errorf("offered %q, got %q", offered, got)
		}
		cancel()
	}
	s.awaitAdmitted(t, g)
}

func (s *server) awaitAdmitted(t *testing.T, g *gadget) {
	t.Helper()
	c := g.certificate
	if out := command(t, nil, "mosquitto_pub", s.mosquitto(t, v5, &c, "--tls-alpn", "x-amzn-mqtt-ca", "-t", "telemetry/"+c.name, "-m", "x")...); out.code != 0 {
		t.Errorf("by AWS's protocol: %+v", out)
	}
}
