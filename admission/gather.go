package admission

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/muster-mqtt/muster"
)

// gather reads what the rules look at: account, record, tombstone, authority
// and the issuer's OCSP settings, everything but the answer of a responder. It
// returns the question where OCSP is to be asked, else nil.
func (g *Gate) gather(ctx context.Context, c *Candidate) (Facts, *Question, error) {
	f := Facts{Now: g.now(), Skew: g.skew, SNI: clip(c.SNI), Leaf: leafFacts(c.Leaf, c.ID)}
	records, tombstones, err := g.registry.Find(ctx, c.ID)
	if err != nil {
		return f, nil, err
	}
	accounts, err := g.registry.Accounts(ctx)
	if err != nil {
		return f, nil, err
	}
	sg := &signersOnce{g: g, ctx: ctx, c: c}
	f.Account, f.Ambiguous, err = resolveAccount(c.SNI, accounts, records, tombstones, sg.get)
	if err != nil {
		return f, nil, err
	}
	for _, t := range tombstones {
		if t.Account == f.Account {
			f.Tombstone = t.Kind
		}
	}
	var issuerID string
	if i := slices.IndexFunc(records, func(r muster.Certificate) bool { return r.Account == f.Account }); i >= 0 {
		f.Record = RecordFacts{Status: records[i].Status, AuthorityID: records[i].AuthorityID,
			Created: records[i].Created, Failure: records[i].ProvisioningFailure, Expires: records[i].Expires}
		issuerID, err = g.recordedAuthority(ctx, &f)
	} else {
		issuerID, err = g.signingAuthority(ctx, &f, sg.get)
		switch {
		case err != nil || f.Authority.State != AuthorityNone:
		case offered(records, f.Account): // what the account could register itself is not held up by it
			f.Record = RecordFacts{Status: muster.PendingTransfer, Offered: true}
		default:
			f.Chain, err = g.chainFacts(ctx, c, len(sg.found) > 0)
		}
	}
	if err != nil || issuerID == "" {
		return f, nil, err
	}
	q, err := g.question(ctx, &f, c.Leaf, issuerID)
	return f, q, err
}

// offered reports whether another account offers its record to this one.
func offered(records []muster.Certificate, account string) bool {
	return account != "" && slices.ContainsFunc(records, func(r muster.Certificate) bool {
		return r.Status == muster.PendingTransfer && r.Transfer.To == account
	})
}

func leafFacts(leaf *x509.Certificate, id string) LeafFacts {
	return LeafFacts{
		ID: id, Subject: clip(muster.NameText(leaf.Subject)), Issuer: clip(muster.NameText(leaf.Issuer)),
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		IsCA: leaf.IsCA, NoClientAuth: !muster.ForClients(leaf), Weakness: muster.Weakness(leaf),
	}
}

// maxText bounds each text that comes from outside and is kept or logged:
// names in a certificate and client IDs may have 64 KB.
const maxText = 512

// clip bounds such a text and replaces what a terminal would obey rather than
// show: whoever reads a refusal reads what a stranger wrote.
func clip(s string) string { return clipTo(s, maxText) }

func clipTo(s string, most int) string {
	long := len(s) > most
	if long {
		s = s[:most]
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, strings.ToValidUTF8(s, ""))
	if long {
		s += "…"
	}
	return s
}

// recordedAuthority fills the facts of the authority that a record names. An
// active record needs none but for its OCSP settings.
func (g *Gate) recordedAuthority(ctx context.Context, f *Facts) (issuerID string, err error) {
	if f.Record.AuthorityID == "" {
		return "", nil
	}
	if f.Record.Status == muster.PendingActivation {
		a, err := g.registry.Authority(ctx, f.Account, f.Record.AuthorityID)
		switch {
		case errors.Is(err, muster.ErrNotFound):
			f.Authority = AuthorityFacts{ID: f.Record.AuthorityID, State: AuthorityGone}
		case err != nil:
			return "", err
		default:
			f.Authority = g.authorityFacts(f, a)
		}
	}
	return f.Record.AuthorityID, nil
}

// signingAuthority chooses the authority of a certificate without a record: of
// several in the account whose key signed it, the first that could register
// it, else the newest. Without an account any of them serves to say why.
func (g *Gate) signingAuthority(ctx context.Context, f *Facts, signers func() ([]muster.Authority, error)) (issuerID string, err error) {
	all, err := signers()
	if err != nil {
		return "", err
	}
	chosen := -1
	for i, a := range all {
		if f.Account != "" && a.Account != f.Account {
			continue
		}
		probe := Facts{Authority: g.authorityFacts(f, a), Expected: f.Expected}
		_, _, bad := authorityRule(&probe)
		_, _, off := autoRegistrationRule(&probe)
		if chosen < 0 || !bad && !off {
			chosen, f.Authority = i, probe.Authority
		}
		if !bad && !off {
			break
		}
	}
	if chosen < 0 || f.Account == "" {
		return "", nil
	}
	f.Authority.Pending, err = g.registry.PendingCount(ctx, f.Account, f.Authority.ID)
	f.Authority.PendingCap = g.pendingCap
	return f.Authority.ID, err
}

func (g *Gate) authorityFacts(f *Facts, a muster.Authority) AuthorityFacts {
	state := AuthorityUsable
	switch {
	case !a.Verified:
		state = AuthorityUnverified
	case a.Status != muster.Active:
		state = AuthorityInactive
	case f.Now.Add(-f.Skew).After(a.NotAfter) || f.Now.Add(f.Skew).Before(a.NotBefore):
		state = AuthorityExpired
	}
	return AuthorityFacts{ID: a.ID, State: state, AutoRegistration: a.AutoRegistration, Template: !a.Registration.IsZero()}
}

// question reads the OCSP settings of an issuer and, where they matter, its
// certificate.
func (g *Gate) question(ctx context.Context, f *Facts, leaf *x509.Certificate, id string) (*Question, error) {
	issuer, err := g.registry.Issuer(ctx, f.Account, id)
	if errors.Is(err, muster.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f.OCSP.Mode, f.OCSP.IssuerHeld = issuer.OCSP.Mode, true
	if !f.OCSP.asks() {
		return nil, nil
	}
	cert, err := g.issuers.get(issuer.PEM, parseCertificate)
	if err != nil {
		return nil, err
	}
	return &Question{Leaf: leaf, Issuer: cert, Settings: issuer.OCSP}, nil
}

func parseCertificate(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	return x509.ParseCertificate(block.Bytes)
}

// resolveAccount tells whose device it is, so that nobody can capture or lock
// out another's: the endpoint that the device named; else the account that
// alone may hold the certificate; else that of the authority that alone may
// sign for it; else the only one that knows it at all. Authorities that did
// not prove possession never count, nor does an account that gave the certificate
// away while one has it that took it over.
func resolveAccount(sni string, accounts []muster.Account, records []muster.Certificate,
	tombstones []muster.Tombstone, signers func() ([]muster.Authority, error),
) (account string, ambiguous []string, err error) {
	if sni != "" {
		for _, a := range accounts {
			if strings.EqualFold(a.Endpoint, sni) {
				return a.ID, nil, nil
			}
		}
	}
	recorded, buried, gave := homes(records, tombstones)
	// Who deleted it had it last; who gave it away knows no more than that.
	for _, held := range []map[muster.Mode][]string{recorded, buried, gave} {
		if only := held[muster.ModeDefault]; len(only) > 0 {
			return slices.Min(only), nil, nil
		}
	}
	authorities, err := signers()
	if err != nil {
		return "", nil, err
	}
	moved := slices.ContainsFunc(records, func(r muster.Certificate) bool { return r.PreviousOwner != "" })
	signed := map[muster.Mode][]string{}
	for _, a := range authorities {
		if a.Verified && !(moved && slices.Contains(gave[muster.ModeSNIOnly], a.Account)) {
			signed[a.Mode] = append(signed[a.Mode], a.Account)
		}
	}
	if only := distinct(signed[muster.ModeDefault]); len(only) == 1 {
		return only[0], nil, nil
	}
	all := slices.Concat(recorded[muster.ModeSNIOnly], buried[muster.ModeSNIOnly], signed[muster.ModeSNIOnly], signed[muster.ModeDefault])
	if !moved {
		all = append(all, gave[muster.ModeSNIOnly]...)
	}
	all = distinct(all)
	switch len(all) {
	case 0:
		return "", nil, nil
	case 1:
		return all[0], nil, nil
	}
	return "", all, nil
}

// homes are the accounts that have a record of a certificate, that deleted it, and
// that transferred it to another, by the mode in which they had it.
func homes(records []muster.Certificate, tombstones []muster.Tombstone) (recorded, buried, gave map[muster.Mode][]string) {
	recorded, buried, gave = map[muster.Mode][]string{}, map[muster.Mode][]string{}, map[muster.Mode][]string{}
	for _, r := range records {
		recorded[r.Mode] = append(recorded[r.Mode], r.Account)
	}
	for _, t := range tombstones {
		if t.Kind == muster.TombstoneTransferred {
			gave[t.Mode] = append(gave[t.Mode], t.Account)
		} else {
			buried[t.Mode] = append(buried[t.Mode], t.Account)
		}
	}
	return recorded, buried, gave
}

func distinct(s []string) []string {
	slices.Sort(s)
	return slices.Compact(s)
}

// signersOnce looks for the authorities that signed a certificate when first
// asked; a record that selects its account needs none.
type signersOnce struct {
	g     *Gate
	ctx   context.Context
	c     *Candidate
	done  bool
	found []muster.Authority
	err   error
}

func (s *signersOnce) get() ([]muster.Authority, error) {
	if !s.done {
		s.found, s.err = s.g.signers(s.ctx, s.c.Leaf, s.c.ID)
		s.done = true
	}
	return s.found, s.err
}

// maxSignatureChecks bounds what one handshake may cost when many registered
// authorities share a subject. Each account has its first ones among them before
// any has its last: strangers who register namesakes must not use it up.
const maxSignatureChecks = 32

// signers returns the registered authorities, of all accounts, whose key signed
// leaf, the newest first. One that seems to have signed it, by name and key
// identifier, but too weakly for the signature to be checked, counts: rule 1
// then tells the device's owner what is wrong.
func (g *Gate) signers(ctx context.Context, leaf *x509.Certificate, id string) ([]muster.Authority, error) {
	named, err := g.registry.AuthoritiesBySubject(ctx, leaf.RawIssuer)
	if err != nil {
		return nil, fmt.Errorf("authorities named %q: %w", muster.NameText(leaf.Issuer), err)
	}
	var found []muster.Authority
	verdicts := map[string]bool{} // by authority ID: several accounts may hold one
	for _, a := range likelyFirst(named, leaf) {
		signed, known := verdicts[a.ID]
		if !known {
			if len(verdicts) == maxSignatureChecks {
				break
			}
			signed = g.signed.check(id, a.ID, func() bool { return signs(a, leaf) })
			verdicts[a.ID] = signed
		}
		if signed {
			found = append(found, a)
		}
	}
	return found, nil
}

// likelyFirst moves the authorities whose subject key identifier the leaf
// names to the front, and among these and the others takes one of each account in
// turn, in the order of each.
func likelyFirst(named []muster.Authority, leaf *x509.Certificate) []muster.Authority {
	if len(named) < 2 {
		return named
	}
	type ranked struct {
		muster.Authority
		unlikely, turn int
	}
	type group struct {
		account  string
		unlikely int
	}
	order, before := make([]ranked, len(named)), map[group]int{}
	for i, a := range named {
		g := group{account: a.Account}
		if len(leaf.AuthorityKeyId) > 0 {
			if parent, err := parseCertificate(a.PEM); err != nil || string(parent.SubjectKeyId) != string(leaf.AuthorityKeyId) {
				g.unlikely = 1
			}
		}
		order[i] = ranked{a, g.unlikely, before[g]}
		before[g]++
	}
	slices.SortStableFunc(order, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.unlikely, b.unlikely), cmp.Compare(a.turn, b.turn))
	})
	named = make([]muster.Authority, len(order))
	for i, r := range order {
		named[i] = r.Authority
	}
	return named
}

func signs(a muster.Authority, leaf *x509.Certificate) bool {
	parent, err := parseCertificate(a.PEM)
	if err != nil {
		return false
	}
	err = leaf.CheckSignatureFrom(parent)
	var weak x509.InsecureAlgorithmError
	return err == nil || errors.As(err, &weak)
}
