package awsiot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/muster-mqtt/muster/api/sigv4"
	"github.com/muster-mqtt/muster/registry"
)

// Config is what New needs. Every field without a default is needed.
type Config struct {
	Store  *registry.Store
	Region string           // of ARNs and of the scope of signatures
	Now    func() time.Time // the clock that signatures are held to; default time.Now
	// RequestsPerKey is how many requests a second an access key may make; a burst
	// may have twice as many. 0 is no limit.
	RequestsPerKey int
	// Publishable reports whether devices may publish on a topic that begins with $,
	// if their policies allow it. nil: on none.
	Publishable func(topic string) bool
}

// Dialect answers requests to AWS IoT. It is safe for concurrent use.
type Dialect struct {
	store    *registry.Store
	region   string
	now      func() time.Time
	verifier *sigv4.Verifier
	rates    keyRates
	routes   []route
	// publishable is Config.Publishable; nil is allowed.
	publishable func(topic string) bool
}

// New returns the dialect.
func New(c Config) (*Dialect, error) {
	if c.Store == nil {
		return nil, errors.New("awsiot: Store is needed")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	verifier, err := sigv4.New(sigv4.Config{
		Keys: c.Store,
		// Older service models, among them that of Debian 12's aws-cli 2.9.19,
		// sign AWS IoT by the name of API Gateway.
		Services: []string{"iot", "execute-api"},
		Region:   c.Region,
		Now:      c.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("awsiot: %w", err)
	}
	d := &Dialect{
		store: c.Store, region: c.Region, now: c.Now, verifier: verifier, publishable: c.Publishable,
		rates:  newKeyRates(),
		routes: routes(slices.Concat(operations(), refusedOperations())),
	}
	d.SetRequestsPerKey(c.RequestsPerKey)
	return d, nil
}

// Speaks is true: AWS IoT spreads its paths over the whole host, so that its
// dialect comes last and answers what no other one does.
func (d *Dialect) Speaks(*http.Request) bool { return true }

// Operation returns the name that AWS gives to what r asks for, or "".
func (d *Dialect) Operation(r *http.Request) string {
	m := match(d.routes, r)
	if m.operation == nil {
		return ""
	}
	return m.operation.name
}

// Serve authenticates the request, runs its operation and answers. It returns
// who asked and, where the answer is an internal failure, its cause.
func (d *Dialect) Serve(w http.ResponseWriter, r *http.Request, body []byte) (account, keyID string, err error) {
	// SDKs correct their clock by it when a signature is refused for its time, and
	// look at it after each answer.
	w.Header().Set("Date", d.now().UTC().Format(http.TimeFormat))
	request, err := d.verifier.Verify(r, body)
	if err != nil {
		return "", request.Key.ID, d.answerFault(w, "", err)
	}
	key, m := request.Key, match(d.routes, r)
	d.store.NoteAccessKey(key.ID)
	if err := d.allow(key, m.operation); err != nil {
		return key.Account, key.ID, d.answerFault(w, key.Account, err)
	}
	out, err := d.run(r.Context(), m, &call{account: key.Account, query: r.URL.Query(), header: r.Header, body: request.Body, reply: w.Header()})
	if err != nil {
		return key.Account, key.ID, d.answerFault(w, key.Account, err)
	}
	encoded, err := json.Marshal(out)
	if err != nil {
		return key.Account, key.ID, d.answerFault(w, key.Account, fmt.Errorf("encode answer: %w", err))
	}
	answer(w, http.StatusOK, encoded)
	return key.Account, key.ID, nil
}

func (d *Dialect) run(ctx context.Context, m matched, c *call) (any, error) {
	if m.operation == nil {
		return nil, m.fault()
	}
	if c.once(); c.err != nil {
		return nil, c.err
	}
	c.labels = m.labels
	out, err := m.operation.do(d, ctx, c)
	if errors.Is(err, registry.ErrCursor) {
		err = invalidRequest("%s: is none that an earlier answer gave", c.paged)
	}
	if err != nil {
		return nil, err
	}
	if out == nil {
		out = struct{}{}
	}
	return out, nil
}

// Fail answers with an error that arose before or outside an operation.
func (d *Dialect) Fail(w http.ResponseWriter, status int, message string) {
	f := &fault{status: status, code: "InvalidRequestException", message: message}
	switch {
	case status >= http.StatusInternalServerError:
		f.code = "InternalFailureException"
	case status == http.StatusRequestEntityTooLarge:
		f.code = "RequestEntityTooLargeException"
	}
	f.answer(w)
}

// answerFault tells the client what went wrong, and returns it if it is ours to
// mend.
func (d *Dialect) answerFault(w http.ResponseWriter, account string, err error) error {
	f := translate(err, d.region, account)
	f.answer(w)
	if f.status >= http.StatusInternalServerError {
		return err
	}
	return nil
}

func answer(w http.ResponseWriter, status int, encoded []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(encoded) // a client that went away is no failure of ours
}
