package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/muster-mqtt/muster"
)

// Registry is what is asked of the registry. Its errors wrap those of muster.
type Registry interface {
	IssueCertificate(ctx context.Context, i muster.Issuance) (muster.Issued, error)
	// Provision applies what a template made of a certificate.
	Provision(ctx context.Context, p muster.Provisioning) (muster.Provisioned, error)
	Template(ctx context.Context, account, name string) (muster.Template, error)
	Certificate(ctx context.Context, account, id string) (muster.Certificate, error)
	// Principal finds claim certificates too.
	Principal(ctx context.Context, account, certificateID, clientID string) (muster.Principal, error)
}

// Asker is the connection that a request came by. Its methods may be called from
// any goroutine.
type Asker interface {
	// Listens reports whether an answer on a topic would reach the connection.
	Listens(topic string) bool
	// Answer sends a message to this connection and to nobody else, once and
	// without keeping it. It fails if Listens does.
	Answer(topic string, payload []byte) error
	// Gone reports whether the connection has ended.
	Gone() bool
}

// Request is a message to one of the topics, from a connection that may publish
// there.
type Request struct {
	Account       string
	CertificateID string // of the connection
	ClientID      string
	Remote        string // address and port
	Topic         string
	Payload       []byte // not to be changed any more
	Asker         Asker
}

// Observer counts. Its methods must not block.
type Observer interface {
	// Requested tells what came of a request: "accepted", a Code, or "unanswered"
	// when the connection had ended before it was worked on, or before it could be
	// told that it is accepted.
	Requested(op Operation, result string, took time.Duration)
}

// The results of a request besides the codes.
const (
	ResultAccepted   = "accepted"
	ResultUnanswered = "unanswered"
)

// Config is what a Service is made of.
type Config struct {
	Registry Registry
	Sealer   Sealer // of ownership tokens
	Caller   Caller // of pre-provisioning hooks
	// Hooks says by their ARNs where the hooks are.
	Hooks       map[string]string
	HookTimeout time.Duration        // default 5 s
	Concurrent  int                  // requests worked on at once; default 32
	Region      string               // of ARNs; default us-east-1
	Now         func() time.Time     // default time.Now
	Tell        func(muster.Event)   // of provisioning that failed; it must not block. nil for nobody
	Remember    func(muster.Refusal) // of the same, to be explained later; nil for nobody
	Observer    Observer             // nil for none
	Log         zerolog.Logger
}

// Service answers requests. Make it with New, run it with Run.
type Service struct {
	registry    Registry
	tokens      tokens
	codec       codec
	caller      Caller
	hooks       map[string]string
	hookTimeout time.Duration
	concurrent  int
	region      string
	now         func() time.Time
	observer    Observer
	queue       *queue
	unused      unused
	templates   templateCache
	failures    failures
	log         zerolog.Logger
	failureLog  zerolog.Logger // bounded rate, for what devices cause again and again
}

// maxFailureLines is how many failures the log tells of in a second.
const maxFailureLines = 50

// New makes a service. It starts nothing.
func New(c Config) (*Service, error) {
	if c.Registry == nil || c.Sealer == nil || c.Caller == nil {
		return nil, errors.New("fleet: Registry, Sealer and Caller are needed")
	}
	if c.HookTimeout < 0 || c.Concurrent < 0 {
		return nil, errors.New("fleet: HookTimeout and Concurrent cannot be negative")
	}
	if c.HookTimeout == 0 {
		c.HookTimeout = 5 * time.Second
	}
	if c.Concurrent == 0 {
		c.Concurrent = 32
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Observer == nil {
		c.Observer = unobserved{}
	}
	codec, err := newCodec()
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	return &Service{
		registry: c.Registry, tokens: tokens{c.Sealer}, codec: codec, caller: c.Caller, hooks: c.Hooks,
		hookTimeout: c.HookTimeout, concurrent: c.Concurrent, region: c.Region, now: c.Now, observer: c.Observer,
		queue: newQueue(c.Concurrent), failures: failures{tell: c.Tell, remember: c.Remember}, log: c.Log,
		failureLog: c.Log.Sample(&zerolog.BurstSampler{Burst: maxFailureLines, Period: time.Second}),
	}, nil
}

// Request takes a request, whose topic Serves knows. It does not block. Where
// there is no room the answer says so at once.
func (s *Service) Request(r Request) {
	a, ok := parseTopic(r.Topic)
	if !ok {
		return
	}
	start := s.now()
	switch {
	case len(r.Payload) > maxPayload:
		s.refuse(r, a, start, reject(CodePayload, "the request has %d bytes, at most %d are read", len(r.Payload), maxPayload))
	case !s.queue.put(r):
		s.refuse(r, a, start, reject(CodeThrottling, "too many requests wait; try again later"))
	}
}

// Run works on requests until ctx ends. What waits then is told so. It may be
// called once.
func (s *Service) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for range s.concurrent {
		workers.Go(func() { s.work(ctx) })
	}
	<-ctx.Done()
	for _, r := range s.queue.close() {
		a, _ := parseTopic(r.Topic)
		s.refuse(r, a, s.now(), reject(CodeUnavailable, "the server stops; try again"))
	}
	workers.Wait()
}

func (s *Service) work(ctx context.Context) {
	for {
		t, ok := s.queue.take()
		if !ok {
			return
		}
		s.serve(ctx, t.Request)
		s.queue.done(t)
	}
}

// requestTimeout bounds what one request may wait for besides its hook: the
// registry's disk, and a processor to make a key.
const requestTimeout = 30 * time.Second

// serve answers one request.
func (s *Service) serve(ctx context.Context, r Request) {
	a, _ := parseTopic(r.Topic)
	start := s.now()
	defer func() {
		if p := recover(); p != nil {
			s.refuse(r, a, start, reject(CodeInternal, "the server could not do it").because("panic: %v", p))
		}
	}()
	if r.Asker.Gone() {
		s.observer.Requested(a.op, ResultUnanswered, s.now().Sub(start))
		return
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout+s.hookTimeout)
	defer cancel()
	answer, err := s.grant(ctx, r, a)
	if err != nil {
		s.refuse(r, a, start, rejectionOf(err))
		return
	}
	s.respond(r, a, start, ResultAccepted, accepted, answer)
}

// grant does what is asked, and returns the answer.
func (s *Service) grant(ctx context.Context, r Request, a address) (any, error) {
	if !r.Asker.Listens(r.Topic + accepted) {
		return nil, reject(CodeNotSubscribed,
			"subscribe to %s%s first; without that nobody could get the answer, and nothing was done", r.Topic, accepted)
	}
	if a.op == OpThing {
		return s.provision(ctx, r, a)
	}
	return s.create(ctx, r, a)
}

// rejectedAnswer is the payload of a rejection.
type rejectedAnswer struct {
	StatusCode   int    `json:"statusCode"`
	ErrorCode    Code   `json:"errorCode"`
	ErrorMessage string `json:"errorMessage"`
}

// maxMessage bounds an errorMessage and what is logged of it, in bytes.
const maxMessage = 512

// refuse tells the device, the log, and whoever is told of failures.
func (s *Service) refuse(r Request, a address, start time.Time, why *rejection) {
	s.failureLog.Warn().Str("event", "fleet_refused").Str("operation", string(a.op)).Str("code", string(why.code)).
		Str("detail", short(why.Error())).Str("template", a.template).Str("certificate", r.CertificateID).
		Str("client", short(r.ClientID)).Str("account", r.Account).Str("remote", r.Remote).Msg("fleet provisioning refused")
	s.failures.note(r, a, why, s.now())
	s.respond(r, a, start, string(why.code), rejected,
		rejectedAnswer{why.code.status(), why.code, short(why.message)})
}

// short cuts a text that a device had a part in.
func short(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	return strings.ToValidUTF8(text[:maxMessage], "") + "…"
}

// respond sends the answer. One that does not arrive is lost: the device asks
// again.
func (s *Service) respond(r Request, a address, start time.Time, result, suffix string, answer any) {
	payload, err := s.codec.write(a.format, answer)
	if err == nil {
		err = r.Asker.Answer(r.Topic+suffix, payload)
	}
	if err != nil && result == ResultAccepted {
		s.failureLog.Info().Str("event", "fleet_unanswered").Err(err).Str("operation", string(a.op)).
			Str("certificate", r.CertificateID).Str("client", short(r.ClientID)).Str("account", r.Account).
			Msg("an answer of fleet provisioning did not reach the device")
		result = ResultUnanswered
	}
	s.observer.Requested(a.op, result, s.now().Sub(start))
}

type unobserved struct{}

func (unobserved) Requested(Operation, string, time.Duration) {}
