package policy

import (
	"regexp"
	"strconv"
	"strings"
)

// key names something that is known of a session: a variable, or what a
// condition looks at. Names are compared without regard to case, as IAM does,
// but for the attributes of a thing.
type key struct {
	text  string // as it was written
	kind  keyKind
	which int    // of a certificate: the attribute type, or the tag of the alternative name
	field string // the attribute of a thing
	n     int    // which of several values, from 0
	list  bool   // all of them; for conditions only
}

// keyKind says where the value of a key is to be found.
type keyKind uint8

const (
	unknownKey keyKind = iota // has no value in any session
	clientID
	certificateID
	sourceIP
	domainName
	secureTransport
	clock // the time of the question, not of the session
	connectAttributes
	lastWillTopic
	thingName
	thingType
	thingIsAttached
	thingAttribute
	serialNumber
	availableKeys
	subjectName
	issuerName
	subjectAlternative
	issuerAlternative
)

const (
	certificateKeys = "iot:certificate."
	attributeKeys   = "iot:connection.thing.attributes["
)

// keyName admits the name of any variable or key of AWS, also those that have
// no value here: iot:ClientId, aws:PrincipalTag/x, iot:Connection.Thing.Attributes[x].
var keyName = regexp.MustCompile(`^[A-Za-z0-9.-]+:[A-Za-z0-9._/-]+(\[[A-Za-z0-9_.,@/:#-]+\])?$`)

var plainKeys = map[string]keyKind{
	"iot:clientid":                       clientID,
	"iot:certificateid":                  certificateID,
	"iot:domainname":                     domainName,
	"iot:connectattributes":              connectAttributes,
	"iot:lastwilltopic":                  lastWillTopic,
	"iot:connection.thing.thingname":     thingName,
	"iot:connection.thing.thingtypename": thingType,
	"iot:connection.thing.isattached":    thingIsAttached,
	"iot:certificate.serialnumber":       serialNumber,
	"iot:certificate.availablekeys":      availableKeys,
	"iot:certificate.availablekeys.list": availableKeys,
	"aws:sourceip":                       sourceIP,
	"aws:securetransport":                secureTransport,
	"aws:currenttime":                    clock,
	"aws:epochtime":                      clock,
}

// parseKey takes a name that keyName admits.
func parseKey(text string) key {
	k := key{text: text}
	name := strings.ToLower(text)
	if rest, ok := strings.CutPrefix(name, certificateKeys); ok && k.certificate(rest) {
		return k
	}
	if strings.HasPrefix(name, attributeKeys) {
		k.kind, k.field = thingAttribute, strings.TrimSuffix(text[len(attributeKeys):], "]")
		return k
	}
	k.kind = plainKeys[name]
	return k
}

// certificate reads what follows "iot:certificate." where it is about a name:
// subject.commonname.1, issuer.alternativename.dnsname.list.
func (k *key) certificate(name string) bool {
	who, name, _ := strings.Cut(name, ".")
	kinds, ok := map[string][2]keyKind{
		"subject": {subjectName, subjectAlternative}, "issuer": {issuerName, issuerAlternative},
	}[who]
	if !ok {
		return false
	}
	kind, table := kinds[0], attributeNames
	if rest, ok := strings.CutPrefix(name, "alternativename."); ok {
		kind, table, name = kinds[1], alternativeNames, rest
	}
	name, suffix, hasSuffix := strings.Cut(name, ".")
	for _, named := range table {
		if strings.ToLower(named.name) == name {
			k.kind, k.which = kind, named.number
		}
	}
	switch {
	case !hasSuffix:
	case suffix == "list":
		k.list = true
	default:
		n, err := strconv.ParseUint(suffix, 10, 8)
		if err != nil || suffix != strconv.FormatUint(n, 10) {
			k.kind = unknownKey
		}
		k.n = int(n)
	}
	return k.kind != unknownKey
}
