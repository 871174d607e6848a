package e2e_test

import (
	"net/url"
	"testing"

	"github.com/muster-mqtt/muster"
)

// TestOCSP asks openssl's responder, and nobody when that is gone. Answers are
// kept, so each step has a device of its own.
func TestOCSP(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.prepare(t)
	factory := newAuthority(t, "Factory CA")
	s.register(t, factory, supervised("hard"))
	r := startResponder(t, factory)

	stolen := factory.supervised(t, "stolen", revokedSerial, r.url)
	s.refuse(t, stolen, muster.ReasonRevoked)
	s.unknownToAWS(t, stolen)

	good := factory.supervised(t, "good", goodSerial, r.url)
	s.admit(t, v5, good)
	s.wantStatus(t, good, "ACTIVE")

	// Registered by the operator, and never asked about while it could be.
	fresh := factory.supervised(t, "fresh", freshSerial, r.url)
	s.call(t, "POST", "/certificate/register", url.Values{"setAsActive": {"true"}},
		object{"certificatePem": readFile(t, fresh.cert), "caCertificatePem": readFile(t, factory.cert)})
	s.attach(t, "device", fresh)

	r.stop()
	s.refuse(t, fresh, muster.ReasonRevocationUnknown)
	s.wantStatus(t, fresh, "ACTIVE")

	// What was answered is kept over a restart: without it, hard would refuse.
	s.stop(t)
	s.start(t)
	s.admit(t, v3, good)
	s.refuse(t, fresh, muster.ReasonRevocationUnknown)

	// Soft trusts a device that is registered and active, and no other.
	s.aws(t, "tag-resource", "--resource-arn", arn("cacert/"+factory.id), "--tags", "Key=muster:ocsp,Value=soft")
	s.admit(t, v5, fresh)
	unseen := factory.supervised(t, "unseen", otherSerial, r.url)
	s.refuse(t, unseen, muster.ReasonRevocationUnknown)
	s.unknownToAWS(t, unseen)
}
