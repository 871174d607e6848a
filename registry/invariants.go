package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/muster-mqtt/muster"
)

const (
	// checkPage is how many documents a walk over all of them holds at once.
	checkPage = 200
	// maxBroken is how many broken rules are told.
	maxBroken = 100
	// maxKnown bounds the references that a check remembers to exist.
	maxKnown = 10_000
)

// CheckInvariants walks everything that an engine holds, as one state, and
// returns what breaks a rule of the registry: a document under the wrong ID, one
// that names something that is not there, an index that lists too many or few, and
// numbers that no sequence of changes leads to. It tells at most a hundred
// breaks, and how many more there are. err says that it could not look.
//
// It holds one page of documents in memory, whatever the size of the registry.
func CheckInvariants(ctx context.Context, e Engine) (broken []error, err error) {
	err = e.View(ctx, func(r Reader) error {
		c := newChecker(ctx, r)
		for _, k := range Kinds() {
			if err := c.kind(k); err != nil {
				return err
			}
		}
		broken = c.found()
		return nil
	})
	return broken, err
}

// checker holds documents to the rules.
type checker struct {
	ctx    context.Context
	r      Reader
	broken []error
	more   int // breaks that are not in broken
	err    error
	known  map[writtenDoc]bool // what is there; forgotten when it grows
	// sole is the last DEFAULT record of its kind: those of one fingerprint
	// follow one another.
	sole writtenDoc
}

func newChecker(ctx context.Context, r Reader) *checker {
	return &checker{ctx: ctx, r: r, known: map[writtenDoc]bool{}}
}

func (c *checker) breaks(format string, args ...any) {
	if len(c.broken) == maxBroken {
		c.more++
		return
	}
	c.broken = append(c.broken, fmt.Errorf(format, args...))
}

func (c *checker) found() []error {
	if c.more == 0 {
		return c.broken
	}
	return append(c.broken, fmt.Errorf("and %d more", c.more))
}

// indexes are all that a document may be found by.
func indexes() []string {
	return []string{
		IndexEndpoint, IndexDefault, IndexOwner, IndexAuthority, IndexStatus, IndexSigned, IndexThing, IndexPolicy,
		IndexSubject, IndexTemplate, IndexExpiry, IndexClaim, IndexType, IndexGroup, IndexParent, IndexAncestor,
	}
}

// kind checks the documents of a kind, and that each index lists as many of them
// as belong there.
func (c *checker) kind(k Kind) error {
	belong := map[string]int{}
	err := each(c.ctx, c.r, k, Query{}, func(d Doc) error {
		entries, err := c.document(k, d)
		for _, e := range entries {
			belong[e.Index]++
		}
		return err
	})
	if err != nil {
		return err
	}
	if k == KindAuthority {
		if err := c.namesakes(); err != nil {
			return err
		}
	}
	for _, index := range indexes() {
		listed := 0
		err := each(c.ctx, c.r, k, Query{Index: index, OnlyIDs: true}, func(Doc) error { listed++; return nil })
		if err != nil {
			return err
		}
		if listed != belong[index] {
			c.breaks("%s: index %s lists %d documents, %d belong there", k, index, listed, belong[index])
		}
	}
	return nil
}

// document checks one document and returns the entries that it should have.
func (c *checker) document(k Kind, d Doc) ([]Entry, error) {
	v, err := decode(k, d.JSON)
	if err != nil {
		c.breaks("%s %s: %w", k, d.ID, err)
		return nil, nil
	}
	_, id, entries := identify(v)
	if id != d.ID {
		c.breaks("%s %s: its content belongs under %q", k, d.ID, id)
	}
	return entries, c.rules(v)
}

// each calls fn for all documents of a query, page by page.
func each(ctx context.Context, r Reader, k Kind, q Query, fn func(Doc) error) error {
	q.Limit = checkPage
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		docs, next, err := r.List(k, q)
		if err != nil {
			return err
		}
		for _, d := range docs {
			if err := fn(d); err != nil {
				return err
			}
		}
		if q.After = next; next == nil {
			return nil
		}
	}
}

// rules holds a document to the rules of its kind. Its error, too, says that it
// could not look.
func (c *checker) rules(v any) error {
	switch d := v.(type) {
	case *keyDoc:
		c.owned("access key "+d.ID, d.Account)
	case *issuingDoc:
		c.owned("issuing authority", d.Account)
	case *muster.Certificate:
		c.certificate(d)
	case *muster.Tombstone:
		c.tombstone(d)
	case *authorityDoc:
		c.authority(d)
	case *muster.Issuer:
		c.issuer(d)
	case *muster.Thing:
		c.thing(d)
	case *muster.ThingType:
		c.owned("thing type "+d.Name, d.Account)
	case *muster.ThingGroup:
		c.group(d)
	case *muster.Policy:
		c.policy(d)
	case *muster.Template:
		c.template(d)
	}
	err := c.err
	c.err = nil
	return err
}

func count[T any](all []T, is func(T) bool) (n int) {
	for _, v := range all {
		if is(v) {
			n++
		}
	}
	return n
}

// has reports whether there is such a document; an error of looking is kept.
func (c *checker) has(k Kind, id string) bool {
	ref := writtenDoc{k, id}
	if c.known[ref] {
		return true
	}
	found, err := exists(c.r, k, id)
	c.err = errors.Join(c.err, err)
	if found {
		if len(c.known) == maxKnown {
			clear(c.known)
		}
		c.known[ref] = true
	}
	return found || err != nil
}

// require reports a document that is named and not there.
func (c *checker) require(what string, k Kind, account string, names ...string) {
	for _, name := range names {
		if name != "" && !c.has(k, docID(k, account, name)) {
			c.breaks("%s: there is no %s %s", what, k, name)
		}
	}
}

// owned requires the account of a document, and returns what to call it.
func (c *checker) owned(what, account string) string {
	what += " of " + account
	c.require(what, KindAccount, account, account)
	return what
}

func (c *checker) certificate(d *muster.Certificate) {
	what := c.owned("certificate "+d.ID, d.Account)
	c.require(what, KindThing, d.Account, d.Things...)
	c.require(what, KindPolicy, d.Account, d.Policies...)
	c.require(what, KindIssuer, d.Account, d.AuthorityID)
	if !slices.IsSorted(d.Things) || !slices.IsSorted(d.Policies) || len(d.Things) > maxThings || len(d.Policies) > maxPolicies {
		c.breaks("%s: things %q, policies %q: want sorted, at most %d and %d", what, d.Things, d.Policies, maxThings, maxPolicies)
	}
	if d.Exclusive && len(d.Things) != 1 {
		c.breaks("%s: attached exclusively to %q: want one thing", what, d.Things)
	}
	c.alone(what, KindCert, d.ID, d.Mode)
	found, err := exists(c.r, KindTombstone, docID(KindTombstone, d.Account, d.ID))
	c.err = errors.Join(c.err, err)
	if found {
		c.breaks("%s: there is a tombstone too", what)
	}
	c.expiry(what, d)
	if d.Revision < 1 || d.Generation == "" || d.Status == "" {
		c.breaks("%s: revision %d, generation %q, status %q", what, d.Revision, d.Generation, d.Status)
	}
	c.transfer(what, d)
}

// expiry demands that a claim has a date and nothing else, and that no other
// record has one unless it waits.
func (c *checker) expiry(what string, d *muster.Certificate) {
	dated, bare := !d.Expires.IsZero(), d.AuthorityID == "" && len(d.Things)+len(d.Policies) == 0
	switch {
	case d.Claim != "" && !(dated && bare && d.Status == muster.Active && d.Mode == muster.ModeDefault):
		c.breaks("%s: a claim for %s: status %s, mode %s, expires %v, authority %q, things %q, policies %q",
			what, d.Claim, d.Status, d.Mode, d.Expires, d.AuthorityID, d.Things, d.Policies)
	case d.Claim == "" && dated && d.Status != muster.PendingActivation:
		c.breaks("%s: it is %s and expires at %v", what, d.Status, d.Expires)
	}
}

// alone demands that one account holds a fingerprint as DEFAULT.
func (c *checker) alone(what string, k Kind, id string, mode muster.Mode) {
	if mode != muster.ModeDefault {
		return
	}
	if c.sole == (writtenDoc{k, id}) {
		c.breaks("%s: DEFAULT, and so it is in another account", what)
	}
	c.sole = writtenDoc{k, id}
}

func (c *checker) authority(d *authorityDoc) {
	what := c.owned("authority "+d.ID, d.Account)
	issuer, _, err := read[muster.Issuer](c.r, KindIssuer, docID(KindIssuer, d.Account, d.ID))
	switch {
	case err != nil && !errors.Is(err, muster.ErrNotFound):
		c.err = errors.Join(c.err, err)
	case err != nil || issuer.OCSP != d.OCSP || issuer.PEM != d.PEM:
		c.breaks("%s: its issuer document says %+v, the authority %+v", what, issuer.OCSP, d.OCSP)
	}
	c.alone(what, KindAuthority, d.ID, d.Mode)
	c.require(what, KindTemplate, d.Account, d.Registration.TemplateName)
}

// namesakes demands that no account has more than ten authorities of a subject.
func (c *checker) namesakes() error {
	subject, held := "", map[string]int{}
	return each(c.ctx, c.r, KindAuthority, Query{Index: IndexSubject}, func(d Doc) error {
		v, err := decode(KindAuthority, d.JSON)
		if err != nil {
			return nil // told already
		}
		a := v.(*authorityDoc)
		if a.Subject != subject {
			subject = a.Subject
			clear(held)
		}
		if held[a.Account]++; held[a.Account] > maxOneSubject {
			c.breaks("authority %s of %s: the %dth of its subject", a.ID, a.Account, held[a.Account])
		}
		return nil
	})
}

func (c *checker) issuer(d *muster.Issuer) {
	what := c.owned("issuer "+d.ID, d.Account)
	if c.has(KindAuthority, docID(KindAuthority, d.Account, d.ID)) {
		return
	}
	name, err := holder(c.r, KindCert, IndexAuthority, Key(d.Account, d.ID))
	c.err = errors.Join(c.err, err)
	if name == "" && err == nil {
		c.breaks("%s: neither an authority nor a certificate needs it", what)
	}
}

func (c *checker) thing(d *muster.Thing) {
	what := c.owned("thing "+d.Name, d.Account)
	c.require(what, KindThingType, d.Account, d.Type)
	c.require(what, KindThingGroup, d.Account, d.Groups...)
	if !slices.Equal(d.Groups, sortedNames(d.Groups)) {
		c.breaks("%s: groups %q: want them sorted, each once", what, d.Groups)
	}
}

// group demands that what is above a group is its parent and what is above that:
// then no group is above itself.
func (c *checker) group(d *muster.ThingGroup) {
	what := c.owned("thing group "+d.Name, d.Account)
	c.require(what, KindPolicy, d.Account, d.Policies...)
	above, err := ancestors(c.r, d.Account, d.Parent)
	switch {
	case errors.Is(err, muster.ErrNotFound):
		c.breaks("%s: there is no thinggroup %s", what, d.Parent)
	case err != nil:
		c.err = errors.Join(c.err, err)
	case !slices.Equal(above, d.Ancestors):
		c.breaks("%s: it stands below %q, its parent says below %q", what, d.Ancestors, above)
	case len(d.Ancestors) >= maxGroupLevels:
		c.breaks("%s: it stands below %d groups", what, len(d.Ancestors))
	}
}
