package api

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"time"
)

type handler struct{ config Config }

// exchange is what the log says of one request.
type exchange struct {
	operation      string
	account, keyID string
	err            error // what went wrong within
	broken         bool  // the answer had begun when it went wrong
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	id := requestID()
	w.Header().Set(RequestIDHeader, id)
	recorded := &recorder{ResponseWriter: w}
	dialect := h.dialect(r)
	x := exchange{operation: "unknown"}
	h.serve(recorded, r, dialect, &x)

	took := time.Since(start)
	if recorded.status == 0 {
		recorded.status = http.StatusOK // net/http sends it for a handler that wrote nothing
	}
	h.config.Observe(x.operation, recorded.status, took)
	line := h.config.Log.Info()
	if recorded.status >= http.StatusInternalServerError || x.broken {
		line = h.config.Log.Error().Err(x.err)
	}
	line.Str("event", "api").Str("request", id).Str("method", fmt.Sprintf("%.20s", r.Method)).Str("operation", x.operation).
		Str("account", x.account).Str("key", x.keyID).
		Int("status", recorded.status).Dur("duration", took).Msg("api request")
	if x.broken {
		panic(http.ErrAbortHandler)
	}
}

func (h *handler) dialect(r *http.Request) Dialect {
	for _, d := range h.config.Dialects {
		if d.Speaks(r) {
			return d
		}
	}
	return h.config.Dialects[len(h.config.Dialects)-1]
}

// serve reads the body and lets the dialect answer. A panic below becomes a 500,
// unless the answer has begun: then all that can be done is to cut it off.
func (h *handler) serve(w *recorder, r *http.Request, d Dialect, x *exchange) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		x.err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		if x.broken = w.status != 0; !x.broken {
			d.Fail(w, http.StatusInternalServerError, "An internal failure occurred.")
		}
	}()
	if operation := d.Operation(r); operation != "" {
		x.operation = operation
	}
	body, err := io.ReadAll(http.MaxBytesReader(w.ResponseWriter, r.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		d.Fail(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("The request body must not be longer than %d bytes.", MaxBody))
	case err != nil:
		d.Fail(w, http.StatusBadRequest, "The request body could not be read to its end.")
	default:
		x.account, x.keyID, x.err = d.Serve(w, r, body)
	}
}

// recorder keeps the status that was sent; 0 is none yet.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// requestID returns a random UUID (RFC 9562 §5.4).
func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
