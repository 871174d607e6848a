// Package webhook tells other programs of events, by HTTP POST.
//
// Each receiver has a queue of its own and gets one request at a time, in the
// order of the events: whatever waits when a request is done goes out with the
// next one. So a quiet server sends each event by itself and at once, and a busy
// one fills its requests. A request that fails is sent again for ten minutes,
// with pauses that grow; meanwhile the queue takes what comes, and loses the
// oldest when it is full.
//
// What is promised: each event at least once while the server runs and the
// receiver is away for less than that. A crash of the server loses what waits.
// Nobody who tells of an event ever waits for a receiver.
package webhook

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
)

// Observer counts what becomes of events, of all receivers together. Its methods
// must not block.
type Observer interface {
	Delivered(events int)
	Failed(events int)            // given up, after tries or because the receiver refuses them
	Dropped(events int)           // lost from a full queue, or when the server stopped
	Queued(change int)            // how many more or fewer wait, those of a request under way among them
	Requested(took time.Duration) // of one request, whatever came of it
}

// Config is what a Sender is made of.
type Config struct {
	URLs     []string       // of the receivers, http or https
	Secret   []byte         // signs each request, see Sign; nil: they are not signed
	Roots    *x509.CertPool // of HTTPS receivers; nil: those of the system
	Timeout  time.Duration  // of one request; default 5 s
	Agent    string         // User-Agent; default muster
	Observer Observer       // nil for none
	Log      zerolog.Logger
}

// Sender tells receivers of events. Make it with New, run it with Run.
type Sender struct {
	receivers []*receiver
	client    *http.Client
	log       zerolog.Logger
}

// New makes a sender. It starts nothing.
func New(c Config) (*Sender, error) {
	if c.Timeout < 0 {
		return nil, errors.New("webhook: Timeout cannot be negative")
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Agent == "" {
		c.Agent = "muster"
	}
	if c.Observer == nil {
		c.Observer = unobserved{}
	}
	s := &Sender{client: newClient(c.Roots, c.Timeout), log: c.Log}
	for _, text := range c.URLs {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			return nil, errors.New("webhook: a receiver's URL is not one of http or https") // it may hold a token: not shown
		}
		name := u.Scheme + "://" + u.Host
		s.receivers = append(s.receivers, &receiver{
			url: text, secret: c.Secret, agent: c.Agent, client: s.client, observer: c.Observer,
			queue: newQueue(c.Observer), log: c.Log.With().Str("receiver", name).Logger(),
		})
	}
	return s, nil
}

// maxHeaders bounds the headers of a receiver's answer, in bytes.
const maxHeaders = 16 << 10

// newClient returns a client that follows no redirect: a receiver that moved is
// for the operator to say.
func newClient(roots *x509.CertPool, timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout:       timeout, // of all of it, the answer's body included
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    timeout,
			MaxResponseHeaderBytes: maxHeaders,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        time.Minute,
		},
	}
}

// message is an event as it is sent.
type message struct {
	ID string `json:"id"`
	muster.Event
}

// Tell puts an event into the queue of every receiver. It does not block.
func (s *Sender) Tell(e muster.Event) {
	if len(s.receivers) == 0 {
		return
	}
	text, err := json.Marshal(message{ID: rand.Text(), Event: e})
	if err != nil {
		s.log.Error().Err(err).Msg("an event could not be written")
		return
	}
	for _, r := range s.receivers {
		r.queue.put(text)
	}
}

// flushTime is how long what waits may still be sent when Run is to end.
const flushTime = 5 * time.Second

// Run sends until ctx ends, and then what still waits, for five seconds at most
// and until patient ends. It may be called once.
func (s *Sender) Run(ctx, patient context.Context) {
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer s.client.CloseIdleConnections()
	var running sync.WaitGroup
	for _, r := range s.receivers {
		running.Go(func() { r.run(ctx, sending) })
	}
	defer running.Wait()
	<-ctx.Done()
	ended := make(chan struct{})
	go func() {
		running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-patient.Done():
	case <-time.After(flushTime):
	}
	stop()
}

type unobserved struct{}

func (unobserved) Delivered(int)           {}
func (unobserved) Failed(int)              {}
func (unobserved) Dropped(int)             {}
func (unobserved) Queued(int)              {}
func (unobserved) Requested(time.Duration) {}
