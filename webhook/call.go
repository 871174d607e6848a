package webhook

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// maxReply is how long the answer to a call may be, in bytes.
const maxReply = 64 << 10

// CallerConfig is what a Caller is made of.
type CallerConfig struct {
	Secret  []byte         // signs each request, see Sign; nil: they are not signed
	Roots   *x509.CertPool // of HTTPS; nil: those of the system
	Timeout time.Duration  // of one call; default 5 s. The context of a call may end it before
	Idle    int            // connections that are kept to one host; default 32
	Agent   string         // User-Agent; default muster
}

// Caller asks other programs, by HTTP POST, and waits for what they answer: once,
// with no queue and no second try. It is safe for concurrent use.
type Caller struct {
	secret []byte
	agent  string
	client *http.Client
}

// NewCaller makes a caller. It starts nothing.
func NewCaller(c CallerConfig) (*Caller, error) {
	if c.Timeout < 0 || c.Idle < 0 {
		return nil, errors.New("webhook: Timeout and Idle cannot be negative")
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Idle == 0 {
		c.Idle = 32
	}
	if c.Agent == "" {
		c.Agent = "muster"
	}
	client := newClient(c.Roots, c.Timeout)
	client.Transport.(*http.Transport).MaxIdleConnsPerHost = c.Idle
	return &Caller{secret: c.Secret, agent: c.Agent, client: client}, nil
}

// Call posts JSON and returns the body of an answer of success. Another status, a
// redirect, an answer of more than 64 KiB and one that comes too late are errors;
// none shows the URL, which may hold a token.
func (c *Caller) Call(ctx context.Context, target string, body []byte) ([]byte, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return nil, unnamed(err)
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("User-Agent", c.agent)
	if c.secret != nil {
		q.Header.Set("Muster-Signature", Sign(c.secret, time.Now(), body))
	}
	w, err := c.client.Do(q)
	if err != nil {
		return nil, unnamed(err)
	}
	defer w.Body.Close() // nothing was written to it
	if w.StatusCode/100 != 2 {
		text := fmt.Sprintf("it answered %d %s", w.StatusCode, http.StatusText(w.StatusCode))
		if w.StatusCode/100 == 3 {
			text += "; redirects are not followed"
		}
		return nil, errors.New(text)
	}
	reply, err := io.ReadAll(io.LimitReader(w.Body, maxReply+1))
	if err != nil {
		return nil, unnamed(err)
	}
	if len(reply) > maxReply {
		return nil, fmt.Errorf("its answer has more than %d bytes", maxReply)
	}
	return reply, nil
}

// Close closes the connections that are kept.
func (c *Caller) Close() { c.client.CloseIdleConnections() }
