package policy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/policy"
)

// dice draws sessions, questions and documents from the tables.
type dice struct {
	*rand.Rand
	allows, denies []string
}

func newDice(t *testing.T, seed uint64) *dice {
	d := &dice{Rand: rand.New(rand.NewPCG(seed, seed))}
	for _, s := range statementsOf(t) {
		if strings.Contains(s, `"Effect":"Deny"`) {
			d.denies = append(d.denies, s)
		} else {
			d.allows = append(d.allows, s)
		}
	}
	return d
}

func pick[T any](d *dice, from ...T) T { return from[d.IntN(len(from))] }

func (d *dice) statements() []string {
	var s []string
	for range 1 + d.IntN(4) {
		s = append(s, pick(d, d.allows...))
	}
	for range d.IntN(6) {
		s = append(s, pick(d, d.denies...))
	}
	d.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
	return s
}

func (d *dice) variables(t *testing.T) policy.Variables {
	v := policy.Variables{
		ClientID: pick(d, "c", "d", "n", "pump-7", "*", ""), SourceIP: pick(d, "192.0.2.1", "2001:db8::1", ""),
		DomainName: pick(d, "iot.example.com", ""),
	}
	v.Connect.PersistentConnect = d.IntN(2) == 0
	if v.Connect.LastWill = d.IntN(2) == 0; v.Connect.LastWill {
		v.Connect.WillTopic = "w/c"
	}
	if d.IntN(2) == 0 {
		v.Thing = &muster.Thing{Name: v.ClientID, Type: pick(d, "pump", ""), Attributes: map[string]string{
			"v": pick(d, "10", "11", "2026-11-22T12:00:00Z", "true", "a*b", "192.0.2.9", "AQID"), "until": "2026-12-01",
		}}
	}
	if d.IntN(2) == 0 {
		now := time.Date(2026, 11, 22, 12, 0, d.IntN(2), 0, time.UTC)
		v.Now = func() time.Time { return now }
	}
	var c certificate
	for range d.IntN(3) {
		if err := c.set("subject", "CommonName", pick(d, "n", "10", "a*b", "pump-7")); err != nil {
			t.Fatal(err)
		}
	}
	v.Certificate = c.make(t)
	return v
}

// TestMoreDeniesAllowNoMore: a further Deny never allows what was not allowed, a
// further Allow never takes away what was; the order of statements and how they
// are spread over documents change nothing; Explain says what Evaluate says.
func TestMoreDeniesAllowNoMore(t *testing.T) {
	const seed = 3
	d := newDice(t, seed)
	verdicts := map[policy.Verdict]int{}
	for range 600 {
		v, statements := d.variables(t), d.statements()
		name := pick(d, "a", "b", "x", "one", "set", "all", "any", "c", "pump-7", "eq", "late", "")
		action := policy.Connect + policy.Action(d.IntN(5))
		ask := func(statements ...string) policy.Verdict {
			var docs []*policy.Document
			for _, s := range statements {
				docs = append(docs, parse(t, s))
			}
			got := realm.Bind(docs, v).Evaluate(action, name)
			explained(t, docs, v, action, name, got)
			return got
		}
		before := ask(statements...)
		verdicts[before]++
		question := fmt.Sprintf("%v %q of %+v under %s", action, name, v, strings.Join(statements, "\n"))
		deny, allow := pick(d, d.denies...), pick(d, d.allows...)
		if got := ask(append(slices.Clone(statements), deny)...); got == policy.Allowed && before != policy.Allowed {
			t.Errorf("%s\nis allowed once there is %s", question, deny)
		}
		if got := ask(append(slices.Clone(statements), allow)...); before == policy.Allowed && got != policy.Allowed ||
			(before == policy.ExplicitDeny) != (got == policy.ExplicitDeny) {
			t.Errorf("%s\nis %v, and %v once there is %s", question, before, got, allow)
		}
		slices.Reverse(statements)
		if got := ask(statements...); got != before {
			t.Errorf("%s\nis %v, and %v in another order", question, before, got)
		}
		if t.Failed() {
			return
		}
	}
	for _, v := range []policy.Verdict{policy.Allowed, policy.ExplicitDeny, policy.ImplicitDeny} {
		if verdicts[v] < 10 {
			t.Errorf("%v came %d times: the dice are not fair", v, verdicts[v])
		}
	}
}
