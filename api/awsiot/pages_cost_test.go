package awsiot_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
)

// counted counts the documents that are read from an engine.
type counted struct {
	registry.Engine
	documents atomic.Int64
}

func (c *counted) View(ctx context.Context, fn func(registry.Reader) error) error {
	return c.Engine.View(ctx, func(r registry.Reader) error { return fn(countedReader{r, c}) })
}

func (c *counted) Update(ctx context.Context, fn func(registry.Tx) error) error {
	return c.Engine.Update(ctx, func(t registry.Tx) error { return fn(countedTx{t, c}) })
}

func (c *counted) get(r registry.Reader, k registry.Kind, id string) (registry.Doc, error) {
	c.documents.Add(1)
	return r.Get(k, id)
}

func (c *counted) list(r registry.Reader, k registry.Kind, q registry.Query) ([]registry.Doc, registry.Cursor, error) {
	docs, next, err := r.List(k, q)
	c.documents.Add(int64(len(docs)))
	return docs, next, err
}

type countedReader struct {
	registry.Reader
	counted *counted
}

func (r countedReader) Get(k registry.Kind, id string) (registry.Doc, error) {
	return r.counted.get(r.Reader, k, id)
}

func (r countedReader) List(k registry.Kind, q registry.Query) ([]registry.Doc, registry.Cursor, error) {
	return r.counted.list(r.Reader, k, q)
}

type countedTx struct {
	registry.Tx
	counted *counted
}

func (t countedTx) Get(k registry.Kind, id string) (registry.Doc, error) {
	return t.counted.get(t.Tx, k, id)
}

func (t countedTx) List(k registry.Kind, q registry.Query) ([]registry.Doc, registry.Cursor, error) {
	return t.counted.list(t.Tx, k, q)
}

// registerFactory registers an authority that holds no device yet, and a device
// of it. It returns the authority's ID and the record of the device.
func (s *server) registerFactory(tb testing.TB) (string, muster.Certificate) {
	tb.Helper()
	ca := newAuthority(tb, "Factory")
	var made struct{ CertificateID string }
	s.call(tb, "POST", "/cacertificate?setAsActive=true", members(tb, "caCertificate", string(ca.CertPEM()), "certificateMode", "SNI_ONLY"), &made)
	authority := made.CertificateID
	s.call(tb, "POST", "/certificate/register", members(tb, "certificatePem", string(issue(tb, ca).CertPEM()), "status", "ACTIVE"), &made)
	record, err := s.store.Certificate(tb.Context(), account, made.CertificateID)
	if err != nil {
		tb.Fatal(err)
	}
	return authority, record
}

// multiply puts copies of a record into an engine, past the registry, with the
// numbers from first to last in their IDs. They were made one second after
// another.
func multiply(tb testing.TB, e registry.Engine, record muster.Certificate, first, last int) {
	tb.Helper()
	const batch = 250 // of certificates of two kilobytes in an update of one megabyte
	made := record.Created
	for ; first < last; first += batch {
		err := e.Update(tb.Context(), func(t registry.Tx) error {
			for i := first; i < min(first+batch, last); i++ {
				record.ID, record.Created = fmt.Sprintf("%064x", i), made.Add(time.Duration(i+1)*time.Second)
				text, err := json.Marshal(record)
				if err != nil {
					return err
				}
				id, entries, err := registry.Index(registry.KindCert, text)
				if err != nil {
					return err
				}
				if err := t.Put(registry.KindCert, registry.Doc{ID: id, JSON: text, Index: entries}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// pageSize is the largest that AWS has.
const pageSize = 250

// page returns how many certificates a list has and the query of what follows, ""
// at the end.
func (s *server) page(tb testing.TB, list, query string) (n int, next string) {
	tb.Helper()
	var out struct {
		Certificates []struct{ CertificateID string }
		NextMarker   string
	}
	s.call(tb, "GET", fmt.Sprintf("%s?pageSize=%d%s", list, pageSize, query), "", &out)
	if out.NextMarker != "" {
		next = "&marker=" + url.QueryEscape(out.NextMarker)
	}
	return len(out.Certificates), next
}

// TestCostsStayFlat: what a page of a list and a registration read does not grow
// with what is registered, nor with how far on the page is.
func TestCostsStayFlat(t *testing.T) {
	clock := time.Now()
	engine := &counted{Engine: memory.New()}
	s := newServerOn(t, engine, func() time.Time { return clock })
	authority, record := s.registerFactory(t)
	registering := map[int]int64{}
	held := 0
	for _, total := range []int{2 * pageSize, 8 * pageSize} {
		multiply(t, engine, record, held, total)
		held = total
		for _, list := range []string{"/certificates", "/certificates-by-ca/" + authority} {
			for _, order := range []string{"", "&isAscendingOrder=true"} {
				pages, next := 0, ""
				for first := true; first || next != ""; first = false {
					engine.documents.Store(0)
					var n int
					n, next = s.page(t, list, order+next)
					if read := engine.documents.Load(); read > pageSize+2 {
						t.Errorf("of %d: page %d of %s%s with %d certificates reads %d documents", total, pages, list, order, n, read)
					}
					pages++
				}
				if pages < total/pageSize {
					t.Errorf("of %d: %s%s has %d pages", total, list, order, pages)
				}
			}
		}
		engine.documents.Store(0)
		s.call(t, "POST", "/certificate/register-no-ca", members(t, "certificatePem", string(selfSigned(t))), nil)
		registering[total] = engine.documents.Load()
	}
	if few, many := registering[2*pageSize], registering[8*pageSize]; few != many || few == 0 {
		t.Errorf("a registration reads %d documents, and %d when there are four times as many certificates", few, many)
	}
}
