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

// exchange sends requests to responders.
type exchange struct {
	firstReply time.Duration // from the start to the end of the reply's header
	maxBody    int64
}

// failure is why no response came.
type failure struct {
	fault Fault
	err   error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func noResponse(f Fault, format string, args ...any) *failure {
	return &failure{f, fmt.Errorf(format, args...)}
}

// faultOf returns the word for an error of this package.
func faultOf(err error) Fault {
	if _, ok := errors.AsType[*heldOff](err); ok {
		return FaultHeldOff
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f.fault
	}
	if r, ok := errors.AsType[*ResponseError](err); ok {
		return r.Fault
	}
	return FaultBroken
}

// get asks by GET.
func (e *exchange) get(ctx context.Context, client *http.Client, target string) ([]byte, error) {
	req, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		return nil, noResponse(FaultSettings, "its URL: %w", err)
	}
	return e.do(ctx, client, req)
}

// post asks by POST.
func (e *exchange) post(ctx context.Context, client *http.Client, target string, request []byte) ([]byte, error) {
	req, err := http.NewRequest(http.MethodPost, target, bytes.NewReader(request))
	if err != nil {
		return nil, noResponse(FaultSettings, "its URL: %w", err)
	}
	req.Header.Set("Content-Type", "application/ocsp-request")
	return e.do(ctx, client, req)
}

// do returns the body of the reply. The content type does not matter: the
// signature tells.
func (e *exchange) do(ctx context.Context, client *http.Client, req *http.Request) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slow := time.AfterFunc(e.firstReply, func() { cancel(noResponse(FaultTimeout, "no reply within %s", e.firstReply)) })
	defer slow.Stop()
	req.Header.Set("Accept", "application/ocsp-response")
	reply, err := client.Do(req.WithContext(ctx))
	if err != nil {
		return nil, classify(ctx, err)
	}
	defer reply.Body.Close()
	slow.Stop()
	return e.read(ctx, reply)
}

func (e *exchange) read(ctx context.Context, reply *http.Response) ([]byte, error) {
	switch code := reply.StatusCode; {
	case code >= 300 && code < 400:
		return nil, noResponse(FaultRedirect, "HTTP status %d: redirects are not followed", code)
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		return nil, noResponse(FaultTryLater, "HTTP status %d", code)
	case code != http.StatusOK:
		return nil, noResponse(FaultHTTPStatus, "HTTP status %d", code)
	}
	body, err := io.ReadAll(io.LimitReader(reply.Body, e.maxBody+1))
	if err != nil {
		return nil, classify(ctx, fmt.Errorf("reading the reply: %w", err))
	}
	if int64(len(body)) > e.maxBody {
		return nil, noResponse(FaultOversized, "the reply is longer than %d bytes", e.maxBody)
	}
	return body, nil
}

// classify finds the word for an error of net/http. Why ctx ended, if it did,
// says more than the error.
func classify(ctx context.Context, err error) *failure {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err // without the URL before it
	}
	switch {
	case errors.Is(err, errForbidden):
		return &failure{FaultForbidden, err}
	case isTLS(err):
		return &failure{FaultTLS, err}
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		switch op.Op {
		case "dial":
			return &failure{FaultConnect, err}
		case "remote error": // an alert of TLS; only QUIC has a type for it
			return &failure{FaultTLS, err}
		}
	}
	return &failure{FaultBroken, err}
}

// ended says why ctx ended: because time was up, or because the Client was
// closed.
func ended(ctx context.Context) *failure {
	if f, ok := errors.AsType[*failure](context.Cause(ctx)); ok {
		return f
	}
	return &failure{FaultEnded, context.Cause(ctx)}
}

func isTLS(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.HostnameError](err)
	return ok || errors.Is(err, http.ErrSchemeMismatch)
}
