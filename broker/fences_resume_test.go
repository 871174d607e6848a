package broker_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
)

// TestResumptionByVersion: TLS 1.2 and 1.3 resume differently, and neither may
// let anyone pass by what was true before.
func TestResumptionByVersion(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, options{})
			f.policy("all", allowAll)
			a := f.authority("workshop", "")
			// begun has a TLS session to resume, and what resumes it.
			begun := func(l *mint.Leaf) func() (*tls.Conn, error) {
				c := &tls.Config{RootCAs: f.roots, ServerName: "localhost", MinVersion: version, MaxVersion: version,
					ClientSessionCache: tls.NewLRUClientSessionCache(1), Certificates: []tls.Certificate{l.TLS()}}
				dial := func() (*tls.Conn, error) { return tls.Dial("tcp", f.address, c) }
				conn, err := dial()
				must(t, err)
				r := newRaw(t, conn, 5)
				r.bytes(0xC0, 0x00) // no CONNECT: it ends, but the ticket has come
				r.end()
				return dial
			}
			active, pending, unregistered := f.registered("active", "all"), f.leaf(a, "pending"), f.leaf(a, "unregistered")
			if ack, err := f.raw(pending, 5).connect("pending", nil); err != nil || ack.ReasonCode != 0x87 {
				t.Fatalf("CONNACK 0x%02X %v", ack.ReasonCode, err)
			}
			again := map[*mint.Leaf]func() (*tls.Conn, error){
				active: begun(active), pending: begun(pending), unregistered: begun(unregistered),
			}

			_, err := f.store.UpdateCertificateStatus(t.Context(), account, id(active), muster.Revoked)
			must(t, err)
			inactive, authority := muster.Inactive, muster.Fingerprint(a.Cert.Raw)
			_, err = f.store.UpdateAuthority(t.Context(), account, authority, registry.AuthorityUpdate{Status: &inactive})
			must(t, err)
			must(t, f.store.DeleteAuthority(t.Context(), account, authority))

			for l, want := range map[*mint.Leaf]muster.Reason{active: muster.ReasonRevoked, pending: muster.ReasonAuthorityDeleted} {
				conn, err := again[l]()
				must(t, err)
				if !conn.ConnectionState().DidResume {
					t.Errorf("%s: not resumed", want)
				}
				ack, err := newRaw(t, conn, 5).connect(l.Cert.Subject.CommonName, nil)
				if err != nil || !strings.HasPrefix(ack.Properties.ReasonString, string(want)) {
					t.Errorf("%s: CONNACK 0x%02X %q %v", want, ack.ReasonCode, ack.Properties.ReasonString, err)
				}
			}
			conn, err := again[unregistered]()
			if err == nil { // TLS 1.3 tells when it is read
				_, err = newRaw(t, conn, 5).connect("unregistered", nil)
			}
			if err == nil {
				t.Error("a certificate that nobody vouches for any more was let in")
			}
			f.seen.wait(t, "handshake untrusted_issuer", func(n int) bool { return n == 1 })
		})
	}
}
