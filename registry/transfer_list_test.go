package registry_test

import (
	"slices"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
)

// TestTransferIsListed: the receiver finds what is offered among its own, in the
// order of registration, and bulk acts pass over it.
func TestTransferIsListed(t *testing.T) {
	f, ca, first := transferable(t, muster.ModeDefault)
	ctx := t.Context()
	ids := []string{first.ID}
	owned := 0
	for i, name := range []string{"1", "2", "3", "4", "5"} {
		f.advance(time.Second)
		if i%2 == 0 {
			owned++
			leaf := must(mint.SelfSigned(mint.Request{}))(f)
			c := must(f.RegisterCertificate(ctx, registry.CertificateRegistration{Account: account2, PEM: string(leaf.CertPEM()), WithoutCA: true}))(f)
			ids = append(ids, c.ID)
			continue
		}
		ids = append(ids, f.register(ca, name, muster.Inactive).ID)
		f.offer(account, ids[len(ids)-1], account2)
	}
	f.offer(account, first.ID, account2)
	for _, desc := range []bool{false, true} {
		var listed, selected []string
		for p := (registry.Page{Limit: 2, Desc: desc}); ; {
			page, next, err := f.ListCertificates(ctx, account2, p)
			f.ok(err)
			for _, c := range page {
				listed = append(listed, c.ID)
			}
			if p.After = next; next == nil {
				break
			}
		}
		for p := (registry.Page{Limit: 2, Desc: desc}); ; {
			page, next, err := f.SelectCertificates(ctx, registry.CertificateFilter{Account: account2}, p)
			f.ok(err)
			for _, c := range page {
				if c.Account != account2 {
					t.Errorf("selected %+v", c)
				}
				selected = append(selected, c.ID)
			}
			if p.After = next; next == nil {
				break
			}
			if len(page) != 2 {
				t.Errorf("a page of %d before the last", len(page))
			}
		}
		if desc {
			slices.Reverse(listed)
		}
		if !slices.Equal(listed, ids) {
			t.Errorf("desc %v: listed %q, want %q", desc, listed, ids)
		}
		if len(selected) != owned {
			t.Errorf("desc %v: selected %d, want %d", desc, len(selected), owned)
		}
	}
	if n := must(f.CountCertificates(ctx, registry.CertificateFilter{Account: account2}))(f); n != owned {
		t.Errorf("counted %d, want %d", n, owned)
	}
	outgoing := must2(f.ListCertificatesByStatus(ctx, account, muster.PendingTransfer, registry.Page{}))(f)
	if len(outgoing) != 3 {
		t.Errorf("%d are outgoing, want 3", len(outgoing))
	}
}

// TestStrangersOffer: whoever knows a certificate can register it without an
// authority and offer it. That neither takes the place of the owner's offer nor
// stands in a list beside what the account has itself.
func TestStrangersOffer(t *testing.T) {
	const stranger = "333333333333"
	f, ca, c := transferable(t, muster.ModeDefault)
	ctx := t.Context()
	f.ok(f.CreateAccount(ctx, muster.Account{ID: stranger}))
	owned := must(f.RegisterCertificate(ctx, registry.CertificateRegistration{Account: account2, PEM: f.leaf(ca, "owned"), WithoutCA: true}))(f)
	for _, pem := range []string{c.PEM, owned.PEM} {
		r := registry.CertificateRegistration{Account: stranger, PEM: pem, WithoutCA: true}
		f.offer(stranger, must(f.RegisterCertificate(ctx, r))(f).ID, account2)
	}
	f.advance(time.Second)
	f.offer(account, c.ID, account2)

	listed := map[string]string{}
	for p := (registry.Page{Limit: 1}); ; {
		page, next, err := f.ListCertificates(ctx, account2, p)
		f.ok(err)
		for _, c := range page {
			if listed[c.ID] != "" {
				t.Errorf("certificate %s is listed twice", c.ID)
			}
			listed[c.ID] = c.Account
		}
		if p.After = next; next == nil {
			break
		}
	}
	if len(listed) != 2 || listed[c.ID] != account || listed[owned.ID] != account2 {
		t.Errorf("listed %v", listed)
	}
	if taken := f.accept(account2, c.ID); taken.PreviousOwner != account || taken.AuthorityID != c.AuthorityID {
		t.Errorf("accepted %+v, want the owner's", taken)
	}
}
