package broker_test

import (
	"context"
	"crypto/x509/pkix"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/broker"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
)

const lastWords = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/last/*"}]}`

// TestWhatEndsASession: every change that takes away what a session stands on
// closes it, tells clients of MQTT 5 why and sends those of 3.1.1 nothing, is
// counted once, is explained, and has the will go out.
func TestWhatEndsASession(t *testing.T) {
	setStatus := func(s muster.Status) func(*fixture, *mint.Leaf) {
		return func(f *fixture, l *mint.Leaf) {
			_, err := f.store.UpdateCertificateStatus(f.t.Context(), account, id(l), s)
			must(f.t, err)
		}
	}
	for name, tc := range map[string]struct {
		change func(*fixture, *mint.Leaf)
		code   byte
		reason muster.Reason
	}{
		"revoked":     {setStatus(muster.Revoked), 0x98, muster.ReasonRevoked},
		"deactivated": {setStatus(muster.Inactive), 0x87, muster.ReasonInactive},
		"policy detached": {func(f *fixture, l *mint.Leaf) {
			must(f.t, f.store.DetachPolicy(f.t.Context(), account, "all", muster.KindCertificate, id(l)))
		}, 0x87, muster.ReasonPolicyDenied},
		"denied by one more policy": {func(f *fixture, l *mint.Leaf) {
			f.policy("deny", `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"iot:Connect","Resource":"*"}}`)
			must(f.t, f.store.AttachPolicy(f.t.Context(), account, "deny", muster.KindCertificate, id(l)))
		}, 0x87, muster.ReasonPolicyDenied},
		"revoked by OCSP": {func(f *fixture, l *mint.Leaf) {
			f.setAnswer(l, admission.Answer{Status: admission.AnswerRevoked})
			f.recheck(20 * time.Millisecond)
		}, 0x98, muster.ReasonRevoked},
		"put on hold by OCSP": {func(f *fixture, l *mint.Leaf) {
			f.setAnswer(l, admission.Answer{Status: admission.AnswerRevoked, Hold: true})
			f.recheck(20 * time.Millisecond)
		}, 0x98, muster.ReasonRevoked},
		"revoked with the authority's others": {func(f *fixture, l *mint.Leaf) {
			settled, err := f.store.Settle(f.t.Context(), account, []string{id(l)},
				registry.Settlement{Status: muster.Revoked, From: []muster.Status{muster.Active}})
			if err != nil || len(settled) != 1 || settled[0].Outcome != registry.OutcomeDone {
				f.t.Fatalf("settled %+v, %v", settled, err)
			}
		}, 0x98, muster.ReasonRevoked},
		"expired": {func(*fixture, *mint.Leaf) {}, 0x87, muster.ReasonOutsideValidity}, // by itself
	} {
		for kind, version := range versions {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t, options{gate: func(c *admission.Config) { c.Skew = time.Millisecond }})
				a := f.supervised(muster.OCSPHard)
				f.policy("watch", allowAll)
				f.policy("last", lastWords)
				watcher := f.admitted(f.registered("watcher", "watch"), "watcher")
				watcher.subscribe(t, "last/#")
				q := mint.Request{Subject: pkix.Name{CommonName: "sensor"}}
				if name == "expired" {
					q.NotAfter = time.Now().Add(3 * time.Second)
				}
				l, err := a.Issue(q)
				must(t, err)
				c := f.raw(l, version)
				c.admitted("sensor", withWill("last/sensor"))
				must(t, f.store.AttachPolicy(t.Context(), account, "last", muster.KindCertificate, id(l)))
				tc.change(f, l)
				last := c.end()
				switch {
				case version < 5 && last.FixedHeader.Type == packets.Disconnect:
					t.Errorf("3.1.1 was sent %+v", last)
				case version == 5 && (last.FixedHeader.Type != packets.Disconnect || last.ReasonCode != tc.code ||
					!strings.HasPrefix(last.Properties.ReasonString, string(tc.reason)+": ")):
					t.Errorf("ended with %+v", last)
				}
				if will := watcher.next(t); will.Topic != "last/sensor" {
					t.Errorf("%s came instead of the will", will.Topic)
				}
				f.seen.wait(t, "kicked "+string(tc.reason), func(n int) bool { return n == 1 })
				r := f.memory.Recall(id(l)) // noted beside the closing
				for end := time.Now().Add(patience); len(r) == 0 && time.Now().Before(end); r = f.memory.Recall(id(l)) {
					runtime.Gosched()
				}
				if len(r) != 1 || r[0].Reason != tc.reason {
					t.Errorf("explain knows %+v", r)
				}
			})
		}
	}
}

// TestRevokedBeforeConnect: a connection that has shaken hands and says nothing
// is closed by the revocation, not by the time that it has for CONNECT.
func TestRevokedBeforeConnect(t *testing.T) {
	f := newFixture(t, options{broker: func(c *broker.Config) { c.ConnectTimeout = time.Hour }})
	f.policy("all", allowAll)
	l := f.registered("sensor", "all")
	conn, err := f.dial(l)
	must(t, err)
	defer conn.Close()
	f.seen.wait(t, "inspected", func(n int) bool { return n == 1 })
	_, err = f.store.UpdateCertificateStatus(t.Context(), account, id(l), muster.Revoked)
	must(t, err)
	must(t, conn.SetReadDeadline(time.Now().Add(patience)))
	if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the connection ended with %v", err)
	}
}

// TestRevocationsDoNotQueue: revocations are judged, and counted from when they
// were told, while a few others wait for the registry, and while a policy of the
// whole fleet is being judged.
func TestRevocationsDoNotQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, slow = 2000, 3
		b, sessions := newIdle(t, n)
		for _, s := range sessions[:slow] {
			s.takes = time.Hour
		}
		changes := func(ctx context.Context, _ uint64, tell func(muster.Change) error) error {
			must(t, tell(muster.Change{Kind: muster.KindPolicy, ID: broker.IdlePolicy}))
			time.Sleep(time.Minute)
			for i := range sessions {
				must(t, tell(muster.Change{Kind: muster.KindCertificate, ID: fmt.Sprint(i)}))
			}
			<-ctx.Done()
			return nil
		}
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Hour)
		defer stop()
		revoked := time.Now().Add(time.Minute)
		var following sync.WaitGroup
		following.Go(func() { must(t, b.Follow(ctx, changes, 0)) })
		time.Sleep(time.Minute + time.Second)
		judged := 0
		for _, s := range sessions[slow:] {
			s.mu.Lock()
			if slices.ContainsFunc(s.told, revoked.Equal) {
				judged++
			}
			s.mu.Unlock()
		}
		if judged != n-slow {
			t.Errorf("%d of %d are judged", judged, n-slow)
		}
		following.Wait()
	})
}

// TestAChangeToldTwice before it is looked at is looked at once, and counts from
// the first time.
func TestAChangeToldTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, sessions := newIdle(t, 5)
		for _, s := range sessions[:4] { // all the workers
			s.takes = time.Minute
		}
		changes := func(ctx context.Context, _ uint64, tell func(muster.Change) error) error {
			for i := range sessions {
				must(t, tell(muster.Change{Kind: muster.KindCertificate, ID: fmt.Sprint(i)}))
			}
			time.Sleep(30 * time.Second)
			must(t, tell(muster.Change{Kind: muster.KindCertificate, ID: "4"}))
			<-ctx.Done()
			return nil
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		start := time.Now()
		must(t, b.Follow(ctx, changes, 0))
		if told := sessions[4].told; len(told) != 1 || !told[0].Equal(start) {
			t.Errorf("judged for what was told at %v, want once, at %v", told, start)
		}
	})
}
