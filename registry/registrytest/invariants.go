package registrytest

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

// Check walks everything that an engine holds, as one state, and reports each
// document that breaks a rule of the registry or is not found by its index.
// Tests of the registry call it after every step.
func Check(tb testing.TB, e registry.Engine) {
	tb.Helper()
	err := e.View(context.WithoutCancel(tb.Context()), func(r registry.Reader) error {
		c := &checker{TB: tb, r: r, docs: map[registry.Kind]map[string]registry.Doc{}}
		for _, k := range registry.Kinds() {
			c.docs[k] = map[string]registry.Doc{}
			for _, d := range c.list(k, "", nil) {
				c.docs[k][d.ID] = d
			}
			c.indexes(k)
		}
		c.certificates()
		c.authorities()
		c.versions()
		c.things()
		return nil
	})
	if err != nil {
		tb.Errorf("invariants: %v", err)
	}
}

type checker struct {
	testing.TB
	r    registry.Reader
	docs map[registry.Kind]map[string]registry.Doc
}

func (c *checker) list(k registry.Kind, index string, prefix []byte) []registry.Doc {
	var out []registry.Doc
	q := registry.Query{Index: index, Prefix: prefix, Limit: 500}
	for {
		docs, next, err := c.r.List(k, q)
		if err != nil {
			c.Errorf("list %s by %q: %v", k, index, err)
			return out
		}
		out = append(out, docs...)
		if next == nil {
			return out
		}
		q.After = next
	}
}

// decoded returns the documents of a kind in the order of their IDs.
func decoded[T any](c *checker, k registry.Kind) []T {
	var ids []string
	for id := range c.docs[k] {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	out := make([]T, len(ids))
	for i, id := range ids {
		if err := json.Unmarshal(c.docs[k][id].JSON, &out[i]); err != nil {
			c.Errorf("%s %s: %v", k, id, err)
		}
	}
	return out
}

func (c *checker) require(what string, k registry.Kind, id string) {
	if _, ok := c.docs[k][id]; !ok {
		c.Errorf("%s: there is no %s %s", what, k, id)
	}
}

// indexes demands that each document is found under each of its entries, and
// that no index holds anything else.
func (c *checker) indexes(k registry.Kind) {
	held := map[string]int{}
	for id, d := range c.docs[k] {
		want, entries, err := registry.Index(k, d.JSON)
		if err != nil || want != id {
			c.Errorf("%s %s: its content belongs under %q (%v)", k, id, want, err)
		}
		for _, e := range entries {
			held[e.Index]++
			found := c.list(k, e.Index, e.Key)
			if !slices.ContainsFunc(found, func(f registry.Doc) bool { return f.ID == id }) {
				c.Errorf("%s %s: not found by index %s, key %q", k, id, e.Index, e.Key)
			}
			if e.Unique && len(found) != 1 {
				c.Errorf("%s %s: %d documents share the unique key %q of %s", k, id, len(found), e.Key, e.Index)
			}
		}
	}
	for _, index := range []string{
		registry.IndexEndpoint, registry.IndexDefault, registry.IndexOwner, registry.IndexAuthority, registry.IndexStatus,
		registry.IndexSigned, registry.IndexThing, registry.IndexPolicy, registry.IndexSubject, registry.IndexTemplate, registry.IndexExpiry,
	} {
		if n := len(c.list(k, index, nil)); n != held[index] {
			c.Errorf("%s: index %s lists %d documents, %d belong there", k, index, n, held[index])
		}
	}
}

func (c *checker) certificates() {
	defaults := map[string]string{}
	for _, cert := range decoded[muster.Certificate](c, registry.KindCert) {
		what := "certificate " + cert.ID + " of " + cert.Account
		for _, name := range cert.Things {
			c.require(what, registry.KindThing, cert.Account+"/"+name)
		}
		for _, name := range cert.Policies {
			c.require(what, registry.KindPolicy, cert.Account+"/"+name)
		}
		if !slices.IsSorted(cert.Things) || !slices.IsSorted(cert.Policies) || len(cert.Things) > 100 || len(cert.Policies) > 10 {
			c.Errorf("%s: things %q, policies %q: want sorted, at most a hundred things and ten policies", what, cert.Things, cert.Policies)
		}
		if cert.AuthorityID != "" {
			c.require(what, registry.KindIssuer, cert.AuthorityID+"/"+cert.Account)
		}
		if cert.Mode == muster.ModeDefault {
			if other, ok := defaults[cert.ID]; ok {
				c.Errorf("%s: DEFAULT, and so it is in account %s", what, other)
			}
			defaults[cert.ID] = cert.Account
		}
		if _, ok := c.docs[registry.KindTombstone][cert.ID+"/"+cert.Account]; ok {
			c.Errorf("%s: there is a tombstone too", what)
		}
		if cert.Revision < 1 || cert.Generation == "" || cert.Status == "" {
			c.Errorf("%s: revision %d, generation %q, status %q", what, cert.Revision, cert.Generation, cert.Status)
		}
	}
}

func (c *checker) authorities() {
	type subject struct{ account, hash string }
	namesakes := map[subject]int{}
	defaults := map[string]string{}
	issuers := map[string]muster.Issuer{}
	needed := map[string]bool{}
	for _, i := range decoded[muster.Issuer](c, registry.KindIssuer) {
		issuers[i.ID+"/"+i.Account] = i
	}
	type stored struct {
		muster.Authority
		Subject string `json:"subject"`
	}
	for _, a := range decoded[stored](c, registry.KindAuthority) {
		what, key := "authority "+a.ID+" of "+a.Account, a.ID+"/"+a.Account
		needed[key] = true
		issuer, ok := issuers[key]
		if !ok || issuer.OCSP != a.OCSP || issuer.PEM != a.PEM {
			c.Errorf("%s: its issuer document says %+v, the authority %+v", what, issuer.OCSP, a.OCSP)
		}
		namesakes[subject{a.Account, a.Subject}]++
		if n := namesakes[subject{a.Account, a.Subject}]; n > 10 {
			c.Errorf("%s: the %dth of its subject", what, n)
		}
		if a.Mode == muster.ModeDefault {
			if other, ok := defaults[a.ID]; ok {
				c.Errorf("%s: DEFAULT, and so it is in account %s", what, other)
			}
			defaults[a.ID] = a.Account
		}
		if name := a.Registration.TemplateName; name != "" {
			c.require(what, registry.KindTemplate, a.Account+"/"+name)
		}
	}
	for _, cert := range decoded[muster.Certificate](c, registry.KindCert) {
		needed[cert.AuthorityID+"/"+cert.Account] = true
	}
	for key := range issuers {
		if !needed[key] {
			c.Errorf("issuer %s: neither an authority nor a certificate needs it", key)
		}
	}
}

func (c *checker) versions() {
	for _, p := range decoded[muster.Policy](c, registry.KindPolicy) {
		n := 0
		for _, v := range p.Versions {
			if v.ID == p.Default {
				n++
			}
		}
		if n != 1 {
			c.Errorf("policy %s of %s: %d versions are the default %q", p.Name, p.Account, n, p.Default)
		}
	}
	for _, t := range decoded[muster.Template](c, registry.KindTemplate) {
		n := 0
		for _, v := range t.Versions {
			if v.ID == t.Default {
				n++
			}
		}
		if n != 1 {
			c.Errorf("template %s of %s: %d versions are the default %d", t.Name, t.Account, n, t.Default)
		}
	}
}

func (c *checker) things() {
	for _, thing := range decoded[muster.Thing](c, registry.KindThing) {
		what := "thing " + thing.Name + " of " + thing.Account
		if thing.Type != "" {
			c.require(what, registry.KindThingType, thing.Account+"/"+thing.Type)
		}
		for _, group := range thing.Groups {
			c.require(what, registry.KindThingGroup, thing.Account+"/"+group)
		}
	}
	for _, g := range decoded[muster.ThingGroup](c, registry.KindThingGroup) {
		what := "thing group " + g.Name + " of " + g.Account
		if g.Parent != "" {
			c.require(what, registry.KindThingGroup, g.Account+"/"+g.Parent)
		}
		for _, name := range g.Policies {
			c.require(what, registry.KindPolicy, g.Account+"/"+name)
		}
	}
}
