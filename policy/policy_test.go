package policy_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/policy"
)

func TestParseSingleStatement(t *testing.T) {
	d, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}}`))
	if err != nil {
		t.Fatal(err)
	}
	b := realm.Bind([]*policy.Document{d}, policy.Variables{})
	if got := b.Evaluate(policy.Connect, "x"); got != policy.Allowed {
		t.Errorf("got %v", got)
	}
}

func TestParseSize(t *testing.T) {
	fill := func(characters int, space string) []byte {
		text := document(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:iot:*:*:topic/FILL"}` + space)
		n := characters - (len(strings.Join(strings.Fields(string(text)), "")) - len("FILL"))
		return []byte(strings.Replace(string(text), "FILL", strings.Repeat("é", n), 1))
	}
	tests := []struct {
		name string
		text []byte
		want string // part of the error; "" for none
	}{
		{"2,048 characters", fill(2048, ""), ""},
		{"2,048 characters and white space", fill(2048, strings.Repeat("\n \t", 1000)), ""},
		{"2,049 characters", fill(2049, ""), "2049 characters without white space; at most 2048"},
		{"white space without end", fill(200, strings.Repeat(" ", 404600)), "bytes; at most 404600"},
		{"not UTF-8", document("\"\xff\""), "not UTF-8"},
		{"deep", []byte(strings.Repeat("[", 2000)), "not JSON"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := policy.Parse(test.text)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, muster.ErrMalformedPolicy) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}

// The zero value of everything refuses.
func TestZeroDenies(t *testing.T) {
	all := parse(t, `{"Effect":"Allow","Action":"*","Resource":"*"}`)
	var none *policy.Bound
	tests := map[string]*policy.Bound{
		"nil":            none,
		"zero":           new(policy.Bound),
		"no documents":   realm.Bind(nil, policy.Variables{}),
		"zero document":  realm.Bind([]*policy.Document{{}}, policy.Variables{}),
		"a nil document": realm.Bind([]*policy.Document{all, nil}, policy.Variables{}),
	}
	for name, b := range tests {
		if got := b.Evaluate(policy.Connect, "x"); got != policy.ImplicitDeny {
			t.Errorf("%s: got %v", name, got)
		}
	}
	b := realm.Bind([]*policy.Document{all}, policy.Variables{})
	for _, a := range []policy.Action{0, policy.Receive + 1, 7, 8, 255} {
		if got := b.Evaluate(a, "x"); got != policy.ImplicitDeny {
			t.Errorf("%v: got %v", a, got)
		}
	}
	if policy.Verdict(0) != policy.ImplicitDeny {
		t.Error("the zero Verdict does not deny")
	}
}

func TestLongValues(t *testing.T) {
	d := parse(t, `{"Effect":"Allow","Action":"*","Resource":"arn:aws:iot:*:*:client/${iot:ClientId}"}`)
	for _, test := range []struct {
		id   string
		want policy.Verdict
	}{
		{strings.Repeat("é", 1024), policy.Allowed},
		{strings.Repeat("é", 1025), policy.ImplicitDeny},
	} {
		b := realm.Bind([]*policy.Document{d}, policy.Variables{ClientID: test.id})
		if got := b.Evaluate(policy.Connect, test.id); got != test.want {
			t.Errorf("%d bytes: got %v, want %v", len(test.id), got, test.want)
		}
	}
}

// One Document serves many sessions at once, and one Bound many goroutines: the
// race detector watches.
func TestConcurrentUse(t *testing.T) {
	d := parse(t, tenStatements)
	shared := bindTen(t)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			id := fmt.Sprintf("c%d", i)
			b := realm.Bind([]*policy.Document{d}, policy.Variables{ClientID: id})
			for range 100 {
				if got := b.Evaluate(policy.Publish, "d/"+id+"/up"); got != policy.Allowed {
					t.Errorf("%s: got %v", id, got)
				}
				if got := shared.Evaluate(policy.Publish, "d/"+id+"/up"); got != policy.ImplicitDeny {
					t.Errorf("%s in another session: got %v", id, got)
				}
			}
		})
	}
	group.Wait()
}

const tenStatements = `
{"Effect":"Deny","Action":"iot:Publish","Resource":"arn:aws:iot:us-east-1:123456789012:topic/d/*/secret"},
{"Effect":"Deny","Action":"iot:*","Resource":"arn:aws:iot:us-east-1:123456789012:topic/admin/*"},
{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:us-east-1:123456789012:client/${iot:ClientId}"},
{"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:us-east-1:123456789012:topicfilter/d/${iot:ClientId}/#"},
{"Effect":"Allow","Action":"iot:Receive","Resource":"arn:aws:iot:us-east-1:123456789012:topic/d/${iot:ClientId}/*"},
{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:us-east-1:123456789012:topic/a/b"},
{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:us-east-1:123456789012:topic/log/*"},
{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:us-east-1:123456789012:topic/?/x"},
{"Effect":"Allow","Action":"iot:RetainPublish","Resource":"*"},
{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:us-east-1:123456789012:topic/d/${iot:ClientId}/up"}`

func bindTen(t testing.TB) *policy.Bound {
	t.Helper()
	docs := []*policy.Document{parse(t, tenStatements)}
	return realm.Bind(docs, policy.Variables{ClientID: "sensor-1"})
}

func TestEvaluateDoesNotAllocate(t *testing.T) {
	docs := []*policy.Document{parse(t, tenStatements), parse(t, `
{"Effect":"Deny","Action":"iot:*","Resource":"*","Condition":{"DateGreaterThan":{"aws:CurrentTime":["2099-01-01","${iot:Connection.Thing.Attributes[until]}"]}}},
{"Effect":"Allow","Action":"iot:Receive","Resource":"*","Condition":{"NumericGreaterThan":{"aws:EpochTime":1},"StringLike":{"iot:ClientId":"sensor-*"}}}`)}
	b := realm.Bind(docs, policy.Variables{
		ClientID: "sensor-1", Now: time.Now, Thing: &muster.Thing{Attributes: map[string]string{"until": "2098-01-01T00:00:00Z"}},
	})
	if b.Evaluate(policy.Receive, "any") != policy.Allowed {
		t.Fatal("the conditions on the time do not hold")
	}
	for _, name := range []string{"d/sensor-1/up", "d/sensor-2/up", "d/a/b/secret", strings.Repeat("d/", 200)} {
		n := testing.AllocsPerRun(100, func() {
			b.Evaluate(policy.Publish, name)
			b.Evaluate(policy.Subscribe, name)
			b.Evaluate(policy.Receive, name)
		})
		if n != 0 {
			t.Errorf("%q: %v allocations", name, n)
		}
	}
}

// The last of ten statements allows.
func BenchmarkEvaluate(b *testing.B) {
	bound := bindTen(b)
	b.ReportAllocs()
	for b.Loop() {
		if bound.Evaluate(policy.Publish, "d/sensor-1/up") != policy.Allowed {
			b.Fatal("denied")
		}
	}
}

func BenchmarkBind(b *testing.B) {
	docs := []*policy.Document{parse(b, tenStatements)}
	b.ReportAllocs()
	for b.Loop() {
		realm.Bind(docs, policy.Variables{ClientID: "sensor-1"})
	}
}

// What a session keeps. Conditions that it settles cost it nothing.
func BenchmarkBoundSize(b *testing.B) {
	device := `
{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:us-east-1:123456789012:client/${iot:ClientId}"},
{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:us-east-1:123456789012:topic/telemetry/${iot:ClientId}"},
{"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:us-east-1:123456789012:topicfilter/commands/${iot:ClientId}"},
{"Effect":"Allow","Action":"iot:Receive","Resource":"arn:aws:iot:us-east-1:123456789012:topic/commands/*"}`
	conditions := `,
{"Effect":"Deny","Action":"iot:Connect","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"iot:ConnectAttributes":"LastWill"}}},
{"Effect":"Deny","Action":"iot:*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}`
	for name, statements := range map[string]string{"device": device, "conditions": device + conditions, "ten": tenStatements} {
		b.Run(name, func(b *testing.B) {
			docs := []*policy.Document{parse(b, statements)}
			keep := make([]*policy.Bound, 0, b.N)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for i := range b.N {
				id := fmt.Sprintf("sensor-%d", i)
				keep = append(keep, realm.Bind(docs, policy.Variables{ClientID: id, SourceIP: "192.0.2.1"}))
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N), "B/session")
			runtime.KeepAlive(keep)
		})
	}
}
