package muster_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
)

// parsed returns a name as one that was read from a certificate.
func parsed(attributes []pkix.AttributeTypeAndValue) (n pkix.Name) {
	var sequence pkix.RDNSequence
	for _, a := range attributes {
		sequence = append(sequence, pkix.RelativeDistinguishedNameSET{a})
	}
	n.FillFromRDNSequence(&sequence)
	return n
}

func TestNameText(t *testing.T) {
	n := parsed([]pkix.AttributeTypeAndValue{
		{Type: asn1.ObjectIdentifier{2, 5, 4, 6}, Value: "DE"},
		{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: "Acme, Inc."},
		{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "sensor-1"},
	})
	if got, want := muster.NameText(n), `CN=sensor-1,O=Acme\, Inc.,C=DE`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestNameTextOfMany would take seconds if all were written.
func TestNameTextOfMany(t *testing.T) {
	for name, oid := range map[string]asn1.ObjectIdentifier{"unknown": {1, 2, 3}, "organization": {2, 5, 4, 10}} {
		many := make([]pkix.AttributeTypeAndValue, 20_000)
		for i := range many {
			many[i] = pkix.AttributeTypeAndValue{Type: oid, Value: "x"}
		}
		got := muster.NameText(parsed(many))
		if n := strings.Count(got, "="); n != 32 || !strings.HasSuffix(got, "…") {
			t.Errorf("%s: %d attributes are written: %.100q", name, n, got)
		}
	}
}
