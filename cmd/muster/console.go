package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster/api/admin"
	"github.com/muster-mqtt/muster/config"
)

// console is how a command reaches the registry: by the socket of the running
// server, for badger locks its folder; or, when none runs, by the same handler
// on the registry that the command opens itself.
type console struct {
	client *http.Client
	close  func() error
}

// operate reads the configuration and calls do with a way to its registry.
func operate(cmd *cobra.Command, configPath string, do func(*console) error) error {
	c, err := loadConfig(configPath)
	if err != nil {
		return err
	}
	o, err := openConsole(cmd.Context(), c)
	if err != nil {
		return err
	}
	return errors.Join(do(o), o.close())
}

func openConsole(ctx context.Context, c *config.Config) (*console, error) {
	path := filepath.Join(c.Admin.Path, socketFile)
	if len(path) <= maxSocketPath { // else no server can have bound it
		switch first, err := dialSocket(ctx, path); {
		case err == nil:
			o := serverConsole(path)
			return o, errors.Join(first.Close(), o.holds(ctx, c.Registry.Path))
		case !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, os.ErrNotExist):
			return nil, fmt.Errorf("the server's admin socket: %w", err)
		}
	}
	return registryConsole(ctx, c)
}

func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", path)
}

// serverConsole asks the server behind a socket.
func serverConsole(socket string) *console {
	return &console{
		client: newClient(func(ctx context.Context) (net.Conn, error) { return dialSocket(ctx, socket) }),
		close:  func() error { return nil },
	}
}

// holds fails if the server has another registry open than the configuration
// says, as the environment may have it. A folder that cannot be seen from here,
// because the server runs in a container, tells nothing.
func (o *console) holds(ctx context.Context, folder string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://muster/health", nil)
	if err != nil {
		return err
	}
	w, err := o.client.Do(r)
	if err != nil {
		return err
	}
	defer w.Body.Close()
	var h admin.Health
	if err := json.NewDecoder(w.Body).Decode(&h); err != nil || h.Registry == "" {
		return nil // a server of another version; the question itself will tell
	}
	theirs, err := os.Stat(h.Registry)
	if ours, missing := os.Stat(folder); err == nil && (missing != nil || !os.SameFile(ours, theirs)) {
		return fmt.Errorf("the server that runs here has the registry %s open, and the configuration says %s; "+
			"stop that server, or take the other registry's configuration", h.Registry, folder)
	}
	return nil
}

func newClient(dial func(context.Context) (net.Conn, error)) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}}
}

// registryConsole opens the registry and answers from within this process.
func registryConsole(ctx context.Context, c *config.Config) (*console, error) {
	s, err := openState(ctx, c, zerolog.Nop(), nil)
	if err != nil {
		return nil, err
	}
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: s.admin.Handler(), ReadHeaderTimeout: headerTimeout}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	return &console{client: newClient(l.dial), close: func() error {
		err := server.Shutdown(context.WithoutCancel(ctx))
		if end := <-served; !errors.Is(end, http.ErrServerClosed) {
			err = errors.Join(err, end)
		}
		return errors.Join(err, s.close())
	}}, nil
}

// pipes is a listener in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

// answerTimeout bounds a question that is answered at once.
const answerTimeout = time.Minute

// call asks one question.
func call[Out, In any](ctx context.Context, o *console, path string, in In) (out Out, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	body, err := o.post(ctx, path, in)
	if err != nil {
		return out, err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&out); err != nil {
		return out, fmt.Errorf("the server's answer: %w", err)
	}
	return out, nil
}

// follow asks for something that takes its time, and calls told for each value
// of the answer until it ends.
func follow[Value, In any](ctx context.Context, o *console, path string, in In, told func(Value) error) error {
	body, err := o.post(ctx, path, in)
	if err != nil {
		return err
	}
	defer body.Close()
	for lines := json.NewDecoder(body); ; {
		var e admin.Event[Value]
		err := lines.Decode(&e)
		switch {
		case errors.Is(err, io.EOF):
			return errors.New("the server broke off; what it told until then is done")
		case err != nil:
			return fmt.Errorf("the server's answer: %w", err)
		case e.Error != "":
			return errors.New(e.Error)
		case e.Done:
			return nil
		case e.Value != nil:
			if err := told(*e.Value); err != nil {
				return err
			}
		}
	}
}

// post returns the body of an answer that is 200 OK.
func (o *console) post(ctx context.Context, path string, in any) (io.ReadCloser, error) {
	w, err := o.ask(ctx, path, in)
	if err != nil {
		return nil, err
	}
	return w.Body, nil
}

// ask returns an answer that is 200 OK.
func (o *console) ask(ctx context.Context, path string, in any) (*http.Response, error) {
	text, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://muster/"+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	w, err := o.client.Do(r)
	if err != nil {
		return nil, err
	}
	if w.StatusCode == http.StatusOK {
		return w, nil
	}
	defer w.Body.Close()
	var failed admin.Failure
	if err := json.NewDecoder(w.Body).Decode(&failed); err != nil || failed.Error == "" {
		return nil, fmt.Errorf("the server answers %s to %s; do the command and the server have the same version?", w.Status, path)
	}
	return nil, errors.New(failed.Error)
}
