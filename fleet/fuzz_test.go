package fleet

import (
	"encoding/hex"
	"maps"
	"testing"
)

// FuzzRead: whatever comes is read or refused, and what was read can be written
// and read again in both encodings.
func FuzzRead(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"certificateSigningRequest":"x"}`, `{"certificateOwnershipToken":"t","parameters":{"SerialNumber":"1"}}`,
		`{"a":{"b":[1,null,true,1.5]}}`, `{"a":1,"a":2}`, `[[[[[`,
	} {
		f.Add([]byte(text), false)
	}
	for _, text := range []string{
		"a0", "a161616162", "bf61616162ff", "a16161a161626163", "a261616162616161 62", "bb7fffffffffffffff", "a16161c24101", "818181818180",
	} {
		raw, _ := hex.DecodeString(text)
		f.Add(raw, true)
	}
	c := theCodec(f)
	f.Fuzz(func(t *testing.T, payload []byte, binary bool) {
		coding := formatJSON
		if binary {
			coding = formatCBOR
		}
		m, err := c.read(coding, payload)
		if err != nil {
			return
		}
		for _, name := range []string{"certificateSigningRequest", "certificateOwnershipToken"} {
			_, _ = m.text(name)
		}
		texts, err := m.texts("parameters")
		if err != nil {
			return
		}
		for _, coding := range []format{formatJSON, formatCBOR} {
			roundTrip(t, c, coding, texts)
		}
	})
}

func roundTrip(t *testing.T, c codec, coding format, texts map[string]string) {
	t.Helper()
	written, err := c.write(coding, map[string]any{"parameters": texts})
	if err != nil {
		t.Fatal(err)
	}
	if len(written) > maxPayload {
		return // what JSON writes as an escape
	}
	m, err := c.read(coding, written)
	if err != nil {
		t.Fatalf("%v of %q", err, written)
	}
	if got, err := m.texts("parameters"); err != nil || !maps.Equal(got, texts) {
		t.Fatalf("%v of %q, %v", got, written, err)
	}
}

// FuzzTopic: no topic is a request of a template whose name could not be one.
func FuzzTopic(f *testing.F) {
	f.Add("$aws/certificates/create/json")
	f.Add("$aws/provisioning-templates/a/provision/cbor")
	f.Fuzz(func(t *testing.T, topic string) {
		a, ok := parseTopic(topic)
		if !ok {
			return
		}
		word := map[format]string{formatJSON: "json", formatCBOR: "cbor"}[a.format]
		want := map[Operation]string{
			OpCreate: certificates + "create/" + word, OpFromCSR: certificates + "create-from-csr/" + word,
			OpThing: templates + a.template + provision + word,
		}[a.op]
		if topic != want || a.op == OpThing && !isName(a.template) {
			t.Errorf("%q is read as %+v", topic, a)
		}
	})
}
