package ocsp_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/internal/testpki"
	"github.com/muster-mqtt/muster/ocsp"
)

const get, post = http.MethodGet, http.MethodPost

// GET is tried first where it can be, POST where it does not help, and that
// is found out once.
func TestMethods(t *testing.T) {
	cases := []struct {
		fault testpki.Fault
		want  []string // for two certificates
	}{
		{testpki.None, []string{get, get}},
		{testpki.GetRefused, []string{get, post, post}},
		{testpki.GetPage, []string{get, post, post}},
		{testpki.GetReset, []string{get, post, post}},
		{testpki.PostAlone, []string{get, post, post}},
	}
	for _, k := range cases {
		t.Run(string(k.fault), func(t *testing.T) {
			b := newBench(t)
			b.Fail(k.fault)
			r := newRecord()
			b.cfg.Observe = r.observe
			c := b.client(t)
			for range 2 {
				if a := b.check(t, c); a.Status != ocsp.Good {
					t.Errorf("%+v", a)
				}
				b.leaf = b.Issue(t, mint.Request{})
			}
			if got := b.Methods(); !slices.Equal(got, k.want) {
				t.Errorf("asked by %q, want %q", got, k.want)
			}
			events := r.take()
			if len(events) != 2 || events[1].Kind != ocsp.EventAsked || events[1].Method != k.want[len(k.want)-1] || events[1].Status != ocsp.Good {
				t.Errorf("told %+v", events)
			}
		})
	}
}

// One that learns GET later is asked so again once POST fails.
func TestMethodIsLearntAnew(t *testing.T) {
	b := newBench(t)
	c := b.client(t)
	for _, fault := range []testpki.Fault{testpki.GetRefused, testpki.Garbage, testpki.None} {
		b.Fail(fault)
		b.check(t, c)
		b.leaf = b.Issue(t, mint.Request{})
	}
	if want, got := []string{get, post, post, get}, b.Methods(); !slices.Equal(got, want) {
		t.Errorf("asked by %q, want %q", got, want)
	}
}

// What GET must not carry goes by POST at once.
func TestMethodsPostAtOnce(t *testing.T) {
	b := newBench(t)
	c := b.client(t)
	for name, settings := range map[string]muster.OCSPSettings{
		"long":     {Responder: b.URL + "/" + strings.Repeat("x", 160)},
		"query":    {Responder: b.URL + "/?issuer=1"},
		"nonce":    {Nonce: muster.OCSPNonceOptional},
		"required": {Nonce: muster.OCSPNonceRequired},
	} {
		b.leaf = b.Issue(t, mint.Request{})
		before := len(b.Methods())
		if a := b.ask(t, c, settings); a.Status != ocsp.Good {
			t.Errorf("%s: %+v", name, a)
		}
		if got := b.Methods()[before:]; !slices.Equal(got, []string{post}) {
			t.Errorf("%s: asked by %q", name, got)
		}
	}
}

// When neither works, both are told.
func TestMethodsBothFail(t *testing.T) {
	b := newBench(t)
	b.Fail(testpki.Reset)
	a := b.check(t, b.client(t))
	if a.Fault != ocsp.FaultBroken {
		t.Errorf("%+v", a)
	}
	if want, got := []string{get, post}, b.Methods(); !slices.Equal(got, want) {
		t.Errorf("asked by %q, want %q", got, want)
	}
}
