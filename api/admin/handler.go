package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/muster-mqtt/muster"
)

// maxRequest is the size in bytes of a request's body: two certificates and a
// template, with room.
const maxRequest = 256 << 10

// Handler serves GET /health, and by POST what the methods of Admin answer.
func (a *Admin) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { a.reply(w, http.StatusOK, Health{a.config.Folder}) })
	mux.HandleFunc("POST /backup", a.backup)
	mux.Handle("POST /explain", answers(a, a.Explain))
	mux.Handle("POST /refusals", answers(a, a.Refusals))
	mux.Handle("POST /reload", answers(a, a.Reload))
	a.certificateRoutes(mux)
	a.accountRoutes(mux)
	a.keyRoutes(mux)
	a.policyRoutes(mux)
	a.templateRoutes(mux)
	a.authorityRoutes(mux)
	return a.logged(mux)
}

// logged tells the log of what operators ask for, but not of probes.
func (a *Admin) logged(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		h.ServeHTTP(w, r)
		if r.Method == http.MethodPost {
			a.config.Log.Info().Str("event", "admin").Str("operation", strings.TrimPrefix(r.URL.Path, "/")).
				Dur("duration", time.Since(start)).Msg("operator's request")
		}
	})
}

// Health is what a server that answers says of itself.
type Health struct {
	Registry string `json:"registry,omitempty"` // the folder of its registry, absolute
}

// Failure is the body of an answer that is not 200 OK.
type Failure struct {
	Error string `json:"error"`
}

// Event is one line of an answer that comes by and by: a value, or the end. An
// answer that breaks off has no line that is Done or has an Error.
type Event[T any] struct {
	Value *T     `json:"value,omitempty"`
	Error string `json:"error,omitempty"`
	Done  bool   `json:"done,omitempty"`
}

// answers makes a handler of a method: JSON in, JSON out. A member of the
// request that the method does not know is an error, so that a newer command
// line is not half understood.
func answers[In, Out any](a *Admin, method func(context.Context, In) (Out, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, err := decode[In](w, r)
		if err != nil {
			a.reply(w, http.StatusBadRequest, Failure{err.Error()})
			return
		}
		out, err := method(r.Context(), in)
		if err != nil {
			status, text := a.failure(r, err)
			a.reply(w, status, Failure{text})
			return
		}
		a.reply(w, http.StatusOK, out)
	})
}

// tells makes a handler of a method that tells many values: JSON in, a line of
// JSON for each Event out. It may take as long as it wants.
func tells[In, Value any](a *Admin, method func(context.Context, In, func(Value) error) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, err := decode[In](w, r)
		if err != nil {
			a.reply(w, http.StatusBadRequest, Failure{err.Error()})
			return
		}
		line := http.NewResponseController(w)
		_ = line.SetWriteDeadline(time.Time{}) // a server without deadlines needs none lifted
		w.Header().Set("Content-Type", "application/jsonl")
		out := json.NewEncoder(w)
		err = method(r.Context(), in, func(v Value) error {
			if err := out.Encode(Event[Value]{Value: &v}); err != nil {
				return err
			}
			return line.Flush()
		})
		last := Event[Value]{Done: err == nil}
		if err != nil {
			_, last.Error = a.failure(r, err)
		}
		_ = out.Encode(last) // an operator who has gone needs no last line
	})
}

func decode[In any](w http.ResponseWriter, r *http.Request) (in In, err error) {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return in, fmt.Errorf("the request is not what this server understands: %w; do the command and the server have the same version?", err)
	}
	return in, nil
}

// failure says how to answer an error. What is not the operator's to mend goes
// to the log.
func (a *Admin) failure(r *http.Request, err error) (status int, text string) {
	for _, class := range []struct {
		status int
		errors []error
	}{
		{http.StatusNotFound, []error{muster.ErrNotFound}},
		{http.StatusBadRequest, []error{muster.ErrInvalid, muster.ErrCertificate, muster.ErrMalformedPolicy}},
		{http.StatusConflict, []error{muster.ErrExists, muster.ErrState, muster.ErrInUse, muster.ErrLimit, muster.ErrAmbiguous, muster.ErrConflict}},
	} {
		for _, is := range class.errors {
			if errors.Is(err, is) {
				return class.status, err.Error()
			}
		}
	}
	a.config.Log.Error().Err(err).Str("path", r.URL.Path).Msg("an operator's request failed")
	return http.StatusInternalServerError, "it could not be carried out; see the log of the server"
}

func (a *Admin) reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		a.config.Log.Debug().Err(err).Msg("answering an operator")
	}
}
