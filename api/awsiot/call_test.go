package awsiot

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

func TestDecode(t *testing.T) {
	type members struct {
		Text   string       `json:"text"`
		Flag   bool         `json:"flag"`
		Tags   []muster.Tag `json:"tags"`
		Nested struct {
			Text string            `json:"text"`
			Map  map[string]string `json:"map"`
		} `json:"nested"`
	}
	for _, c := range []struct{ body, want string }{
		{"", ""},
		{" \n", ""},
		{"{}", ""},
		{"null", ""},
		{`{"text":null,"nested":null}`, ""},
		{`{"unknown":{"a":[1]},"text":"x"}`, ""},
		{`{"text":1}`, "InvalidRequestException: text: must be a string, not number"},
		{`{"text":` + strings.Repeat("1", 1000) + `}`, "InvalidRequestException: text: must be a string, not number"},
		{`{"flag":"true"}`, "InvalidRequestException: flag: must be true or false, not string"},
		{`{"tags":{}}`, "InvalidRequestException: tags: must be a list, not object"},
		{`{"tags":[{"Key":1}]}`, "InvalidRequestException: tags.Key: must be a string, not number"},
		{`{"nested":[]}`, "InvalidRequestException: nested: must be an object, not array"},
		{`{"nested":{"text":{}}}`, "InvalidRequestException: nested.text: must be a string, not object"},
		{`{"nested":{"map":{"k":true}}}`, "InvalidRequestException: nested.map: must be a string, not bool"},
		{`[]`, "InvalidRequestException: body: must be an object, not array"},
		{`{"Text":"x"}`, "InvalidRequestException: Text: must be written text"},
		{`{"text":"x","TEXT":"y"}`, "InvalidRequestException: TEXT: must be written text"},
		{`{"text":"x","text":"y"}`, "InvalidRequestException: text: is given twice"},
		{`{"text":"x","te\u0078t":null}`, "InvalidRequestException: text: is given twice"},
		{`{"tags":[{"Key":"a"},{"key":"b"}]}`, "InvalidRequestException: tags[1].key: must be written Key"},
		{`{"nested":{"map":{"k":"a","K":"b"}}}`, ""},
		{`{"nested":{"map":{"k":"a","k":"b"}}}`, "InvalidRequestException: nested.map.k: is given twice"},
		{`{"unknown":` + strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000) + `,"unknown":[],"text":"x"}`, ""},
		{`{"text":"x"`, "SerializationException: The body is not valid JSON"},
		{`{} {}`, "SerializationException: The body is not valid JSON"},
		{`text=x`, "SerializationException: The body is not valid JSON"},
	} {
		var into members
		call := &call{body: []byte(c.body)}
		call.decode(&into)
		switch {
		case c.want == "" && call.err != nil:
			t.Errorf("%.60s: %v", c.body, call.err)
		case c.want != "" && (call.err == nil || !strings.HasPrefix(call.err.Error(), c.want)):
			t.Errorf("%.60s: %v, want %s", c.body, call.err, c.want)
		}
	}
}

// TestCallKeepsTheFirstError: what is told is the first thing that is wrong.
func TestCallKeepsTheFirstError(t *testing.T) {
	c := &call{query: url.Values{"newStatus": {"GONE"}}, body: []byte(`{"a":`)}
	c.param("newStatus", caStatus)
	c.decode(&struct{}{})
	c.refuse("third")
	if want := "InvalidRequestException: newStatus: must match ACTIVE|INACTIVE"; c.err == nil || c.err.Error() != want {
		t.Errorf("%v, want %s", c.err, want)
	}
}

func TestForms(t *testing.T) {
	digits := strings.Repeat("0aF1", 16)
	for _, c := range []struct {
		name    string
		form    form
		value   string
		problem string
	}{
		{"certificateID", certificateID, digits, ""},
		{"certificateID", certificateID, digits[:62] + "\u00e9x", "must match (0x)?[a-fA-F0-9]+"},
		{"certificateID", certificateID, digits[1:], "must have 64 characters, not 63"},
		{"certificateID", certificateID, digits + "0", "must have 64 characters, not 65"},
		{"certificatePEM", certificatePEM, strings.Repeat("é", 65536), ""},
		{"certificatePEM", certificatePEM, strings.Repeat("é", 65537), "must have 65536 characters at most, not 65537"},
		{"marker", marker, "YWI=", ""},
		{"marker", marker, "YW=I", "must match [A-Za-z0-9+/]+={0,2}"},
		{"templateName", templateName, strings.Repeat("a", 37), "must have 36 characters at most, not 37"},
		{"templateName", templateName, "a.b", "must match [0-9A-Za-z_-]+"},
		{"policyName", policyName, "A_z0+=,.@-", ""},
		{"policyName", policyName, "a/b", `must match [\w+=,.@-]+`},
		{"policyName", policyName, "a\n", `must match [\w+=,.@-]+`},
		{"registryName", registryName, "a:b_c-1", ""},
		{"registryName", registryName, "a.b", "must match [a-zA-Z0-9:_-]+"},
		{"attributeValue", attributeValue, "", ""},
		{"attributeValue", attributeValue, "a b", `must match [a-zA-Z0-9_.,@/:#=\[\]-]*`},
		{"tagKey", tagKey, "muster:ocsp é", ""},
		{"tagKey", tagKey, "a*b", `must match [\pL\pZ\pN_.:/=+\-@]*`},
		{"roleARN", roleARN, "arn:aws:iam::123456789012:role/service-role/r", ""},
		{"roleARN", roleARN, "arn:aws-cn:iam::123456789012:role/r", ""},
		{"roleARN", roleARN, "arn:aws:iam::123456789012:user/someone", "must match arn:aws[a-z-]*:iam::[0-9]{12}:role/[!-~]+"},
		{"roleARN", roleARN, "arn:aws:iam::1:role", "must have 20 characters at least, not 19"},
	} {
		if got := c.form.problem(c.value); got != c.problem {
			t.Errorf("%s, %.80q: %q, want %q", c.name, c.value, got, c.problem)
		}
	}
}

func TestPage(t *testing.T) {
	for _, c := range []struct {
		query  string
		limit  int
		after  string
		desc   bool
		refuse string
	}{
		{query: "", limit: 25, desc: true},
		{query: "pageSize=1&marker=YWI%3D&isAscendingOrder=true", limit: 1, after: "ab"},
		{query: "pageSize=250&isAscendingOrder=false", limit: 250, desc: true},
		{query: "pageSize=0", refuse: "pageSize"},
		{query: "pageSize=251", refuse: "pageSize"},
		{query: "pageSize=ten", refuse: "pageSize"},
		{query: "pageSize=", refuse: "pageSize"},
		{query: "isAscendingOrder=yes", refuse: "isAscendingOrder"},
		{query: "marker=YWI", refuse: "marker"}, // no padding
		{query: "marker=YW%20I", refuse: "marker"},
		{query: "marker=", refuse: "marker"},
		{query: "marker=" + strings.Repeat("YWJj", 257), refuse: "marker"},
	} {
		query, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		call := &call{query: query}
		page := call.page()
		if c.refuse != "" {
			if call.err == nil || !strings.HasPrefix(call.err.Error(), "InvalidRequestException: "+c.refuse+": ") {
				t.Errorf("%.40s: %v", c.query, call.err)
			}
			continue
		}
		if call.err != nil || page.Limit != c.limit || string(page.After) != c.after || page.Desc != c.desc {
			t.Errorf("%.40s: %+v, %v", c.query, page, call.err)
		}
	}
	if got, err := base64.StdEncoding.DecodeString(token([]byte{0xfb, 0xff, 0})); err != nil || string(got) != "\xfb\xff\x00" {
		t.Errorf("token %q, %v", got, err)
	}
}

func TestPageByName(t *testing.T) {
	for query, desc := range map[string]bool{"": false, "isAscendingOrder=true": false, "isAscendingOrder=false": true} {
		parsed, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		c := &call{query: parsed}
		if page := c.pageByName(); c.err != nil || page.Desc != desc || page.Limit != 25 {
			t.Errorf("%s: %+v, %v", query, page, c.err)
		}
	}
}

func TestCut(t *testing.T) {
	names := []string{"a", "b", "c"}
	for _, c := range []struct {
		after      string
		limit      int
		want, next string
	}{
		{"", 3, "abc", ""},
		{"", 2, "ab", "b"},
		{"b", 2, "c", ""},
		{"aa", 1, "b", "b"}, // what stood there is gone
		{"c", 1, "", ""},
		{"\xff", 1, "", ""},
	} {
		got, next := cut(names, registry.Page{After: registry.Cursor(c.after), Limit: c.limit})
		if strings.Join(got, "") != c.want || string(next) != c.next {
			t.Errorf("%d after %q: %q, %q; want %q, %q", c.limit, c.after, got, next, c.want, c.next)
		}
	}
	if got, next := cut(nil, registry.Page{Limit: 1}); len(got) != 0 || next != nil {
		t.Errorf("of none: %q, %q", got, next)
	}
}

func TestEpoch(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.Unix(1700000000, 0), "1700000000"},
		{time.Unix(1700000000, 123_456_789), "1700000000.123"},
		{time.Unix(2524607999, 999_000_000), "2524607999.999"},
		{time.Unix(-1, 0), "-1"},
	} {
		got, err := json.Marshal(epoch(c.at))
		if err != nil || string(got) != c.want {
			t.Errorf("%v: %s, %v, want %s", c.at, got, err, c.want)
		}
	}
}

func TestResource(t *testing.T) {
	d := &Dialect{region: "us-east-1"}
	id := strings.Repeat("ab", 32)
	for _, c := range []struct{ arn, kind, id, refuse string }{
		{arn: "arn:aws:iot:us-east-1:123456789012:cert/" + id, kind: "cert", id: id},
		{arn: "arn:aws:iot:us-east-1:123456789012:thinggroup/a:b", kind: "thinggroup", id: "a:b"},
		{arn: "", refuse: "InvalidRequestException: target: is required"},
		{arn: "us-east-1:6b1b", refuse: "InvalidRequestException: target: must be an ARN such as arn:aws:iot:us-east-1:123456789012:cert/…"},
		{arn: "arn:aws:s3:us-east-1:123456789012:cert/" + id, refuse: "InvalidRequestException: target: must be an ARN"},
		{arn: "arn:aws:iot:us-east-1:123456789012", refuse: "InvalidRequestException: target: must be an ARN"},
		{arn: "arn:aws:iot:us-east-1:123456789012:policy/p", refuse: "InvalidRequestException: target: must be the ARN of one of: cert, thinggroup"},
		{arn: "arn:aws:iot:us-east-1:123456789012:cert", refuse: "InvalidRequestException: target: name of the resource: is required"},
		{arn: "arn:aws:iot:us-east-1:123456789012:cert/12", refuse: "InvalidRequestException: target: name of the resource: must have 64 characters, not 2"},
		{arn: "arn:aws:iot:us-east-1:123456789012:thinggroup/a/b", refuse: "InvalidRequestException: target: name of the resource: must match"},
		{arn: "arn:aws:iot:eu-west-1:123456789012:thinggroup/a", refuse: "ResourceNotFoundException: target: "},
		{arn: "arn:aws:iot:us-east-1:210987654321:thinggroup/a", refuse: "ResourceNotFoundException: target: "},
	} {
		call := &call{account: "123456789012"}
		kind, name := d.resource(call, "target", c.arn, muster.KindCertificate, muster.KindThingGroup)
		switch {
		case c.refuse != "" && (call.err == nil || !strings.HasPrefix(call.err.Error(), c.refuse)):
			t.Errorf("%s: %v, want %s", c.arn, call.err, c.refuse)
		case c.refuse == "" && (call.err != nil || string(kind) != c.kind || name != c.id):
			t.Errorf("%s: %s %s, %v", c.arn, kind, name, call.err)
		}
	}
}
