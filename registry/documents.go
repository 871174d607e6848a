package registry

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/muster-mqtt/muster"
)

// The kinds of documents. What belongs to an account by its name has the ID
// "account/name", so that a list by name needs no index; what is found by its
// fingerprint whatever the account has the ID "fingerprint/account".
const (
	KindAccount    Kind = "account"
	KindKey        Kind = "key"
	KindAuthority  Kind = "authority"
	KindIssuer     Kind = "issuer"
	KindIssuing    Kind = "issuing" // under the account's ID, as KindAccount
	KindCert       Kind = "cert"
	KindTombstone  Kind = "tombstone"
	KindThing      Kind = "thing"
	KindThingType  Kind = "thingtype"
	KindThingGroup Kind = "thinggroup"
	KindPolicy     Kind = "policy"
	KindTemplate   Kind = "template"
	KindAnswer     Kind = "answer"
	KindRefusal    Kind = "refusal"
)

// Kinds returns every kind of document.
func Kinds() []Kind {
	return []Kind{
		KindAccount, KindKey, KindIssuing, KindAuthority, KindIssuer, KindCert, KindTombstone, KindThing, KindThingType,
		KindThingGroup, KindPolicy, KindTemplate, KindAnswer, KindRefusal,
	}
}

// The indexes, each with its key. Creation times make a list run in the order
// of creation.
const (
	IndexEndpoint  = "endpoint"  // account: host name, lower case; unique
	IndexDefault   = "default"   // cert, authority: its ID, if its mode is DEFAULT; unique, for one account may hold it
	IndexOwner     = "owner"     // cert, authority: account, created; a cert also under the account that it is offered to
	IndexAuthority = "authority" // cert: account, authority, created
	IndexStatus    = "status"    // cert: account, status, created
	IndexSigned    = "signed"    // cert: account, authority, status, created
	IndexThing     = "thing"     // cert: account, thing
	IndexPolicy    = "policy"    // cert, thinggroup: account, policy
	IndexSubject   = "subject"   // authority: SHA-256 of the subject in hex, created
	IndexTemplate  = "template"  // authority: account, template, created
	IndexExpiry    = "expiry"    // tombstone, answer, cert that has a date: the time it may be swept
	IndexClaim     = "claim"     // cert that is a claim, and in no list: account, the time it expires
	IndexType      = "type"      // thing: account, thing type
	IndexGroup     = "group"     // thing: account, group that it is in
	IndexParent    = "parent"    // thinggroup: account, parent or "", name
	IndexAncestor  = "ancestor"  // thinggroup: account, any group above it, name
)

// authorityDoc is how an authority is stored: a closure that writes one parses
// no certificate, so the subject has to be at hand.
type authorityDoc struct {
	muster.Authority
	Subject string `json:"subject"` // SHA-256 of the DER of the subject, in hex
}

// keyDoc is how an access key is stored.
type keyDoc struct {
	ID       string    `json:"id"`
	Account  string    `json:"account"`
	Sealed   []byte    `json:"sealed"`
	Disabled bool      `json:"disabled,omitempty"`
	Created  time.Time `json:"created"`

	Name       string    `json:"name,omitempty"`
	ReadOnly   bool      `json:"readOnly,omitempty"`
	Operations []string  `json:"operations,omitempty"`
	Used       time.Time `json:"used,omitzero"` // to the hour
}

// answerDoc is how an OCSP answer is stored.
type answerDoc struct {
	Key     string    `json:"key"`
	DER     []byte    `json:"der"`
	Expires time.Time `json:"expires,omitzero"` // zero: never swept
}

// Key joins the parts of an index key, each ended by a zero byte so that no
// part is a prefix of another's.
func Key(parts ...string) []byte {
	n := 8 // for the time that often follows
	for _, p := range parts {
		n += len(p) + 1
	}
	key := make([]byte, 0, n)
	for _, p := range parts {
		key = append(append(key, p...), 0)
	}
	return key
}

// appendTime appends t so that keys sort by it: big-endian microseconds, with
// the sign flipped for what lies before 1970.
func appendTime(key []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(key, uint64(t.UnixMicro())^1<<63)
}

// split parts the ID of a document that belongs to an account into the
// account and the fingerprint or name.
func split(k Kind, id string) (account, name string) {
	left, right, _ := strings.Cut(id, "/")
	switch k {
	case KindCert, KindTombstone, KindAuthority, KindIssuer:
		return right, left
	}
	return left, right
}

// docID is the inverse of split.
func docID(k Kind, account, name string) string {
	switch k {
	case KindCert, KindTombstone, KindAuthority, KindIssuer:
		return name + "/" + account
	case KindAccount:
		return account
	}
	return account + "/" + name
}

// Index computes the ID and the index entries of a stored document. Restoring
// a backup and checking an engine need them; every write uses them.
func Index(k Kind, doc []byte) (id string, entries []Entry, err error) {
	v, err := decode(k, doc)
	if err != nil {
		return "", nil, fmt.Errorf("document of kind %s: %w", k, err)
	}
	_, id, entries = identify(v)
	return id, entries, nil
}

func decode(k Kind, doc []byte) (v any, err error) {
	switch k {
	case KindAccount:
		v = new(muster.Account)
	case KindKey:
		v = new(keyDoc)
	case KindIssuing:
		v = new(issuingDoc)
	case KindAuthority:
		v = new(authorityDoc)
	case KindIssuer:
		v = new(muster.Issuer)
	case KindCert:
		v = new(muster.Certificate)
	case KindTombstone:
		v = new(muster.Tombstone)
	case KindThing:
		v = new(muster.Thing)
	case KindThingType:
		v = new(muster.ThingType)
	case KindThingGroup:
		v = new(muster.ThingGroup)
	case KindPolicy:
		v = new(muster.Policy)
	case KindTemplate:
		v = new(muster.Template)
	case KindAnswer:
		v = new(answerDoc)
	case KindRefusal:
		v = new(muster.Refusal)
	default:
		return nil, errors.New("unknown kind")
	}
	return v, json.Unmarshal(doc, v)
}

// identify returns the kind of a document, its ID and its index entries.
func identify(v any) (Kind, string, []Entry) {
	switch d := v.(type) {
	case *muster.Account:
		return KindAccount, d.ID, accountEntries(d)
	case *keyDoc:
		return KindKey, d.ID, nil
	case *issuingDoc:
		return KindIssuing, d.Account, nil
	case *authorityDoc:
		return KindAuthority, docID(KindAuthority, d.Account, d.ID), authorityEntries(d)
	case *muster.Issuer:
		return KindIssuer, docID(KindIssuer, d.Account, d.ID), nil
	case *muster.Certificate:
		return KindCert, docID(KindCert, d.Account, d.ID), certificateEntries(d)
	case *muster.Tombstone:
		return KindTombstone, docID(KindTombstone, d.Account, d.ID), []Entry{{Index: IndexExpiry, Key: appendTime(nil, d.NotAfter)}}
	case *muster.Thing:
		return KindThing, docID(KindThing, d.Account, d.Name), thingEntries(d)
	case *muster.ThingType:
		return KindThingType, docID(KindThingType, d.Account, d.Name), nil
	case *muster.ThingGroup:
		return KindThingGroup, docID(KindThingGroup, d.Account, d.Name), groupEntries(d)
	case *muster.Policy:
		return KindPolicy, docID(KindPolicy, d.Account, d.Name), nil
	case *muster.Template:
		return KindTemplate, docID(KindTemplate, d.Account, d.Name), nil
	case *answerDoc:
		return KindAnswer, d.Key, answerEntries(d)
	case *muster.Refusal:
		return KindRefusal, refusalID(d), nil
	}
	panic(fmt.Sprintf("registry: %T is no document", v))
}

func accountEntries(a *muster.Account) []Entry {
	if a.Endpoint == "" {
		return nil
	}
	return []Entry{{Index: IndexEndpoint, Key: []byte(strings.ToLower(a.Endpoint)), Unique: true}}
}

func authorityEntries(a *authorityDoc) []Entry {
	entries := []Entry{
		{Index: IndexOwner, Key: appendTime(Key(a.Account), a.Created)},
		{Index: IndexSubject, Key: appendTime(Key(a.Subject), a.Created)},
	}
	if a.Mode == muster.ModeDefault {
		entries = append(entries, Entry{Index: IndexDefault, Key: []byte(a.ID), Unique: true})
	}
	if name := a.Registration.TemplateName; name != "" {
		entries = append(entries, Entry{Index: IndexTemplate, Key: appendTime(Key(a.Account, name), a.Created)})
	}
	return entries
}

func certificateEntries(c *muster.Certificate) []Entry {
	entries := make([]Entry, 0, 6+len(c.Things)+len(c.Policies))
	if !c.Expires.IsZero() {
		entries = append(entries, Entry{Index: IndexExpiry, Key: appendTime(nil, c.Expires)})
	}
	if c.Claim != "" {
		return append(entries,
			Entry{Index: IndexClaim, Key: appendTime(Key(c.Account), c.Expires)},
			Entry{Index: IndexDefault, Key: []byte(c.ID), Unique: true})
	}
	entries = append(entries,
		Entry{Index: IndexOwner, Key: appendTime(Key(c.Account), c.Created)},
		Entry{Index: IndexStatus, Key: appendTime(Key(c.Account, string(c.Status)), c.Created)})
	if c.Status == muster.PendingTransfer {
		entries = append(entries, Entry{Index: IndexOwner, Key: appendTime(Key(c.Transfer.To), c.Created)})
	}
	if c.Mode == muster.ModeDefault {
		entries = append(entries, Entry{Index: IndexDefault, Key: []byte(c.ID), Unique: true})
	}
	if c.AuthorityID != "" {
		entries = append(entries,
			Entry{Index: IndexAuthority, Key: appendTime(Key(c.Account, c.AuthorityID), c.Created)},
			Entry{Index: IndexSigned, Key: appendTime(Key(c.Account, c.AuthorityID, string(c.Status)), c.Created)})
	}
	for _, name := range c.Things {
		entries = append(entries, Entry{Index: IndexThing, Key: Key(c.Account, name)})
	}
	return append(entries, policyEntries(c.Account, c.Policies)...)
}

func policyEntries(account string, names []string) []Entry {
	var entries []Entry
	for _, name := range names {
		entries = append(entries, Entry{Index: IndexPolicy, Key: Key(account, name)})
	}
	return entries
}

func thingEntries(t *muster.Thing) []Entry {
	var entries []Entry
	if t.Type != "" {
		entries = append(entries, Entry{Index: IndexType, Key: Key(t.Account, t.Type)})
	}
	for _, name := range t.Groups {
		entries = append(entries, Entry{Index: IndexGroup, Key: Key(t.Account, name)})
	}
	return entries
}

// groupEntries end in the group's name, so that a list may ask for names that
// begin alike.
func groupEntries(g *muster.ThingGroup) []Entry {
	entries := []Entry{{Index: IndexParent, Key: append(Key(g.Account, g.Parent), g.Name...)}}
	for _, name := range g.Ancestors {
		entries = append(entries, Entry{Index: IndexAncestor, Key: append(Key(g.Account, name), g.Name...)})
	}
	return append(entries, policyEntries(g.Account, g.Policies)...)
}

func answerEntries(a *answerDoc) []Entry {
	if a.Expires.IsZero() {
		return nil
	}
	return []Entry{{Index: IndexExpiry, Key: appendTime(nil, a.Expires)}}
}

func refusalID(r *muster.Refusal) string {
	return r.Account + "/" + r.AuthorityID + "/" + r.CertificateID
}
