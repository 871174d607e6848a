package ocsp

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"net/url"
)

// id names a certificate, or a question about one, in memory.
type id [sha256.Size]byte

// digest names what the parts say in that order.
func digest(parts ...[]byte) id {
	var room [1 << 10]byte // enough for most, so that a Check allocates nothing here
	b := room[:0]
	for _, part := range parts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return sha256.Sum256(b)
}

// identify names a certificate by all that a responder knows of it.
func identify(leaf, issuer *x509.Certificate) id {
	return digest(issuer.RawSubject, issuer.RawSubjectPublicKeyInfo, leaf.SerialNumber.Bytes())
}

// Key names a certificate in a Cache: the lower-case hex SHA-256 over its
// issuer's name and public key and its serial number, which is all that a
// responder knows it by.
func Key(leaf, issuer *x509.Certificate) string { return identify(leaf, issuer).String() }

func (i id) String() string { return hex.EncodeToString(i[:]) }

// inquiry is a Question on its way to an answer.
type inquiry struct {
	Question
	cert id // names the certificate

	// Set by plan:

	self id         // names the question: the certificate and the way to ask
	urls []*url.URL // the responders to ask, in order; none: it names no one
	name string     // of the first responder
	err  *failure   // none can be asked
}

const (
	maxURLs = 3       // how many of a certificate's responders are asked
	maxURL  = 2 << 10 // how many bytes the URL of one has, for it stands in what is remembered
)

// plan finds out whom to ask. The mode does not matter: it says what an answer
// is worth, not how to get it.
func (in *inquiry) plan() {
	s := in.Settings
	in.self = digest(in.cert[:], []byte(s.Responder), []byte(s.ResponderCA), []byte(s.Nonce))
	in.urls = nil
	candidates := in.Leaf.OCSPServer
	if s.Responder != "" {
		candidates = []string{s.Responder}
	}
	for _, raw := range candidates {
		u, err := url.Parse(raw)
		if err != nil || len(raw) > maxURL || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
			continue
		}
		u.Fragment = ""
		if in.urls = append(in.urls, u); len(in.urls) == maxURLs {
			break
		}
	}
	switch {
	case len(in.urls) > 0:
		in.name = responderName(in.urls[0])
	case s.Responder != "":
		in.err = noResponse(FaultSettings, "the responder that the settings name is no http or https URL: %.200q", s.Responder)
	case len(candidates) > 0:
		in.err = noResponse(FaultSettings, "none of its responders' URLs is http or https, of at most %d bytes: %.200q",
			maxURL, candidates[:min(len(candidates), maxURLs)])
	}
}
