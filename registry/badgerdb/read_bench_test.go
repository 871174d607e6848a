package badgerdb_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/badgerdb"
)

// devices is how many registrations there are to read.
const devices = 200_000

// registered opens a new registry and registers the devices.
func registered(b *testing.B) *badgerdb.Engine {
	c := badgerdb.Config{Dir: b.TempDir()}
	if err := badgerdb.Create(c); err != nil {
		b.Fatal(err)
	}
	e, err := badgerdb.Open(c)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	})
	pool := strings.Repeat("0123456789abcdef", 8<<10)
	together(64, func(caller int) {
		for n := caller; n < devices; n += 64 {
			if err := registerDevice(e, uint64(n), pool); err != nil {
				b.Error(err)
			}
		}
	})
	return e
}

// BenchmarkRead reads what the registrations left, while nobody writes.
func BenchmarkRead(b *testing.B) {
	e := registered(b)
	reads := map[string]func(registry.Reader, int) error{
		"get": func(r registry.Reader, n int) error {
			_, err := r.Get("certificate", deviceID(uint64(n)))
			return err
		},
		"miss": func(r registry.Reader, n int) error {
			_, err := r.Get("certificate", deviceID(uint64(n+devices)))
			if err == nil {
				return fmt.Errorf("%d is there", n)
			}
			return nil
		},
		"list10": func(r registry.Reader, n int) error {
			prefix := fmt.Appendf(nil, "%064d", n%10)
			docs, _, err := r.List("certificate", registry.Query{Index: "authority", Prefix: prefix, Limit: 10})
			if len(docs) != 10 {
				return fmt.Errorf("%d documents, %v", len(docs), err)
			}
			return err
		},
		"listnone": func(r registry.Reader, n int) error {
			_, _, err := r.List("certificate", registry.Query{Index: "authority", Prefix: []byte("none")})
			return err
		},
	}
	for name, read := range reads {
		b.Run(name, func(b *testing.B) {
			for n := 0; b.Loop(); n++ {
				at := n * 7919 % devices
				if err := e.View(b.Context(), func(r registry.Reader) error { return read(r, at) }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func deviceID(n uint64) string {
	return fmt.Sprintf("%x", sha256.Sum256(binary.BigEndian.AppendUint64(nil, n)))
}
