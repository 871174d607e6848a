package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/rs/zerolog"
)

// MaxBody is the size in bytes that a request's body may have. The largest that
// is of use, two certificates and a template, stays far below.
const MaxBody = 1 << 20

// RequestIDHeader is the header of a response that carries the request's id,
// which the log has too.
const RequestIDHeader = "X-Amzn-RequestId"

// Dialect is the protocol of one control plane. Its methods are called from many
// goroutines at once. If Operation or Serve panics, Fail ends the request.
type Dialect interface {
	// Speaks reports whether r is written in this dialect.
	Speaks(r *http.Request) bool
	// Operation names what r asks for, in the vendor's word; "" if the dialect
	// has no such operation. It must be one of a fixed set, for it becomes the
	// label of a metric.
	Operation(r *http.Request) string
	// Serve authenticates r, acts and answers. Its body was read into body. It
	// returns who asked, as far as that is known, and what went wrong within,
	// if anything did: that is for the log and was not told to the client.
	Serve(w http.ResponseWriter, r *http.Request, body []byte) (account, keyID string, err error)
	// Fail answers with an error that arose outside of Serve.
	Fail(w http.ResponseWriter, status int, message string)
}

// Config is what New needs.
type Config struct {
	// Dialects are asked in this order whether they speak a request's language;
	// what none of them speaks is the last one's, whose clients then get an
	// error that they can read. At least one.
	Dialects []Dialect
	Log      zerolog.Logger // one line a request, without bodies and secrets
	// Observe is told of every request once it is answered; nil is allowed. The
	// operation is "unknown" where no dialect knows one.
	Observe func(operation string, status int, d time.Duration)
}

// New returns the handler of the API. The timeouts of reading and writing are
// those of the http.Server in front of it.
func New(c Config) (http.Handler, error) {
	if len(c.Dialects) == 0 {
		return nil, errors.New("api: no dialect")
	}
	if c.Observe == nil {
		c.Observe = func(string, int, time.Duration) {}
	}
	return &handler{config: c}, nil
}
