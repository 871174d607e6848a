package awsiot

import (
	"fmt"
	"regexp"
	"unicode/utf8"

	"github.com/muster-mqtt/muster"
)

// form is what AWS's model says of a string. The SDKs check lengths at most, so
// the server has to check all of it.
type form struct {
	pattern  string // shown to the client; "" is any text
	compiled *regexp.Regexp
	min, max int // length in characters
}

func newForm(pattern string, min, max int) form {
	f := form{pattern: pattern, min: min, max: max}
	if pattern != "" {
		f.compiled = regexp.MustCompile(`^(?:` + pattern + `)$`)
	}
	return f
}

// The forms of AWS's model, API version 2015-05-28.
var (
	certificateID   = newForm(`(0x)?[a-fA-F0-9]+`, 64, 64)
	certificatePEM  = newForm("", 1, 65536)
	accountID       = newForm(`[0-9]+`, 12, 12)
	transferMessage = newForm("", 0, 128)
	marker          = newForm(`[A-Za-z0-9+/]+={0,2}`, 1, 1024)
	boolean         = newForm("true|false", 1, 5)
	templateName    = newForm(`[0-9A-Za-z_-]+`, 1, 36)
	templateBody    = newForm("", 1, 10240)
	payloadVersion  = newForm(`[0-9-]+`, 10, 32)
	targetARN       = newForm("", 1, 2048)
	versionNumber   = newForm(`[0-9]+`, 1, 9)
	policyName      = newForm(`[\w+=,.@-]+`, 1, 128)
	policyVersionID = newForm(`[0-9]+`, 1, 20)
	policyDocument  = newForm("", 1, 404600)
	registryName    = newForm(`[a-zA-Z0-9:_-]+`, 1, 128) // of things, their types and groups
	attributeName   = newForm(`[a-zA-Z0-9_.,@/:#-]+`, 1, 128)
	attributeValue  = newForm(`[a-zA-Z0-9_.,@/:#=\[\]-]*`, 0, 800)
	description     = newForm(`[^\pC]*`, 0, 2028)
	templateSummary = newForm(`[^\pC]*`, 0, 500)
	tagKey          = newForm(`[\pL\pZ\pN_.:/=+\-@]*`, 1, 128)
	tagValue        = newForm("", 0, 256)
	endpointType    = newForm("", 1, 128)

	caStatus               = newForm("ACTIVE|INACTIVE", 1, 20)
	autoRegistrationStatus = newForm("ENABLE|DISABLE", 1, 20)
	certificateMode        = newForm("DEFAULT|SNI_ONLY", 1, 20)
	certificateStatus      = newForm("ACTIVE|INACTIVE|REVOKED|PENDING_TRANSFER|REGISTER_INACTIVE|PENDING_ACTIVATION", 1, 20)
	templateType           = newForm("FLEET_PROVISIONING|JITP", 1, 20)
	actionType             = newForm("PUBLISH|SUBSCRIBE|RECEIVE|CONNECT", 1, 20)
	authResource           = newForm("", 1, 2048)
	thingPrincipalType     = newForm("EXCLUSIVE_THING|NON_EXCLUSIVE_THING", 1, 20)

	// roleARN is AWS's form of a role. Its length alone is in the model; there
	// are no roles in Muster, so that more than the form cannot be checked.
	roleARN = newForm(`arn:aws[a-z-]*:iam::[0-9]{12}:role/[!-~]+`, 20, 2048)
)

// maxTags is how many tags a resource may have, and so a request.
const maxTags = 50

// problem says what is wrong with value, or returns "".
func (f form) problem(value string) string {
	switch n := utf8.RuneCountInString(value); {
	case n < f.min && f.min == f.max, n > f.max && f.min == f.max:
		return fmt.Sprintf("must have %d characters, not %d", f.min, n)
	case n < f.min:
		return fmt.Sprintf("must have %d characters at least, not %d", f.min, n)
	case n > f.max:
		return fmt.Sprintf("must have %d characters at most, not %d", f.max, n)
	case f.compiled != nil && !f.compiled.MatchString(value):
		return "must match " + f.pattern
	}
	return ""
}

func (c *call) tags(tags []muster.Tag) {
	if len(tags) > maxTags {
		c.refuse("tags: must be %d at most, not %d", maxTags, len(tags))
		return
	}
	for i, t := range tags {
		c.required(fmt.Sprintf("tags[%d].Key", i), t.Key, tagKey)
		c.required(fmt.Sprintf("tags[%d].Value", i), t.Value, tagValue)
	}
}

func (c *call) attributes(member string, attributes map[string]string) {
	for name, value := range attributes {
		c.required(member+": name of an attribute", name, attributeName)
		c.required(member+"."+shorten(name), value, attributeValue)
	}
}
