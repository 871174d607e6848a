package registry_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
	"github.com/muster-mqtt/muster/registry/registrytest"
)

// recorder is a test that keeps what is reported to it.
type recorder struct {
	*testing.T
	reports []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.reports = append(r.reports, fmt.Sprintf(format, args...))
}

type brokenStore struct {
	docs map[registry.Kind][]any
	text string // of the report; "" for a store that is sound
}

var soundCertificate = muster.Certificate{
	Account: account, ID: "c", Status: muster.Active, Mode: muster.ModeSNIOnly, Revision: 1, Generation: "g",
}

func brokenStores() map[string]brokenStore {
	cert := soundCertificate
	edited := func(edit func(*muster.Certificate)) muster.Certificate {
		c := cert
		edit(&c)
		return c
	}
	authority := muster.Authority{Account: account, ID: "a", PEM: "p", OCSP: muster.OCSPSettings{Mode: muster.OCSPHard}}
	return map[string]brokenStore{
		"nothing wrong": {map[registry.Kind][]any{registry.KindCert: {cert}}, ""},
		"thing": {map[registry.Kind][]any{
			registry.KindCert: {edited(func(c *muster.Certificate) { c.Things = []string{"t"} })},
		}, "no thing"},
		"policy": {map[registry.Kind][]any{
			registry.KindCert: {edited(func(c *muster.Certificate) { c.Policies = []string{"p"} })},
		}, "no policy"},
		"issuer": {map[registry.Kind][]any{
			registry.KindCert: {edited(func(c *muster.Certificate) { c.AuthorityID = "a" })},
		}, "no issuer"},
		"tombstone": {map[registry.Kind][]any{
			registry.KindCert: {cert}, registry.KindTombstone: {muster.Tombstone{Account: account, ID: "c"}},
		}, "tombstone too"},
		"offered to nobody": {map[registry.Kind][]any{
			registry.KindCert: {edited(func(c *muster.Certificate) { c.Status = muster.PendingTransfer })},
		}, "PENDING_TRANSFER, and its transfer is"},
		"offered, and attached": {map[registry.Kind][]any{
			registry.KindCert: {edited(func(c *muster.Certificate) {
				c.Status, c.Things = muster.PendingTransfer, []string{"t"}
				c.Transfer = muster.Transfer{To: account2, Offered: time.Now()}
			})},
		}, "PENDING_TRANSFER, and attached"},
		"accepted from nobody": {map[registry.Kind][]any{
			registry.KindCert: {edited(func(c *muster.Certificate) {
				c.Transfer = muster.Transfer{To: account, Offered: time.Now(), Accepted: time.Now()}
			})},
		}, `owned by "" before`},
		"accepted elsewhere": {map[registry.Kind][]any{
			registry.KindCert: {edited(func(c *muster.Certificate) {
				c.PreviousOwner, c.Transfer = account2, muster.Transfer{To: account2, Offered: time.Now(), Accepted: time.Now()}
			})},
		}, "and its transfer is"},
		"transferred to nobody": {map[registry.Kind][]any{
			registry.KindTombstone: {muster.Tombstone{Account: account, ID: "c", Kind: muster.TombstoneTransferred}},
		}, `kind "transferred", to account ""`},
		"revision": {map[registry.Kind][]any{
			registry.KindCert: {edited(func(c *muster.Certificate) { c.Revision = 0 })},
		}, "revision 0"},
		"settings differ": {map[registry.Kind][]any{
			registry.KindAuthority: {authority},
			registry.KindIssuer:    {muster.Issuer{Account: account, ID: "a", PEM: "p"}},
		}, "issuer document says"},
		"useless issuer": {map[registry.Kind][]any{
			registry.KindIssuer: {muster.Issuer{Account: account, ID: "a"}},
		}, "neither an authority nor a certificate"},
		"default version": {map[registry.Kind][]any{
			registry.KindPolicy: {muster.Policy{Account: account, Name: "p", Default: "1"}},
		}, "0 versions"},
		"policy versions": {map[registry.Kind][]any{
			registry.KindPolicy: {versions("1", "2", "3", "4", "5", "6")},
		}, "6 versions"},
		"policy version twice":   {map[registry.Kind][]any{registry.KindPolicy: {versions("1", "2", "2")}}, `version "2" after 2`},
		"policy version to come": {map[registry.Kind][]any{registry.KindPolicy: {versions("1", "9")}}, `version "9" after 1`},
		"template version": {map[registry.Kind][]any{
			registry.KindTemplate: {muster.Template{Account: account, Name: "m", Default: 1, Versions: []muster.TemplateVersion{{ID: 1}, {ID: 1}}}},
		}, "2 versions"},
		"thing type": {map[registry.Kind][]any{
			registry.KindThing: {muster.Thing{Account: account, Name: "t", Type: "k"}},
		}, "no thingtype"},
		"account": {map[registry.Kind][]any{
			registry.KindCert: {edited(func(c *muster.Certificate) { c.Account = account2 })},
		}, "no account " + account2},
		"namesakes": {namesakes(11), "the 11th of its subject"},
		"parent": {map[registry.Kind][]any{
			registry.KindThingGroup: {muster.ThingGroup{Account: account, Name: "g", Parent: "h"}},
		}, "no thinggroup"},
		"ancestors": {map[registry.Kind][]any{
			registry.KindThingGroup: {muster.ThingGroup{Account: account, Name: "g"}, muster.ThingGroup{Account: account, Name: "h", Parent: "g"}},
		}, `it stands below [], its parent says below ["g"]`},
		"cycle": {map[registry.Kind][]any{
			registry.KindThingGroup: {
				muster.ThingGroup{Account: account, Name: "g", Parent: "h", Ancestors: []string{"h"}},
				muster.ThingGroup{Account: account, Name: "h", Parent: "g", Ancestors: []string{"h", "g"}},
			},
		}, "its parent says below"},
		"exclusive": {map[registry.Kind][]any{
			registry.KindCert: {edited(func(c *muster.Certificate) { c.Exclusive = true })},
		}, "want one thing"},
		"groups": {map[registry.Kind][]any{
			registry.KindThingGroup: {muster.ThingGroup{Account: account, Name: "g"}},
			registry.KindThing:      {muster.Thing{Account: account, Name: "t", Groups: []string{"g", "g"}}},
		}, "each once"},
	}
}

// versions are those of a policy whose next one is 9.
func versions(ids ...string) muster.Policy {
	p := muster.Policy{Account: account, Name: "p", Default: "1", Next: 9}
	for _, id := range ids {
		p.Versions = append(p.Versions, muster.PolicyVersion{ID: id})
	}
	return p
}

// namesakes are authorities of one subject.
func namesakes(n int) map[registry.Kind][]any {
	docs := map[registry.Kind][]any{}
	for i := range n {
		id := fmt.Sprint("a", i)
		docs[registry.KindAuthority] = append(docs[registry.KindAuthority], muster.Authority{Account: account, ID: id})
		docs[registry.KindIssuer] = append(docs[registry.KindIssuer], muster.Issuer{Account: account, ID: id})
	}
	return docs
}

// withAccount is an engine that holds an account and nothing else.
func withAccount(t *testing.T) *memory.Engine {
	t.Helper()
	e := memory.New()
	write(t, e, map[registry.Kind][]any{registry.KindAccount: {muster.Account{ID: account}}}, nil)
	return e
}

// The check of invariants sees what it is there to see.
func TestInvariantsAreChecked(t *testing.T) {
	for name, test := range brokenStores() {
		e := withAccount(t)
		write(t, e, test.docs, nil)
		r := &recorder{T: t}
		registrytest.Check(r, e)
		reports := strings.Join(r.reports, "\n")
		if (test.text == "") != (reports == "") || !strings.Contains(reports, test.text) {
			t.Errorf("%s: reported %q, want %q", name, reports, test.text)
		}
	}

	e := withAccount(t)
	write(t, e, map[registry.Kind][]any{registry.KindCert: {soundCertificate}}, func(d *registry.Doc) { d.Index = d.Index[1:] })
	r := &recorder{T: t}
	registrytest.Check(r, e)
	reports := strings.Join(r.reports, "\n")
	for _, want := range []string{"not found by index owner", "index owner lists 0 documents, 1 belong there"} {
		if !strings.Contains(reports, want) {
			t.Errorf("a missing index entry: reported %q, want %q", reports, want)
		}
	}
}

// What is told of many breaks is bounded.
func TestInvariantsAreBounded(t *testing.T) {
	e := withAccount(t)
	docs := map[registry.Kind][]any{}
	for i := range 150 {
		docs[registry.KindThing] = append(docs[registry.KindThing], muster.Thing{Account: account, Name: fmt.Sprint("t", i), Type: "k"})
	}
	write(t, e, docs, nil)
	broken, err := registry.CheckInvariants(t.Context(), e)
	if err != nil || len(broken) != 101 || broken[100].Error() != "and 50 more" {
		t.Errorf("%d breaks, the last %v, %v", len(broken), broken[len(broken)-1], err)
	}
}

func write(t *testing.T, e registry.Engine, docs map[registry.Kind][]any, edit func(*registry.Doc)) {
	t.Helper()
	err := e.Update(t.Context(), func(tx registry.Tx) error {
		for k, all := range docs {
			for _, v := range all {
				text, err := json.Marshal(v)
				if err != nil {
					return err
				}
				id, entries, err := registry.Index(k, text)
				if err != nil {
					return err
				}
				d := registry.Doc{ID: id, JSON: text, Index: entries}
				if edit != nil {
					edit(&d)
				}
				if err := tx.Put(k, d); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
