package awsiot_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry/badgerdb"
)

// newServerOnDisk makes a server whose registry is in a folder, with syncs as in
// production.
func newServerOnDisk(b *testing.B) *server {
	b.Helper()
	dir := b.TempDir()
	if err := badgerdb.Create(badgerdb.Config{Dir: dir}); err != nil {
		b.Fatal(err)
	}
	engine, err := badgerdb.Open(badgerdb.Config{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	return newServerOn(b, engine, time.Now)
}

// cost is what a number of requests took.
type cost struct {
	elapsed, cpu time.Duration
	allocated    float64 // objects
}

// measure runs what serves so many items, and returns the cost of one.
func measure(items int, work func()) cost {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, begun := cpuTime(), time.Now()
	work()
	elapsed := time.Since(begun)
	used := cpuTime() - cpu
	runtime.ReadMemStats(&after)
	n := time.Duration(items)
	return cost{elapsed / n, used / n, float64(after.Mallocs-before.Mallocs) / float64(items)}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // of this process it is always known
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// reportFlatness tells what one item costs in the first and in the last tenth.
func reportFlatness(b *testing.B, tenths []cost) {
	first, last := tenths[0], tenths[len(tenths)-1]
	b.ReportMetric(float64(first.elapsed.Nanoseconds())/1e3, "µs/first")
	b.ReportMetric(float64(last.elapsed.Nanoseconds())/1e3, "µs/last")
	b.ReportMetric(float64(last.elapsed)/float64(first.elapsed), "time-ratio")
	b.ReportMetric(float64(last.cpu)/float64(first.cpu), "cpu-ratio")
	b.ReportMetric(last.allocated/first.allocated, "allocs-ratio")
}

// request is one that is signed already, so that signing is not measured.
func (s *server) request(b *testing.B, method, target, body string) *http.Request {
	r := httptest.NewRequestWithContext(b.Context(), method, "https://localhost:8443"+target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	err := v4.NewSigner().SignHTTP(b.Context(), aws.Credentials{AccessKeyID: s.key.ID, SecretAccessKey: s.key.Secret},
		r, hashOf(body), "iot", region, s.now())
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// serveAll serves requests, so many at once.
func (s *server) serveAll(b *testing.B, at int, requests []*http.Request) {
	var clients sync.WaitGroup
	for part := range slices.Chunk(requests, (len(requests)+at-1)/at) {
		clients.Go(func() {
			for _, r := range part {
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Errorf("%d %s", w.Code, w.Body)
				}
			}
		})
	}
	clients.Wait()
}

// BenchmarkRegister registers a hundred thousand certificates through the API, 64
// at once, and then lists them by their authority page by page. It reports what
// one costs in the last tenth of them, and in the first.
func BenchmarkRegister(b *testing.B) {
	const total, at = 100_000, 64
	for _, path := range []string{"/certificate/register", "/certificate/register-no-ca"} {
		b.Run(strings.TrimPrefix(path, "/certificate/"), func(b *testing.B) {
			for b.Loop() {
				s := newServerOnDisk(b)
				ca := newAuthority(b, "Factory")
				key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
				if err != nil {
					b.Fatal(err)
				}
				var made struct{ CertificateID string }
				s.call(b, "POST", "/cacertificate?setAsActive=true", members(b, "caCertificate", string(ca.CertPEM()), "certificateMode", "SNI_ONLY"), &made)
				var tenths []cost
				for range 10 {
					requests := make([]*http.Request, total/10)
					for i := range requests {
						leaf, err := ca.Issue(mint.Request{Key: key})
						if err != nil {
							b.Fatal(err)
						}
						requests[i] = s.request(b, "POST", path, members(b, "certificatePem", string(leaf.CertPEM()), "status", "ACTIVE"))
					}
					tenths = append(tenths, measure(len(requests), func() { s.serveAll(b, at, requests) }))
				}
				reportFlatness(b, tenths)
				list := "/certificates-by-ca/" + made.CertificateID
				if path != "/certificate/register" {
					list = "/certificates"
				}
				s.benchmarkWalk(b, list, total)
			}
		})
	}
}

// benchmarkWalk lists all there is, page by page.
func (s *server) benchmarkWalk(b *testing.B, list string, total int) {
	var tenths []cost
	next, pages := "", total/10/pageSize
	for range 10 {
		tenths = append(tenths, measure(total/10, func() {
			for range pages {
				var n int
				if n, next = s.page(b, list, next+"&isAscendingOrder=true"); n != pageSize {
					b.Fatalf("a page of %d", n)
				}
			}
		}))
	}
	first, last := tenths[0], tenths[9]
	b.ReportMetric(float64(last.elapsed.Nanoseconds())/1e3, "µs/listed")
	b.ReportMetric(float64(last.elapsed)/float64(first.elapsed), "list-time-ratio")
	b.ReportMetric(float64(last.cpu)/float64(first.cpu), "list-cpu-ratio")
	b.ReportMetric(last.allocated/first.allocated, "list-allocs-ratio")
}

// BenchmarkPage lists a page of 250 of a million certificates by their authority:
// at the beginning, in the middle and at the end, in both orders.
func BenchmarkPage(b *testing.B) {
	const total = 1_000_000
	s := newServerOnDisk(b)
	authority, record := s.registerFactory(b)
	multiply(b, s.engine, record, 1, total)
	list := "/certificates-by-ca/" + authority
	for _, order := range []string{"ascending", "descending"} {
		query := fmt.Sprintf("&isAscendingOrder=%t", order == "ascending")
		markers := s.markers(b, list, query, total)
		for _, place := range []string{"first", "middle", "last"} {
			b.Run(order+"/"+place, func(b *testing.B) {
				for b.Loop() {
					if n, _ := s.page(b, list, query+markers[place]); n != pageSize {
						b.Fatalf("a page of %d", n)
					}
				}
			})
		}
	}
}

// markers walks a list to find where its pages are.
func (s *server) markers(b *testing.B, list, query string, total int) map[string]string {
	b.Helper()
	found := map[string]string{"first": ""}
	marker := ""
	for page := range total / pageSize {
		switch page {
		case total / pageSize / 2:
			found["middle"] = marker
		case total/pageSize - 1:
			found["last"] = marker
		}
		_, marker = s.page(b, list, query+marker)
	}
	if marker != "" {
		b.Fatal("the list does not end where it should")
	}
	return found
}
