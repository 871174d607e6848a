package ocsp

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/muster-mqtt/muster/internal/mint"
)

// Whoever changes roots over and over gets no more memory than that, and what
// nobody uses is dropped after a while.
func TestTransportsAreBounded(t *testing.T) {
	root, err := mint.NewAuthority("Root")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	set := newTransports(Config{Now: func() time.Time { return now }}, guard{})
	pem := func(i int) string { return fmt.Sprintf("# %d\n%s", i, root.CertPEM()) }
	take := func(i int) (*http.Client, func()) {
		client, release, err := set.take(pem(i))
		if err != nil {
			t.Fatal(err)
		}
		return client, release
	}
	first, release := take(0) // in use to the end
	for i := range 200 {
		_, release := take(i)
		release()
		now = now.Add(time.Second)
	}
	if got := len(set.sets); got != maxTransports {
		t.Errorf("%d sets of roots, want %d", got, maxTransports)
	}
	if again, release := take(0); again != first {
		t.Error("dropped while in use")
	} else {
		release()
	}
	release()
	now = now.Add(idleTransport + time.Second)
	take(1000)
	if got := len(set.sets); got != 1 {
		t.Errorf("%d sets of roots after a while, want the one in use", got)
	}
	if _, _, err := set.take("nonsense"); err == nil || len(set.sets) != 1 {
		t.Errorf("nonsense: %v, %d sets", err, len(set.sets))
	}
	set.close()
	if len(set.sets) != 0 {
		t.Error("sets left after close")
	}
}
