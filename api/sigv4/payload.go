package sigv4

import (
	"net/http"
	"net/url"
	"strings"
)

// hashHeader says what a signature covers of the body: its hash, or one of the
// words below. A presigned URL may have it in its query.
const hashHeader = "X-Amz-Content-Sha256"

const (
	unsignedPayload = "UNSIGNED-PAYLOAD"
	signedChunks    = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	signedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	unsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// payload is how the body of a request belongs to its signature.
type payload struct {
	// may are what may stand for the body in the canonical request: one, or, where
	// a presigned URL does not say which, both that signers take.
	may []string
	// chunks is nil for a body that is sent as it is.
	chunks *chunks
}

// payloadOf reads what the request says of its body. The SDKs of IoT say nothing,
// and sign the hash.
func payloadOf(r *http.Request, query url.Values, a *authorization, body []byte) (payload, error) {
	claims := append(r.Header.Values(hashHeader), query[hashHeader]...)
	claim := strings.Join(claims, ",") // several are none that is known
	safe := r.TLS != nil               // who could alter the body has no way to it
	hash := hashOf(body)
	switch claim {
	case "":
		p := payload{may: []string{hash}}
		if a.presigned && safe {
			p.may = append(p.may, unsignedPayload)
		}
		return p, nil
	case hash:
		return payload{may: claims}, nil
	case unsignedPayload, unsignedTrailer:
		if !safe {
			return payload{}, invalid("An unsigned payload is accepted over TLS only")
		}
	case signedChunks, signedTrailer:
	default:
		if strings.HasPrefix(claim, "STREAMING-") {
			return payload{}, invalid("x-amz-content-sha256: %s is not supported", shorten(claim))
		}
		return payload{}, invalid("The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	p := payload{may: claims}
	if claim == unsignedPayload {
		return p, nil
	}
	var err error
	p.chunks, err = newChunks(r.Header, claim, body)
	return p, err
}
