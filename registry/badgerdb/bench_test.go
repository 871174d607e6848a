package badgerdb_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/badgerdb"
)

// BenchmarkRegister64 is the rate of synced registrations, a document of 1.5 KB
// and four index entries each, that 64 callers share. A short run flatters: the
// memtable's log and the levels fill first. With -benchtime=30s or more it tells
// the rates of the first and the last five seconds.
func BenchmarkRegister64(b *testing.B) {
	for _, mib := range []int64{16, 32, 64} {
		b.Run(fmt.Sprintf("memtable=%dMiB", mib), func(b *testing.B) { benchmarkRegister(b, mib<<20, 64) })
	}
}

// BenchmarkRegister1 is one caller's latency.
func BenchmarkRegister1(b *testing.B) { benchmarkRegister(b, 0, 1) }

func benchmarkRegister(b *testing.B, memTable int64, callers int) {
	c := badgerdb.Config{Dir: b.TempDir(), MemTableSize: memTable}
	if err := badgerdb.Create(c); err != nil {
		b.Fatal(err)
	}
	e, err := badgerdb.Open(c)
	if err != nil {
		b.Fatal(err)
	}
	raw := make([]byte, 64<<10)
	rand.Read(raw)
	pool := base64.StdEncoding.EncodeToString(raw)

	var taken atomic.Int64
	var perSecond [600]atomic.Int64
	b.ResetTimer()
	start := time.Now()
	together(callers, func(int) {
		for n := taken.Add(1); n <= int64(b.N); n = taken.Add(1) {
			if err := registerDevice(e, uint64(n), pool); err != nil {
				b.Error(err)
				return
			}
			perSecond[min(int(time.Since(start)/time.Second), len(perSecond)-1)].Add(1)
		}
	})
	took := time.Since(start)
	b.StopTimer()
	rate := func(from, to int) float64 {
		var sum int64
		for i := from; i < to; i++ {
			sum += perSecond[i].Load()
		}
		return float64(sum) / float64(to-from)
	}
	b.ReportMetric(float64(b.N)/took.Seconds(), "reg/s")
	if seconds := int(took / time.Second); seconds >= 10 {
		slowest := rate(0, 1)
		for i := range seconds {
			slowest = min(slowest, rate(i, i+1))
		}
		b.ReportMetric(rate(0, 5), "reg/s-first-5s")
		b.ReportMetric(rate(seconds-5, seconds), "reg/s-last-5s")
		b.ReportMetric(slowest, "reg/s-slowest-s")
	}
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
}

// together runs fn in goroutines and waits for them.
func together(callers int, fn func(caller int)) {
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

// registerDevice writes what a certificate's registration writes, if the device
// is not known.
func registerDevice(e *badgerdb.Engine, n uint64, pool string) error {
	id := deviceID(n)
	at := int(n * 61 % (64 << 10))
	created := binary.BigEndian.AppendUint64(nil, n)
	d := registry.Doc{
		ID:   id,
		JSON: []byte(`{"id":"` + id + `","status":"ACTIVE","certificate":"` + pool[at:at+1400] + `"}`),
		Index: []registry.Entry{
			{Index: "authority", Key: append(fmt.Appendf(nil, "%064d", n%10), created...)},
			{Index: "status", Key: append([]byte("123456789012\x00ACTIVE\x00"), created...)},
			{Index: "created", Key: created},
			{Index: "serial", Key: []byte(id[:40]), Unique: true},
		},
	}
	return e.Update(context.Background(), func(tx registry.Tx) error { return tx.Put("certificate", d) })
}
