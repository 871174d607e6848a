package main

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestCrowd: the longest idle connection makes room for a new one, those in use
// stay, and where all are in use the new one is closed.
func TestCrowd(t *testing.T) {
	const most = 3
	release := make(chan struct{})
	server, noted := crowded(most, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-release
		}
	})
	defer server.Close()
	defer close(release)

	open := make([]*caller, most+1)
	for i := range open {
		open[i] = dialCaller(t, server)
		if !open[i].ask("/") {
			t.Fatalf("connection %d is not served", i)
		}
		await(t, noted, http.StateIdle)
	}
	if open[0].ask("/") {
		t.Error("the longest idle connection is still open")
	}
	for i, o := range open[1:] {
		if !o.ask("/wait") {
			t.Errorf("connection %d was closed", i+1)
		}
	}
	if dialCaller(t, server).ask("/") {
		t.Error("a connection more than there may be is served")
	}
}

// TestCrowdForgets: what is closed takes no place.
func TestCrowdForgets(t *testing.T) {
	const most = 1
	server, noted := crowded(most, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
	})
	defer server.Close()
	for range 5 {
		if !dialCaller(t, server).ask("/") {
			t.Fatal("not served")
		}
		await(t, noted, http.StateClosed)
	}
}

// crowded starts a server of few connections. It tells of their states once its
// crowd knows them.
func crowded(most int, h http.HandlerFunc) (*httptest.Server, <-chan http.ConnState) {
	c, noted := newCrowd(most), make(chan http.ConnState, 100)
	server := httptest.NewUnstartedServer(h)
	server.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		c.note(conn, state)
		noted <- state
	}
	server.StartTLS()
	return server, noted
}

func await(t *testing.T, noted <-chan http.ConnState, want http.ConnState) {
	t.Helper()
	for {
		select {
		case state := <-noted:
			if state == want {
				return
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no connection became %s", want)
		}
	}
}

// caller is a connection to the server.
type caller struct{ conn net.Conn }

func dialCaller(t *testing.T, server *httptest.Server) *caller {
	t.Helper()
	raw, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	if err := raw.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &caller{tls.Client(raw, &tls.Config{InsecureSkipVerify: true})} //nolint:gosec // a test's own server
}

// ask reports whether a request is answered.
func (c *caller) ask(path string) bool {
	if _, err := c.conn.Write([]byte("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		return false
	}
	answer, err := http.ReadResponse(bufio.NewReader(c.conn), nil)
	return err == nil && answer.StatusCode > 0
}
