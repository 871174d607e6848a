package admission

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/muster-mqtt/muster"
)

// maxSent bounds the certificates of a stranger that are looked at: a leaf, two
// intermediates and a root are a long chain.
const maxSent = 4

// maxCuriosity is how many strangers a second are looked at so closely. The
// others are refused all the same, and told less of.
const maxCuriosity = 50

// curiosity bounds what strangers may cost by their chains. The zero value is
// ready.
type curiosity struct {
	mu     sync.Mutex
	second int64
	looked int
}

func (c *curiosity) allow(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := now.Unix(); s != c.second {
		c.second, c.looked = s, 0
	}
	c.looked++
	return c.looked <= maxCuriosity
}

// chainFacts finds out what is missing where no registered key signed a
// certificate: most often the intermediate that did is not registered, but the
// root above it. What the device sent proves nothing and lets nobody in; it
// tells the operator what to register. elsewhere says that an authority of
// another account signed the certificate.
//
// It may cost a check of a signature with a key of the stranger's choice.
func (g *Gate) chainFacts(ctx context.Context, c *Candidate, elsewhere bool) (ChainFacts, error) {
	f := ChainFacts{Sent: len(c.Sent), Elsewhere: elsewhere}
	if elsewhere {
		return f, nil
	}
	for _, sent := range c.Sent[:min(len(c.Sent), maxSent)] {
		if !bytes.Equal(sent.RawSubject, c.Leaf.RawIssuer) {
			continue
		}
		id := muster.Fingerprint(sent.Raw)
		if !g.signed.check(c.ID, id, func() bool { return c.Leaf.CheckSignatureFrom(sent) == nil }) {
			continue
		}
		above, err := g.signers(ctx, sent, id)
		if err != nil {
			return f, err
		}
		f.Issuer = id
		if len(above) > 0 {
			f.Above = above[0].ID
		}
		return f, nil
	}
	named, err := g.registry.AuthoritiesBySubject(ctx, c.Leaf.RawIssuer)
	if err != nil {
		return f, fmt.Errorf("authorities named %q: %w", muster.NameText(c.Leaf.Issuer), err)
	}
	if len(named) > 0 {
		f.Namesake = named[0].ID
	}
	return f, nil
}

// sawChain says what is known of an issuer that is not registered.
func sawChain(f *Facts) string {
	s := fmt.Sprintf("no registered authority signed it; its issuer is %q", f.Leaf.Issuer)
	switch c := f.Chain; {
	case c.Elsewhere:
		return s + ", which another account has registered"
	case c.Above != "":
		return s + fmt.Sprintf(", an intermediate (%s) that the device sent; registered is only %s above it, and what counts is the direct issuer", c.Issuer, c.Above)
	case c.Issuer != "":
		return s + fmt.Sprintf(" (%s), which the device sent", c.Issuer)
	case c.Namesake != "":
		return s + fmt.Sprintf("; the registered authority %s has that name, but another key", c.Namesake)
	case c.Sent > 0:
		return s + ", which is not among what the device sent"
	}
	return s
}

// registerAuthority is the command that registers one.
const registerAuthority = "aws iot register-ca-certificate --ca-certificate file://CA.pem " +
	"--verification-certificate file://PROOF.pem --set-as-active --allow-auto-registration"

// mendIssuer says how a stranger's issuer becomes known.
func mendIssuer(f Facts) string {
	if f.Now.After(f.Leaf.NotAfter) { // a claim, most often, which nothing knows any more
		return mendValidity(f)
	}
	switch c := f.Chain; {
	case c.Elsewhere:
		return "let the device send the endpoint name of the account that registered its issuer as the TLS server name (SNI), or register the issuer in this account too, with --certificate-mode SNI_ONLY"
	case c.Above != "":
		return fmt.Sprintf("register the intermediate %q with the fingerprint %s, which the device sent: %s", f.Leaf.Issuer, c.Issuer, registerAuthority)
	case c.Issuer != "":
		return fmt.Sprintf("register the direct issuer %q with the fingerprint %s, which the device sent: %s", f.Leaf.Issuer, c.Issuer, registerAuthority)
	case c.Namesake != "":
		return fmt.Sprintf("issue the device a certificate by the key of the registered authority %s, or register the other authority of that name as well: %s", c.Namesake, registerAuthority)
	}
	return fmt.Sprintf("register the direct issuer %q: %s; or this certificate alone: "+
		"aws iot register-certificate-without-ca --certificate-pem file://DEVICE.pem --status ACTIVE", f.Leaf.Issuer, registerAuthority)
}
