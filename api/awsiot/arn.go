package awsiot

import (
	"net/http"
	"strings"

	"github.com/muster-mqtt/muster"
)

func (d *Dialect) arn(account string, kind muster.ResourceKind, id string) string {
	return muster.ARN(d.region, account, string(kind)+"/"+id)
}

// resource takes apart the ARN of a resource of the caller's, which must be of
// one of the kinds. What is another account's or region's is not found: whether
// it exists is not the caller's business.
func (d *Dialect) resource(c *call, member, arn string, kinds ...muster.ResourceKind) (muster.ResourceKind, string) {
	if arn == "" {
		c.refuse("%s: is required", member)
		return "", ""
	}
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[1] != "aws" || parts[2] != "iot" {
		c.refuse("%s: must be an ARN such as %s", member, d.arn(c.account, kinds[0], "…"))
		return "", ""
	}
	word, id, _ := strings.Cut(parts[5], "/")
	for _, kind := range kinds {
		if string(kind) != word {
			continue
		}
		if named := member + ": name of the resource"; kind == muster.KindCertificate || kind == muster.KindAuthority {
			id = c.lowerID(named, id)
		} else {
			c.required(named, id, formOf(kind))
		}
		if c.err == nil && (parts[3] != d.region || parts[4] != c.account) {
			c.err = &fault{status: http.StatusNotFound, code: "ResourceNotFoundException",
				message: member + ": " + shorten(arn) + ": not found in account " + c.account + ", region " + d.region}
		}
		return kind, id
	}
	c.refuse("%s: must be the ARN of one of: %s", member, strings.Join(each(kinds, func(k muster.ResourceKind) string { return string(k) }), ", "))
	return "", ""
}

// formOf is the form of the ID or name of a resource.
func formOf(kind muster.ResourceKind) form {
	switch kind {
	case muster.KindPolicy:
		return policyName
	case muster.KindTemplate:
		return templateName
	}
	return registryName
}
