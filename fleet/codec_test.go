package fleet

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func theCodec(tb testing.TB) codec {
	c, err := newCodec()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// TestRead: what is an object as it is wanted, and what is not. Payloads of CBOR
// are written in hex.
func TestRead(t *testing.T) {
	c := theCodec(t)
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for _, test := range []struct {
		payload string
		want    string // "" for an error
	}{
		{`{}`, "map[]"},
		{` {"a":"b","c":{"d":"e"},"f":null} `, "map[a:b c:map[d:e] f:<nil>]"},
		{`{"a":[1,true]}`, "map[a:[1 true]]"},
		{``, ""}, {`null`, ""}, {`[]`, ""}, {`"a"`, ""}, {`{`, ""}, {`{"a"}`, ""}, {`{"a":1`, ""}, {`{"a":[1}`, ""},
		{`{}{}`, ""}, {`{} x`, ""}, {`{"a":1,"a":1}`, ""}, {`{"a":{"b":1,"b":1}}`, ""}, {`{a:1}`, ""}, {"{\"a\":\"\xff\"}", ""},
		{deep(maxDepth), "map[a:map[a:map[a:map[a:1]]]]"}, {deep(maxDepth + 1), ""}, {deep(10_000), ""},
		{`{"a":"` + strings.Repeat("x", maxPayload) + `"}`, ""},
		{`{"a":[` + strings.Repeat("1,", maxMembers) + `1]}`, ""},
		{"a0", "map[]"},
		{"a161616162 00", ""}, // trailing
		{"a161616162", "map[a:b]"},
		{"bf616161 62ff", "map[a:b]"}, // of no length
		{"a16261", ""},                // a name of two bytes, of which one is missing
		{"a16161a161626163", "map[a:map[b:c]]"},
		{"a2616161 62616161 62", ""},   // the same name twice
		{"a1616141 62", "map[a:[98]]"}, // bytes are no text: refused where text is wanted
		{"a16161c2 4101", ""},          // a tag
		{"a1616161 ff", ""},            // not UTF-8
		{"a10102", ""},                 // a name that is a number
		{"f6", ""}, {"80", ""}, {"6161", ""}, {"ff", ""}, {"", ""},
		{"bb7fffffffffffffff", ""},       // a length of 2^63-1
		{"a161617b7fffffffffffffff", ""}, // the same of a text
		{"a161619b7fffffffffffffff", ""}, // and of an array
		{strings.Repeat("81", 10_000) + "80", ""},
		{strings.Repeat("a16161", 5) + "a0", ""},
	} {
		f, payload := formatJSON, []byte(test.payload)
		if raw, err := hex.DecodeString(strings.ReplaceAll(test.payload, " ", "")); err == nil && test.payload != "" {
			f, payload = formatCBOR, raw
		}
		m, err := c.read(f, payload)
		if got := fmt.Sprint(map[string]any(m)); (err == nil) != (test.want != "") || err == nil && got != test.want {
			t.Errorf("%.60s: %s %v, want %s", test.payload, got, err, test.want)
		}
	}
}

// TestMembers: what a member may be.
func TestMembers(t *testing.T) {
	m := members{"text": "x", "number": 1, "null": nil, "texts": map[string]any{"a": "b"}, "mixed": map[string]any{"a": 1},
		"long": map[string]any{"a": strings.Repeat("x", maxValue+1)}}
	if err := m.only("text", "number", "null", "texts", "mixed"); err == nil || !strings.Contains(err.Error(), `"long"`) {
		t.Error(err)
	}
	for name, want := range map[string]bool{"text": true, "null": true, "none": true, "number": false, "texts": false} {
		if _, err := m.text(name); (err == nil) != want {
			t.Errorf("text of %s: %v", name, err)
		}
	}
	for name, want := range map[string]bool{"texts": true, "null": true, "none": true, "mixed": false, "long": false, "text": false} {
		if _, err := m.texts(name); (err == nil) != want {
			t.Errorf("texts of %s: %v", name, err)
		}
	}
}

// TestWrite: an answer has the same names in both encodings.
func TestWrite(t *testing.T) {
	c := theCodec(t)
	answer := rejectedAnswer{400, CodePayload, `a < b & "c"`}
	text, err := c.write(formatJSON, answer)
	if want := `{"statusCode":400,"errorCode":"InvalidPayload","errorMessage":"a < b & \"c\""}`; string(text) != want || err != nil {
		t.Errorf("%s %v, want %s", text, err, want)
	}
	if text, err = c.write(formatCBOR, answer); err != nil {
		t.Fatal(err)
	}
	m, err := c.read(formatCBOR, text)
	if want := (members{"statusCode": uint64(400), "errorCode": "InvalidPayload", "errorMessage": `a < b & "c"`}); err != nil || !reflect.DeepEqual(m, want) {
		t.Errorf("%v %v", m, err)
	}
}

// TestTopics: which topics are requests.
func TestTopics(t *testing.T) {
	for topic, want := range map[string]address{
		"$aws/certificates/create/json":                                              {op: OpCreate},
		"$aws/certificates/create/cbor":                                              {op: OpCreate, format: formatCBOR},
		"$aws/certificates/create-from-csr/json":                                     {op: OpFromCSR},
		"$aws/provisioning-templates/A-b_9/provision/cbor":                           {op: OpThing, template: "A-b_9", format: formatCBOR},
		"$aws/certificates/create":                                                   {},
		"$aws/certificates/create/":                                                  {},
		"$aws/certificates/create/JSON":                                              {},
		"$aws/certificates/create/json/accepted":                                     {},
		"$aws/certificates/create/json/":                                             {},
		"$AWS/certificates/create/json":                                              {},
		"$aws/certificates/delete/json":                                              {},
		"$aws/provisioning-templates//provision/json":                                {},
		"$aws/provisioning-templates/a/b/provision/json":                             {},
		"$aws/provisioning-templates/a+/provision/json":                              {},
		"$aws/provisioning-templates/a/provision/text":                               {},
		"$aws/provisioning-templates/a/provision/json/x":                             {},
		"$aws/provisioning-templates/" + strings.Repeat("a", 37) + "/provision/json": {},
		"": {}, "certificates/create/json": {},
	} {
		got, ok := parseTopic(topic)
		if ok != (want.op != "") || ok && got != want || Serves(topic) != ok {
			t.Errorf("%q: %+v %v, want %+v", topic, got, ok, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { Serves("$aws/provisioning-templates/pumps/provision/json") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestUnused: a claim and an account have so many certificates that nobody used.
func TestUnused(t *testing.T) {
	var u unused
	now := time.Unix(1_700_000_000, 0)
	made := 0
	make1 := func(claim string) bool {
		if !u.reserve("a", claim, now) {
			return false
		}
		made++
		u.keep("a", claim, fmt.Sprint(made), now.Add(tokenLife))
		return true
	}
	for range maxClaimUnused {
		if !make1("0") {
			t.Fatalf("after %d", made)
		}
	}
	if make1("0") {
		t.Error("one more of a claim")
	}
	u.used("a", "1")
	u.used("a", "1")
	u.used("b", "1")
	if !make1("0") || make1("0") {
		t.Error("the place of one that was used is not one place")
	}
	for claim := 1; made < maxUnused+1; claim++ {
		for range maxClaimUnused {
			make1(fmt.Sprint(claim))
		}
	}
	if u.reserve("a", "new", now) {
		t.Error("one more of an account")
	}
	now = now.Add(tokenLife + time.Second)
	if !u.reserve("a", "new", now) {
		t.Error("none after an hour")
	}
	u.release("a", "new")
	a := u.accounts["a"]
	if a.order.Len()+len(a.places)+len(a.claims)+a.asked != 0 {
		t.Errorf("%d certificates, %d places, %d claims and %d requests are left", a.order.Len(), len(a.places), len(a.claims), a.asked)
	}
}
