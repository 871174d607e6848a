package ocsp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// exchange sends requests to responders. It follows no redirect, reads no
// proxy from the environment and dials nothing that its guard refuses.
type exchange struct {
	client      *http.Client
	firstReply  time.Duration // from the start to the end of the reply's header
	maxBody     int64
	concurrency *limiter
}

func newExchange(cfg Config) (*exchange, error) {
	g, err := newGuard(cfg.AllowPrivate)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Control: g.control}
	return &exchange{
		client: &http.Client{
			Transport: &http.Transport{
				Proxy:                  nil, // a proxy would dial for us, past the guard
				DialContext:            dialer.DialContext,
				TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.Roots},
				DisableCompression:     true, // the bound on the body is one on what was sent
				MaxIdleConns:           64,
				MaxIdleConnsPerHost:    4,
				IdleConnTimeout:        30 * time.Second,
				MaxResponseHeaderBytes: 16 << 10,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		firstReply:  cfg.FirstReply,
		maxBody:     cfg.MaxBody,
		concurrency: newLimiter(cfg.Concurrent, cfg.ConcurrentPerResponder),
	}, nil
}

// do asks the responder at u, which usable approved, and returns the body of
// its reply. The content type does not matter: the signature tells.
func (e *exchange) do(ctx context.Context, u *url.URL, request []byte) ([]byte, error) {
	release, err := e.concurrency.acquire(ctx, u.Host)
	if err != nil {
		return nil, fmt.Errorf("waiting for other requests to end: %w", cause(ctx, err))
	}
	defer release()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slow := time.AfterFunc(e.firstReply, func() { cancel(fmt.Errorf("no reply within %s", e.firstReply)) })
	defer slow.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/ocsp-request")
	req.Header.Set("Accept", "application/ocsp-response")
	reply, err := e.client.Do(req)
	if err != nil {
		return nil, cause(ctx, err)
	}
	defer reply.Body.Close()
	slow.Stop()
	return e.read(ctx, reply)
}

func (e *exchange) read(ctx context.Context, reply *http.Response) ([]byte, error) {
	switch {
	case reply.StatusCode >= 300 && reply.StatusCode < 400:
		return nil, fmt.Errorf("HTTP status %d: redirects are not followed", reply.StatusCode)
	case reply.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("HTTP status %d", reply.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(reply.Body, e.maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("reading the reply: %w", cause(ctx, err))
	}
	if int64(len(body)) > e.maxBody {
		return nil, fmt.Errorf("the reply is longer than %d bytes", e.maxBody)
	}
	return body, nil
}

// cause returns why ctx ended if it did, for that says more than err, and else
// err without the URL that net/http puts before it.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return ue.Err
	}
	return err
}

// maxURLs is how many of a certificate's responders are asked.
const maxURLs = 3

// usable returns the URLs of leaf that can be asked, in its order.
func usable(leaf *x509.Certificate) []*url.URL {
	var list []*url.URL
	for _, raw := range leaf.OCSPServer {
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			continue
		}
		if list = append(list, u); len(list) == maxURLs {
			break
		}
	}
	return list
}
