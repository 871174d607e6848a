package registry_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
)

// transferable makes an authority that asks OCSP softly, and a certificate of it
// that is INACTIVE.
func transferable(t *testing.T, mode muster.Mode) (*fixture, *mint.Authority, muster.Certificate) {
	t.Helper()
	f := newFixture(t)
	ca := f.mint("Transfer")
	r := f.registration(account, ca)
	r.Mode, r.Tags = mode, []muster.Tag{{Key: muster.TagOCSP, Value: "soft"}}
	if mode == muster.ModeSNIOnly {
		r.VerificationPEM = ""
	}
	must(f.RegisterAuthority(t.Context(), r))(f)
	return f, ca, f.register(ca, "device", muster.Inactive)
}

func (f *fixture) offer(from, id, to string) muster.Certificate {
	f.Helper()
	c := must(f.TransferCertificate(f.Context(), from, id, to, "for you"))(f)
	f.step()
	return c
}

func (f *fixture) accept(to, id string) muster.Certificate {
	f.Helper()
	c := must(f.AcceptTransfer(f.Context(), to, id, true))(f)
	f.step()
	return c
}

// only demands that one account has the certificate, and this one a tombstone
// that says where it went; "" where there is to be none.
func (f *fixture) only(id, owner, buried string) muster.Certificate {
	f.Helper()
	held, tombstones, err := f.Find(f.Context(), id)
	f.ok(err)
	if len(held) != 1 || held[0].Account != owner {
		f.Fatalf("held by %+v, want %s alone", held, owner)
	}
	switch {
	case buried == "" && len(tombstones) == 0:
	case len(tombstones) == 1 && tombstones[0].Account == buried && tombstones[0].Kind == muster.TombstoneTransferred &&
		tombstones[0].To == owner && tombstones[0].Mode == held[0].Mode && tombstones[0].NotAfter.Equal(held[0].NotAfter):
	default:
		f.Errorf("tombstones %+v, want one of account %q", tombstones, buried)
	}
	return held[0]
}

// TestTransfer moves a certificate to another account and back, in both modes.
func TestTransfer(t *testing.T) {
	for _, mode := range []muster.Mode{muster.ModeDefault, muster.ModeSNIOnly} {
		t.Run(string(mode), func(t *testing.T) {
			f, ca, c := transferable(t, mode)
			offered := f.offer(account, c.ID, account2)
			if offered.Status != muster.PendingTransfer || offered.Revision != c.Revision+1 || offered.Transfer.To != account2 ||
				offered.Transfer.Message != "for you" || offered.Transfer.Offered.IsZero() || offered.Account != account {
				t.Errorf("offered: %+v", offered)
			}
			f.only(c.ID, account, "")
			seen := must(f.OfferedCertificate(t.Context(), account2, c.ID))(f)
			if seen.Account != account || seen.Status != muster.PendingTransfer {
				t.Errorf("the receiver sees %+v", seen)
			}
			taken := f.accept(account2, c.ID)
			if taken.Account != account2 || taken.Status != muster.Active || taken.PreviousOwner != account || taken.PEM != c.PEM ||
				taken.Mode != mode || taken.AuthorityID != c.AuthorityID || taken.Generation == c.Generation || !taken.Created.Equal(c.Created) ||
				taken.Transfer.Accepted.IsZero() || taken.Transfer.Message != "for you" {
				t.Errorf("accepted: %+v, was %+v", taken, c)
			}
			if stored := f.only(c.ID, account2, account); stored.Generation != taken.Generation {
				t.Errorf("stored %+v, returned %+v", stored, taken)
			}
			issuer := must(f.Issuer(t.Context(), account2, c.AuthorityID))(f)
			if issuer.OCSP.Mode != muster.OCSPSoft || issuer.PEM != string(ca.CertPEM()) {
				t.Errorf("the issuer came as %+v", issuer)
			}
			_, err := f.Enrol(t.Context(), muster.Enrolment{Account: account, AuthorityID: c.AuthorityID, PEM: c.PEM})
			f.is("its device registers where it was", err, muster.ErrState)

			must(f.UpdateCertificateStatus(t.Context(), account2, c.ID, muster.Inactive))(f)
			f.offer(account2, c.ID, account)
			back := must(f.AcceptTransfer(t.Context(), account, c.ID, false))(f)
			f.step()
			if back.Account != account || back.Status != muster.Inactive || back.PreviousOwner != account2 {
				t.Errorf("back: %+v", back)
			}
			f.only(c.ID, account, account2)
			_, err = f.Issuer(t.Context(), account2, c.AuthorityID)
			f.is("an issuer that nobody needs", err, muster.ErrNotFound)
		})
	}
}

// TestTransferRules: what cannot be offered stays as it is, and so does what is
// offered.
func TestTransferRules(t *testing.T) {
	f, ca, c := transferable(t, muster.ModeDefault)
	ctx := t.Context()
	f.policy("p")
	must(f.CreateThing(ctx, muster.Thing{Account: account, Name: "t"}))(f)
	active, revoked := f.register(ca, "active", muster.Active), f.register(ca, "revoked", muster.Revoked)
	attached, granted := f.register(ca, "attached", muster.Inactive), f.register(ca, "granted", muster.Inactive)
	attached.Things, granted.Policies = []string{"t"}, []string{"p"}
	f.force(registry.KindCert, attached)
	f.force(registry.KindCert, granted)
	offered := f.offer(account, f.register(ca, "offered", muster.Inactive).ID, account2)
	for _, tc := range []struct {
		what, id, target, message string
		want                      error
	}{
		{"active", active.ID, account2, "", muster.ErrState},
		{"revoked", revoked.ID, account2, "", muster.ErrState},
		{"attached to a thing", attached.ID, account2, "", muster.ErrTransfer},
		{"with a policy", granted.ID, account2, "", muster.ErrTransfer},
		{"offered already", offered.ID, account2, "", muster.ErrTransfer},
		{"to itself", c.ID, account, "", muster.ErrInvalid},
		{"to nobody", c.ID, "", "", muster.ErrInvalid},
		{"to what is no account", c.ID, "21098765432x", "", muster.ErrInvalid},
		{"to an account that does not exist", c.ID, "999999999999", "", muster.ErrNotFound},
		{"unknown, to an account that does not exist", strings.Repeat("0", 64), "999999999999", "", muster.ErrNotFound},
		{"a long message", c.ID, account2, strings.Repeat("é", 129), muster.ErrInvalid},
		{"a message that is no text", c.ID, account2, "\xff", muster.ErrInvalid},
	} {
		before := f.seq()
		_, err := f.TransferCertificate(ctx, account, tc.id, tc.target, tc.message)
		f.is(tc.what, err, tc.want)
		if f.seq() != before {
			t.Errorf("%s: something was written", tc.what)
		}
	}
	f.is("a thing for what is offered", f.AttachPolicy(ctx, account, "p", muster.KindCertificate, offered.ID), muster.ErrInvalid)
	f.is("deleting what is offered", f.DeleteCertificate(ctx, account, offered.ID, true), muster.ErrState)
	_, err := f.UpdateCertificateStatus(ctx, account, offered.ID, muster.Revoked)
	f.is("revoking what is offered", err, muster.ErrState)
	must(f.TransferCertificate(ctx, account, c.ID, account2, strings.Repeat("é", 128)))(f)
	f.step()
}

// TestTransferEnds: whoever ends a transfer, it ends once.
func TestTransferEnds(t *testing.T) {
	for name, end := range map[string]func(f *fixture, id string) error{
		"accepted": func(f *fixture, id string) error {
			_, err := f.AcceptTransfer(f.Context(), account2, id, false)
			return err
		},
		"rejected":  func(f *fixture, id string) error { return f.RejectTransfer(f.Context(), account2, id, "not ours") },
		"cancelled": func(f *fixture, id string) error { return f.CancelTransfer(f.Context(), account, id) },
		"revoked":   func(f *fixture, id string) error { return f.Revoke(f.Context(), account, id) },
	} {
		t.Run(name, func(t *testing.T) {
			f, _, c := transferable(t, muster.ModeDefault)
			f.offer(account, c.ID, account2)
			f.is("rejecting for too long a reason", f.RejectTransfer(t.Context(), account2, c.ID, strings.Repeat("x", 129)), muster.ErrInvalid)
			f.ok(end(f, c.ID))
			f.step()
			before := f.seq()
			_, err := f.AcceptTransfer(t.Context(), account2, c.ID, true)
			f.is("accept", err, muster.ErrTransferDone)
			f.is("reject", f.RejectTransfer(t.Context(), account2, c.ID, ""), muster.ErrTransferDone)
			f.is("cancel", f.CancelTransfer(t.Context(), account, c.ID), muster.ErrTransferDone)
			_, err = f.OfferedCertificate(t.Context(), account2, c.ID)
			f.is("see", err, muster.ErrNotFound)
			if f.seq() != before {
				t.Error("something was written")
			}
			if name == "accepted" {
				f.only(c.ID, account2, account)
				return
			}
			left := f.only(c.ID, account, "")
			want := map[string]muster.Status{"rejected": muster.Inactive, "cancelled": muster.Inactive, "revoked": muster.Revoked}[name]
			if left.Status != want || left.PreviousOwner != "" || left.Transfer.Rejected.IsZero() == (name == "rejected") ||
				(left.Transfer.RejectReason == "not ours") != (name == "rejected") {
				t.Errorf("left as %+v", left)
			}
		})
	}
}

// TestTransferIsForTheReceiverAlone: a third account, and the receiver before it
// has accepted, see and change nothing.
func TestTransferIsForTheReceiverAlone(t *testing.T) {
	const third = "333333333333"
	f, _, c := transferable(t, muster.ModeDefault)
	ctx := t.Context()
	f.ok(f.CreateAccount(ctx, muster.Account{ID: third}))
	f.offer(account, c.ID, account2)
	for _, other := range []string{third, "999999999999"} {
		_, err := f.AcceptTransfer(ctx, other, c.ID, true)
		f.is("accept by "+other, err, muster.ErrNotFound)
		f.is("reject by "+other, f.RejectTransfer(ctx, other, c.ID, ""), muster.ErrNotFound)
		_, err = f.OfferedCertificate(ctx, other, c.ID)
		f.is("seen by "+other, err, muster.ErrNotFound)
	}
	f.is("cancel by the receiver", f.CancelTransfer(ctx, account2, c.ID), muster.ErrNotFound)
	_, err := f.AcceptTransfer(ctx, account, c.ID, true)
	f.is("accept by the owner", err, muster.ErrTransferDone)

	_, err = f.Certificate(ctx, account2, c.ID)
	f.is("read", err, muster.ErrNotFound)
	_, err = f.UpdateCertificateStatus(ctx, account2, c.ID, muster.Active)
	f.is("update", err, muster.ErrNotFound)
	f.is("delete", f.DeleteCertificate(ctx, account2, c.ID, true), muster.ErrNotFound)
	f.is("revoke", f.Revoke(ctx, account2, c.ID), muster.ErrNotFound)
	_, err = f.CertificateID(ctx, account2, c.ID)
	f.is("complete", err, muster.ErrNotFound)
	settled := must(f.Settle(ctx, account2, []string{c.ID}, registry.Settlement{Status: muster.Revoked}))(f)
	if len(settled) != 1 || settled[0].Outcome != registry.OutcomeSkipped {
		t.Errorf("settled: %+v", settled)
	}
	all := registry.CertificateFilter{Account: account2}
	if n := must(f.CountCertificates(ctx, all))(f); n != 0 {
		t.Errorf("the receiver counts %d certificates", n)
	}
	f.only(c.ID, account, "")
}

// TestTransferToWhoHasIt: accounts that share an authority may both have a record.
func TestTransferToWhoHasIt(t *testing.T) {
	const third = "333333333333"
	f, ca, c := transferable(t, muster.ModeSNIOnly)
	ctx := t.Context()
	f.ok(f.CreateAccount(ctx, muster.Account{ID: third}))
	for _, other := range []string{account2, third} {
		must(f.RegisterCertificate(ctx, registry.CertificateRegistration{Account: other, PEM: c.PEM, WithoutCA: true}))(f)
	}
	r := f.registration(account2, ca)
	r.Mode, r.VerificationPEM, r.Tags = muster.ModeSNIOnly, "", []muster.Tag{{Key: muster.TagOCSP, Value: "hard"}}
	must(f.RegisterAuthority(ctx, r))(f)

	f.offer(account, c.ID, account2)
	f.advance(time.Second)
	f.offer(third, c.ID, account2)
	_, err := f.AcceptTransfer(ctx, account2, c.ID, true)
	f.is("a record of its own", err, muster.ErrInvalid)
	f.ok(f.DeleteCertificate(ctx, account2, c.ID, false))
	f.step()
	taken := f.accept(account2, c.ID)
	if taken.PreviousOwner != account {
		t.Errorf("the later offer was accepted: %+v", taken)
	}
	if issuer := must(f.Issuer(ctx, account2, c.AuthorityID))(f); issuer.OCSP.Mode != muster.OCSPHard {
		t.Errorf("the receiver's own settings of the issuer have become %+v", issuer.OCSP)
	}
	f.ok(f.RejectTransfer(ctx, account2, c.ID, "have it"))
	f.step()
	if left := must(f.Certificate(ctx, third, c.ID))(f); left.Status != muster.Inactive {
		t.Errorf("the other offer is %+v", left)
	}
	if c := must(f.Certificate(ctx, account2, c.ID))(f); c.Status != muster.Active {
		t.Errorf("rejecting another's offer left %+v", c)
	}
}

// TestForgetTransferred: while one account alone may have a certificate, the one
// that gave it away cannot let it register again.
func TestForgetTransferred(t *testing.T) {
	f, _, c := transferable(t, muster.ModeDefault)
	ctx := t.Context()
	f.offer(account, c.ID, account2)
	f.accept(account2, c.ID)
	f.is("forget what another has", f.ForgetCertificate(ctx, account, c.ID), muster.ErrState)
	must(f.UpdateCertificateStatus(ctx, account2, c.ID, muster.Revoked))(f)
	f.ok(f.DeleteCertificate(ctx, account2, c.ID, false))
	f.ok(f.ForgetCertificate(ctx, account, c.ID))
	f.step()
	f.ok(f.ForgetCertificate(ctx, account2, c.ID))
}

// TestTransferTombstoneEnds: a certificate that has long expired leaves none.
func TestTransferTombstoneEnds(t *testing.T) {
	f, _, c := transferable(t, muster.ModeDefault)
	f.offer(account, c.ID, account2)
	f.advance(c.NotAfter.Sub(c.NotBefore) + 48*time.Hour)
	f.accept(account2, c.ID)
	f.only(c.ID, account2, "")
}

// TestTransfersAreTold in the account that they concern.
func TestTransfersAreTold(t *testing.T) {
	f, o, ca, _ := newToldFixture(t)
	ctx := t.Context()
	c := f.register(ca, "device", muster.Inactive)
	o.take()
	expect := func(what, want string) {
		t.Helper()
		o.mu.Lock()
		var lines []string
		for _, e := range o.events {
			lines = append(lines, strings.Join([]string{e.Account, string(e.Type), string(e.PreviousStatus), string(e.Status), e.Detail}, ","))
		}
		o.events = nil
		o.mu.Unlock()
		if got := strings.Join(lines, "\n"); got != want {
			t.Errorf("%s: told\n%s\nwant\n%s", what, got, want)
		}
	}
	const changed = account + ",certificate.status_changed,"
	f.offer(account, c.ID, account2)
	expect("offer", changed+"INACTIVE,PENDING_TRANSFER,offered to account "+account2)
	f.ok(f.RejectTransfer(ctx, account2, c.ID, "no"))
	expect("reject", changed+"PENDING_TRANSFER,INACTIVE,account "+account2+" rejected the transfer: no")
	f.offer(account, c.ID, account2)
	expect("offer again", changed+"INACTIVE,PENDING_TRANSFER,offered to account "+account2)
	f.ok(f.CancelTransfer(ctx, account, c.ID))
	expect("cancel", changed+"PENDING_TRANSFER,INACTIVE,the transfer was cancelled")
	f.offer(account, c.ID, account2)
	f.accept(account2, c.ID)
	expect("accept", changed+"INACTIVE,PENDING_TRANSFER,offered to account "+account2+"\n"+
		account+",certificate.transferred,PENDING_TRANSFER,,to account "+account2+"\n"+
		account2+",certificate.registered,,ACTIVE,transferred from account "+account)
}

// TestTransferEndsOnce has everybody end a transfer at once, on both engines: one
// of them does, and what stands follows from that alone.
func TestTransferEndsOnce(t *testing.T) {
	onBothEngines(t, func(f *fixture) {
		ca := f.mint("Transfer")
		f.authority(ca)
		for round := range 8 {
			c := f.register(ca, fmt.Sprint("device-", round), muster.Inactive)
			f.offer(account, c.ID, account2)
			acts := []func() error{
				func() error { _, err := f.AcceptTransfer(f.Context(), account2, c.ID, true); return err },
				func() error { _, err := f.AcceptTransfer(f.Context(), account2, c.ID, false); return err },
				func() error { return f.RejectTransfer(f.Context(), account2, c.ID, "") },
				func() error { return f.CancelTransfer(f.Context(), account, c.ID) },
			}
			errs := make([]error, len(acts))
			var all sync.WaitGroup
			for i, act := range acts {
				all.Go(func() { errs[i] = act() })
			}
			all.Wait()
			f.step()
			done := -1
			for i, err := range errs {
				switch {
				case err == nil && done < 0:
					done = i
				case err == nil:
					f.Errorf("both %d and %d ended it", done, i)
				default:
					f.is(fmt.Sprint("act ", i), err, muster.ErrTransferDone)
				}
			}
			held, _, err := f.Find(f.Context(), c.ID)
			f.ok(err)
			want := []muster.Certificate{{Account: account2, Status: muster.Active}, {Account: account2, Status: muster.Inactive},
				{Account: account, Status: muster.Inactive}, {Account: account, Status: muster.Inactive}}
			if done < 0 || len(held) != 1 || held[0].Account != want[done].Account || held[0].Status != want[done].Status {
				f.Errorf("act %d ended it, and there are %+v", done, held)
			}
		}
	})
}
