package muster

import "crypto/x509/pkix"

// maxAttributes is how many attributes of a name are written out. The names of
// real certificates have a handful.
const maxAttributes = 32

// NameText writes a name as pkix.Name.String does, but no more than its first 32
// attributes, and an ellipsis for the rest. Whatever a stranger's certificate may
// hold is to be written by this: the time that String takes grows with the square
// of the attributes, and the 256 KB that crypto/tls lets a device send hold
// enough of them for ten seconds.
func NameText(n pkix.Name) string {
	if len(n.Names) <= maxAttributes {
		return n.String()
	}
	return pkix.Name{ExtraNames: n.Names[:maxAttributes]}.String() + "…"
}
