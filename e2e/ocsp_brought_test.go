package e2e_test

import (
	"crypto/tls"
	"encoding/base64"
	"path/filepath"
	"testing"

	"github.com/muster-mqtt/muster"
)

// response has openssl answer about a device as its responder would, for the
// device to bring.
func (a *authority) response(t *testing.T, c *certificate) []byte {
	t.Helper()
	request, answer := filepath.Join(t.TempDir(), "request.der"), filepath.Join(t.TempDir(), "answer.der")
	openssl(t, "ocsp", "-issuer", a.cert, "-cert", c.cert, "-no_nonce", "-reqout", request)
	openssl(t, "ocsp", "-index", a.writeIndex(t, revokedSerial), "-CA", a.cert, "-rsigner", a.cert, "-rkey", a.key,
		"-nmin", "60", "-reqin", request, "-respout", answer)
	return []byte(readFile(t, answer))
}

// TestBroughtAnswers: while the responder is dead, an answer that openssl made
// and the device brings lets it in, stapled in TLS 1.3 or in CONNECT. It is kept,
// also over a restart.
func TestBroughtAnswers(t *testing.T) {
	t.Parallel()
	s, factory := startRechecking(t)
	s.succeeds(t, "ca", "set", factory.id, "--ocsp", "hard")

	stapling := factory.supervised(t, "stapling", goodSerial, deadResponder)
	s.refuse(t, stapling, muster.ReasonRevocationUnknown)
	pair, err := tls.LoadX509KeyPair(stapling.cert, stapling.key)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := s.roots("MUSTER_CA")
	if err != nil {
		t.Fatal(err)
	}
	pair.OCSPStaple = factory.response(t, stapling)
	d := &device{name: stapling.name, key: pair, id: stapling.id}
	hangUp, err := d.connect(t.Context(), s.vars["MUSTER_MQTT"], roots)
	if err != nil {
		t.Fatalf("with a stapled answer: %v", err)
	}
	hangUp()
	s.admit(t, v3, stapling) // it knows now

	property := func(c *certificate, der []byte) ended {
		t.Helper()
		return command(t, nil, "mosquitto_pub", s.mosquitto(t, v5, c, "-t", "telemetry/"+c.name, "-m", "hello",
			"-D", "connect", "user-property", "muster-ocsp", base64.StdEncoding.EncodeToString(der))...)
	}
	bringing := factory.supervised(t, "bringing", freshSerial, deadResponder)
	s.refuse(t, bringing, muster.ReasonRevocationUnknown)
	if out := property(bringing, factory.response(t, bringing)); out.code != 0 {
		t.Errorf("with an answer in CONNECT: %+v", out)
	}
	s.stop(t)
	s.start(t)
	s.admit(t, v5, bringing)

	// One about another device does not count, and the refusal says so; one that
	// says revoked does.
	from := s.log.len()
	other := factory.supervised(t, "other", otherSerial, deadResponder)
	if out := property(other, factory.response(t, bringing)); out.code != toldOf(muster.ReasonRevocationUnknown).v5 {
		t.Errorf("with another's answer: %+v", out)
	}
	s.await(t, from, "what was brought did not count", func(l line) bool { return l.Event == "refused" && l.Certificate == other.id })
	s.explained(t, other.id, "what the device brought does not count")
	stolen := factory.supervised(t, "stolen", revokedSerial, deadResponder)
	if out := property(stolen, factory.response(t, stolen)); out.code != toldOf(muster.ReasonRevoked).v5 {
		t.Errorf("with an answer that says revoked: %+v", out)
	}
	if got := s.metric(t, `muster_ocsp_brought_total{result="unavailable"}`); got != 1 {
		t.Errorf("%v brought answers did not count, want 1", got)
	}
}
