package badgerdb_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/badgerdb"
	"github.com/muster-mqtt/muster/registry/registrytest"
)

// childDir is set in the environment of the process that TestKilled kills.
const childDir = "BADGERDB_TEST_DIR"

const device = registry.Kind("device")

// TestKilled kills a process in a burst of registrations, again and again: what
// it had acknowledged is there, whole, and the sequence did not go back. It
// shows the order of sync and answer for a process that dies; a machine that
// dies is another matter.
func TestKilled(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	if err := badgerdb.Create(small(dir)); err != nil {
		t.Fatal(err)
	}
	acknowledged := map[string]bool{}
	var last uint64
	for round := range rounds {
		for _, id := range burst(t, dir, 50+10*round) {
			acknowledged[id] = true
		}
		e := open(t, dir)
		registrytest.CheckEngine(t, e, map[registry.Kind][]string{device: {"serial", "batch"}})
		err := e.View(t.Context(), func(r registry.Reader) error {
			if r.Seq() < last+uint64(50+10*round) {
				t.Errorf("round %d: Seq %d after %d and %d registrations", round, r.Seq(), last, 50+10*round)
			}
			last = r.Seq()
			for id := range acknowledged {
				if d, err := r.Get(device, id); err != nil || string(d.JSON) != body(id) {
					t.Errorf("round %d: %q was acknowledged: %v", round, id, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d acknowledged registrations, sequence %d", len(acknowledged), last)
}

// burst starts the process, kills it once it acknowledged n registrations, and
// returns all that it acknowledged.
func burst(t *testing.T, dir string, n int) (ids []string) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil { // a line that was cut acknowledges nothing
			break
		}
		if ids = append(ids, strings.TrimSpace(line)); len(ids) == n {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || len(ids) < n {
		t.Fatalf("the process ended by itself after %d registrations: %v", len(ids), err)
	}
	return ids
}

func body(id string) string {
	return fmt.Sprintf(`{"id":%q,"padding":%q}`, id, strings.Repeat(id, 40))
}

// register is the process: it registers until it is killed, and prints each ID
// when its Update has returned.
func register(dir string) int {
	e, err := badgerdb.Open(small(dir))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for caller := range 32 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), caller, i)
				err := e.Update(context.Background(), func(tx registry.Tx) error {
					return tx.Put(device, registry.Doc{ID: id, JSON: []byte(body(id)), Index: []registry.Entry{
						{Index: "serial", Key: []byte(id), Unique: true},
						{Index: "batch", Key: fmt.Appendf(nil, "%d", i%5)},
					}})
				})
				mu.Lock()
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
				} else {
					fmt.Println(id)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return 0
}

// TestUnfinishedFiles: a process that is killed while it makes a file of the
// registry leaves an empty one, and the next start is not concerned.
func TestUnfinishedFiles(t *testing.T) {
	dir := t.TempDir()
	if err := badgerdb.Create(small(dir)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"00042.mem", "000042.vlog"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := open(t, dir).Close(); err != nil {
			t.Fatalf("with an empty %s: %v", name, err)
		}
	}
}
