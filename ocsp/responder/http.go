package responder

import (
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
)

// maxRequest is the longest request in bytes of DER. One about a single
// certificate has some 80 bytes, or 250 with SHA-512 and a nonce.
const maxRequest = 4 << 10

// ServeHTTP answers one request (RFC 6960 appendix A). What it cannot answer
// it says in OCSP's own words, with HTTP status 200.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "OCSP is asked by GET or POST", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/ocsp-response")
	w.Header().Set("Cache-Control", "no-store")
	der, err := read(w, r)
	if err != nil {
		h.refuse(w, ocsp.MalformedRequestErrorResponse, err)
		return
	}
	request, nonce, err := parse(der)
	if err != nil {
		h.refuse(w, ocsp.MalformedRequestErrorResponse, err)
		return
	}
	if !h.answersFor(request) {
		h.refuse(w, ocsp.UnauthorizedErrorResponse, errors.New("another issuer's certificate"))
		return
	}
	now := h.cfg.Now().UTC().Truncate(time.Second)
	state, err := h.cfg.Status(r.Context(), request.SerialNumber)
	if err != nil {
		h.refuse(w, ocsp.InternalErrorErrorResponse, fmt.Errorf("serial number %x: %w", request.SerialNumber, err))
		return
	}
	reply, err := h.response(request, nonce, state, now)
	if err != nil {
		h.refuse(w, ocsp.InternalErrorErrorResponse, err)
		return
	}
	if r.Method == http.MethodGet && nonce == nil {
		h.letCache(w.Header(), reply, now)
	}
	w.Write(reply)
}

// refuse says why in one of the five words that OCSP has for it; the log says
// it in full.
func (h *Handler) refuse(w http.ResponseWriter, reply []byte, err error) {
	h.cfg.Log.Debug().Err(err).Msg("OCSP request not answered")
	w.Write(reply)
}

// letCache lets proxies keep the answer to a GET (RFC 5019 §6.2).
func (h *Handler) letCache(header http.Header, reply []byte, now time.Time) {
	header.Set("Cache-Control", fmt.Sprintf("max-age=%d, public, no-transform, must-revalidate", int(h.cfg.Validity.Seconds())))
	header.Set("Last-Modified", now.Format(http.TimeFormat))
	header.Set("Expires", now.Add(h.cfg.Validity).Format(http.TimeFormat))
	header.Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(reply)))
}

// read takes the request from the body, or from the path of a GET, which
// net/url has unescaped already.
func read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Method == http.MethodPost {
		return io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	if len(path) > base64.StdEncoding.EncodedLen(maxRequest) {
		return nil, fmt.Errorf("a path of %d bytes", len(path))
	}
	return base64.StdEncoding.DecodeString(path)
}

// parse reads a request about exactly one certificate, and its nonce if it has
// one. x/crypto/ocsp would answer the first of several and leave the client to
// guess, and does not see extensions.
func parse(der []byte) (*ocsp.Request, []byte, error) {
	request, err := ocsp.ParseRequest(der)
	if err != nil {
		return nil, nil, err
	}
	var outer struct {
		TBS struct {
			Version    int           `asn1:"explicit,tag:0,default:0,optional"`
			Requestor  asn1.RawValue `asn1:"explicit,tag:1,optional"` // a GeneralName
			List       []asn1.RawValue
			Extensions []pkix.Extension `asn1:"explicit,tag:2,optional"`
		}
	}
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return nil, nil, err
	}
	if n := len(outer.TBS.List); n != 1 {
		return nil, nil, fmt.Errorf("a request about %d certificates: ask about one at a time", n)
	}
	nonce, err := readNonce(outer.TBS.Extensions)
	return request, nonce, err
}
