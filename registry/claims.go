package registry

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/muster-mqtt/muster"
)

const (
	// claimLife is how long a claim stands, as in AWS IoT.
	claimLife = 5 * time.Minute
	// maxClaims is how many claims of an account stand at once: more than a person
	// or an app of theirs needs, and a bound for a script that never stops.
	maxClaims = 1000
)

// CreateClaim issues a certificate with its key pair that may do one thing for
// five minutes: provision devices by this template, which has to be enabled and
// of type FLEET_PROVISIONING (ErrInvalid). A claim is in no list and no figure,
// and cannot be read or changed by its ID; Principal has its one policy. An
// account has at most a thousand at a time (ErrLimit).
func (s *Store) CreateClaim(ctx context.Context, account, template string) (muster.Issued, error) {
	none := muster.Issued{}
	err := s.engine.View(ctx, func(r Reader) error { return checkClaim(r, account, template, s.now()) })
	if err != nil {
		return none, err // before a key pair is made for nothing
	}
	out, err := s.issue(ctx, account, "", func(now time.Time) time.Time { return now.Add(claimLife) })
	if err != nil {
		return none, err
	}
	out.Status, out.Claim, out.Expires = muster.Active, template, out.NotAfter // to the second
	err = s.update(ctx, func(t *tx) error {
		if err := checkClaim(t, account, template, t.now); err != nil {
			return err
		}
		return t.putCertificate(&certificateTx{Certificate: out.Certificate})
	})
	if err != nil {
		return none, err
	}
	return out, nil
}

// checkClaim says whether there may be one more claim for the template.
func checkClaim(r Reader, account, template string, now time.Time) error {
	t, _, err := read[muster.Template](r, KindTemplate, docID(KindTemplate, account, template))
	switch {
	case err != nil:
		return err
	case t.Type != muster.TemplateFleet:
		return fmt.Errorf("template %s: it is of type %s, want FLEET_PROVISIONING: %w", template, t.Type, muster.ErrInvalid)
	case !t.Enabled:
		return fmt.Errorf("template %s: it is disabled, enable it first: %w", template, muster.ErrInvalid)
	}
	standing, _, err := r.List(KindCert, Query{
		Index: IndexClaim, Prefix: Key(account), From: appendTime(Key(account), now), Limit: maxClaims, OnlyIDs: true,
	})
	if err != nil {
		return err
	}
	if len(standing) >= maxClaims {
		return fmt.Errorf("account %s: %d claims stand, as many as may; each goes after %v: %w", account, maxClaims, claimLife, muster.ErrLimit)
	}
	return nil
}

// current returns a record that has not expired, be it a claim.
func (s *Store) current(ctx context.Context, account, id string) (muster.Certificate, error) {
	h, err := s.find(ctx, id)
	if err != nil {
		return muster.Certificate{}, err
	}
	for _, c := range h.certificates {
		if c.Account == account && !gone(&c, s.now()) {
			return unshared(c), nil
		}
	}
	return muster.Certificate{}, fmt.Errorf("certificate %s: %w", id, muster.ErrNotFound)
}

// claimPrincipal is what a connection with a claim may act as: any client that
// asks for a certificate and provisions itself by the template, and hears what
// becomes of it.
func claimPrincipal(c muster.Certificate) muster.Principal {
	return muster.Principal{
		Certificate: c,
		Policies:    []muster.PrincipalPolicy{{Name: "claim for template " + c.Claim, Version: "1", Document: claimPolicy(c)}},
		Watch:       []muster.ResourceKey{{Kind: muster.KindCertificate, ID: c.ID}},
	}
}

// claimPolicy is a policy document, of which 2,048 characters are the most. A star
// stands for the format of answers alone, so that nothing is published but
// requests. The form of a template's name leaves no room for wildcards and quotes.
func claimPolicy(c muster.Certificate) string {
	arn := func(kind, name string) string { return fmt.Sprintf(`"arn:aws:iot:*:%s:%s/%s"`, c.Account, kind, name) }
	var publish, receive, subscribe []string
	for _, request := range []string{
		"$aws/certificates/create/",
		"$aws/certificates/create-from-csr/",
		"$aws/provisioning-templates/" + c.Claim + "/provision/",
	} {
		publish = append(publish, arn("topic", request+"json"), arn("topic", request+"cbor"))
		for _, answer := range []string{request + "*/accepted", request + "*/rejected"} {
			receive = append(receive, arn("topic", answer))
			subscribe = append(subscribe, arn("topicfilter", answer))
		}
	}
	allow := func(action string, resources ...string) string {
		return fmt.Sprintf(`{"Effect":"Allow","Action":"iot:%s","Resource":[%s]}`, action, strings.Join(resources, ","))
	}
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[%s,%s,%s,%s]}`,
		allow("Connect", arn("client", "*")), allow("Publish", publish...),
		allow("Subscribe", subscribe...), allow("Receive", receive...))
}
