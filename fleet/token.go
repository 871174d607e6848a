package fleet

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"
)

// Sealer encrypts a text so that nobody else can read or make one. What Seal
// returns, Open opens with the same context alone.
type Sealer interface {
	Seal(plain []byte, context string) []byte
	Open(sealed []byte, context string) ([]byte, error)
}

// tokenLife is how long an ownership token counts, and how long a certificate
// stays that nobody uses (AWS IoT, “CreateKeysAndCertificate”).
const tokenLife = time.Hour

// ownership is what a token says: who asked for a certificate, and until when
// that one may have it provisioned.
type ownership struct {
	certificate string // its ID
	claim       string // ID of the certificate of the connection that asked
	expires     time.Time
}

// fingerprintSize is how many bytes the ID of a certificate stands for.
const fingerprintSize = 32

var errToken = errors.New("not a token of this server, or for another certificate")

// tokens seals ownerships, each for one account.
type tokens struct{ sealer Sealer }

func tokenContext(account string) string { return "certificate ownership token of account " + account }

func (t tokens) make(account string, o ownership) (string, error) {
	plain, err := hex.DecodeString(o.certificate + o.claim)
	if err != nil || len(plain) != 2*fingerprintSize {
		return "", errToken
	}
	plain = binary.BigEndian.AppendUint64(plain, uint64(o.expires.Unix()))
	return base64.RawURLEncoding.EncodeToString(t.sealer.Seal(plain, tokenContext(account))), nil
}

func (t tokens) open(account, token string) (ownership, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return ownership{}, errToken
	}
	plain, err := t.sealer.Open(sealed, tokenContext(account))
	if err != nil || len(plain) != 2*fingerprintSize+8 {
		return ownership{}, errToken
	}
	return ownership{
		certificate: hex.EncodeToString(plain[:fingerprintSize]),
		claim:       hex.EncodeToString(plain[fingerprintSize : 2*fingerprintSize]),
		expires:     time.Unix(int64(binary.BigEndian.Uint64(plain[2*fingerprintSize:])), 0),
	}, nil
}
