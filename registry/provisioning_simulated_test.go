package registry_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/memory"
)

// Whatever devices and operators do, one after another, to the same few things:
// the rules of the registry hold after it, on both engines alike. Each act works
// at least once.
func TestProvisioningSimulated(t *testing.T) {
	const seed = 20261123
	var answers [2][]bool
	for i, e := range []registry.Engine{memory.New(), newBadger(t)} {
		s := newProvisioningSimulation(newFixtureOn(t, e, registry.Config{}), seed)
		worked := map[string]int{}
		for step := range 600 {
			act := s.acts[s.rand.IntN(len(s.acts))]
			err := act.play()
			if err == nil {
				worked[act.name]++
			}
			answers[i] = append(answers[i], err == nil)
			if step%20 == 19 {
				s.step()
			}
		}
		for _, act := range s.acts {
			if worked[act.name] == 0 {
				t.Errorf("seed %d: never worked: %s", uint64(seed), act.name)
			}
		}
	}
	if !slices.Equal(answers[0], answers[1]) {
		t.Errorf("seed %d: the engines differ", uint64(seed))
	}
}

type provisioningSimulation struct {
	*fixture
	rand      *rand.Rand
	authority muster.Authority
	leaves    []string // PEM
	known     []string // IDs of certificates, the newest last
	acts      []simulatedAct
}

type simulatedAct struct {
	name string
	play func() error
}

func newProvisioningSimulation(f *fixture, seed uint64) *provisioningSimulation {
	f.Helper()
	ca := f.mint("Factory")
	s := &provisioningSimulation{fixture: f, rand: rand.New(rand.NewPCG(seed, 0)), authority: f.authority(ca)}
	for range 8 {
		leaf := f.leaf(ca, "device")
		s.leaves = append(s.leaves, leaf)
	}
	s.known = []string{fingerprint(f.T, s.leaves[0])}
	f.template("fleet", muster.TemplateFleet)
	s.acts = slices.Concat(s.devices(), s.operators())
	return s
}

func (s *provisioningSimulation) name(kind string) string { return fmt.Sprint(kind, s.rand.IntN(3)) }

// certificate returns one of the latest.
func (s *provisioningSimulation) certificate() string {
	return s.known[max(0, len(s.known)-1-s.rand.IntN(6))]
}

func (s *provisioningSimulation) learn(c muster.Certificate, err error) error {
	if err == nil && !slices.Contains(s.known, c.ID) {
		s.known = append(s.known, c.ID)
	}
	return err
}

// registration is what some template makes.
func (s *provisioningSimulation) registration() muster.Registration {
	r := *thingNamed(s.name("thing"))
	r.Status = []muster.Status{muster.Active, muster.Inactive}[s.rand.IntN(2)]
	if s.rand.IntN(4) == 0 {
		r.Policies = []muster.RegistrationGrant{{Name: s.name("policy"), Document: allowAll}}
	}
	if s.rand.IntN(2) == 0 {
		r.Thing.Type, r.Thing.Groups = s.name("kind"), []string{s.name("group")}
	}
	word := func() muster.Override { return []muster.Override{nothing, replace, merge, fail}[s.rand.IntN(4)] }
	if s.rand.IntN(2) == 0 {
		r.Thing.Override = &muster.ThingOverride{Attributes: word(), Groups: word(), Type: replace}
	}
	return r
}

// devices are the acts by which certificates get things.
func (s *provisioningSimulation) devices() []simulatedAct {
	ctx := s.Context()
	leaf := func() string { return s.leaves[s.rand.IntN(len(s.leaves))] }
	registerThing := func(source muster.CertificateSource) error {
		r := s.registration()
		r.Source = &source
		got, err := s.RegisterThing(ctx, account, r)
		return s.learn(got.Certificate, err)
	}
	return []simulatedAct{
		{"connect", func() error {
			r := s.registration()
			got, err := s.Enrol(ctx, muster.Enrolment{Account: account, AuthorityID: s.authority.ID, PEM: leaf(), Registration: &r})
			return s.learn(got.Certificate, err)
		}},
		{"ask for a certificate", func() error { return s.learn(s.waiting("device"), nil) }},
		{"provision", func() error {
			p := muster.Provisioning{Account: account, CertificateID: s.certificate(), Template: "fleet", Registration: s.registration()}
			_, err := s.Provision(ctx, p)
			return err
		}},
		{"register a thing by ID", func() error { return registerThing(muster.CertificateSource{ID: s.certificate()}) }},
		{"register a thing by PEM", func() error { return registerThing(muster.CertificateSource{PEM: leaf()}) }},
		{"attach", func() error { return s.AttachThing(ctx, account, s.name("thing"), s.certificate()) }},
		{"attach exclusively", func() error { return s.AttachThingExclusively(ctx, account, s.name("thing"), s.certificate()) }},
		{"detach", func() error { return s.DetachThing(ctx, account, s.name("thing"), s.certificate()) }},
		{"clear away", s.clearAway},
		{"clear away", s.clearAway},
	}
}

// clearAway deletes a certificate, whatever has it.
func (s *provisioningSimulation) clearAway() error {
	ctx, id := s.Context(), s.certificate()
	c, err := s.Certificate(ctx, account, id)
	if err != nil {
		return err
	}
	for _, thing := range c.Things {
		s.ok(s.DetachThing(ctx, account, thing, id))
	}
	if c.Status == muster.Active {
		must(s.UpdateCertificateStatus(ctx, account, id, muster.Inactive))(s.fixture)
	}
	return s.DeleteCertificate(ctx, account, id, true)
}

// operators are the acts by which what templates name comes and goes.
func (s *provisioningSimulation) operators() []simulatedAct {
	ctx := s.Context()
	return []simulatedAct{
		{"create a thing", func() error {
			_, err := s.CreateThing(ctx, muster.Thing{Account: account, Name: s.name("thing")})
			return err
		}},
		{"delete a thing", func() error { return s.DeleteThing(ctx, account, s.name("thing"), nil) }},
		{"create a type", func() error {
			_, err := s.CreateThingType(ctx, muster.ThingType{Account: account, Name: s.name("kind")})
			return err
		}},
		{"deprecate a type", func() error { return s.DeprecateThingType(ctx, account, s.name("kind"), s.rand.IntN(3) == 0) }},
		{"delete a type", func() error { return s.DeleteThingType(ctx, account, s.name("kind")) }},
		{"create a group", func() error {
			_, err := s.CreateThingGroup(ctx, muster.ThingGroup{Account: account, Name: s.name("group")})
			return err
		}},
		{"delete a group", func() error { return s.DeleteThingGroup(ctx, account, s.name("group"), nil) }},
		{"delete a policy", func() error { return s.DeletePolicy(ctx, account, s.name("policy")) }},
	}
}
