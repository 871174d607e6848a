package pace_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/muster-mqtt/muster/internal/pace"
)

// taken counts how often a key is allowed until it is not.
func taken(r *pace.Rates[string], key string) (n int) {
	for r.Allow(key) {
		n++
	}
	return n
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := pace.New[string](10, 100)
		for _, c := range []struct {
			after time.Duration
			want  int
		}{{0, 20}, {0, 0}, {100 * time.Millisecond, 1}, {time.Second, 10}, {time.Minute, 20}} {
			time.Sleep(c.after)
			if got := taken(r, "a"); got != c.want {
				t.Errorf("after %v: %d, want %d", c.after, got, c.want)
			}
		}
		if got := taken(r, "b"); got != 20 {
			t.Errorf("another key: %d, want 20", got)
		}
		time.Sleep(time.Minute)
		r.Set(3)
		if got := taken(r, "a"); got != 6 {
			t.Errorf("at another rate: %d, want 6", got)
		}
	})
}

// TestForgetting: to be forgotten by the clock gives nobody more than the rate.
func TestForgetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := pace.New[string](10, 100)
		got := taken(r, "a")
		for range 100 { // twenty-five seconds
			time.Sleep(250 * time.Millisecond)
			got += taken(r, "a")
		}
		if got < 20+249 || got > 20+250 { // a part of a token may be lost to rounding
			t.Errorf("%d in 25 seconds of 10 a second, want 270", got)
		}
	})
}

// TestFlood: a flood of keys pushes out those that are idle, and nobody else.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys = 100
		r := pace.New[string](1, keys)
		if got := taken(r, "busy") + taken(r, "idle"); got != 4 {
			t.Fatalf("%d at first, want 4", got)
		}
		for i := range 10 * keys {
			r.Allow(fmt.Sprint("stranger ", i))
			if i%(keys/2) == 0 && r.Allow("busy") {
				t.Fatalf("after %d strangers the busy key began anew", i)
			}
		}
		if got := taken(r, "idle"); got != 2 {
			t.Errorf("the idle key is remembered: %d, want 2", got)
		}
	})
}

// TestRecent: by their number keys push one another out, and by their age they go.
func TestRecent(t *testing.T) {
	const keys, age = 10, time.Minute
	now := time.Unix(1_800_000_000, 0)
	r := pace.NewRecent[int, int](keys, age)
	for i := range 1000 {
		r.Put(i, i, now)
	}
	for i := range 1000 - 2*keys {
		if _, ok := r.Get(i, now); ok {
			t.Errorf("key %d of 1000 is held", i)
		}
	}
	now = now.Add(age)
	if v, ok := r.Get(999, now); !ok || v != 999 {
		t.Errorf("what was used lately: %d %v", v, ok)
	}
	now = now.Add(2 * age)
	if _, ok := r.Get(999, now); ok {
		t.Error("what was not used for long is held")
	}
}
