package registry

import (
	"fmt"
	"maps"
	"slices"

	"github.com/muster-mqtt/muster"
)

// setting is one of OverrideSettings, by its name in a template.
type setting struct {
	name    string
	value   muster.Override
	mergers bool // MERGE makes sense of it
}

func (s setting) writes() bool {
	return s.value == muster.OverrideReplace || s.value == muster.OverrideMerge
}

func settings(o *muster.ThingOverride) []setting {
	if o == nil {
		return nil
	}
	return []setting{
		{"AttributePayload", o.Attributes, true}, {"ThingTypeName", o.Type, false}, {"ThingGroups", o.Groups, true},
	}
}

// checkOverrides holds the settings of a registration to their words.
func checkOverrides(r *muster.Registration) error {
	all := []setting{{"Status", r.StatusOverride, false}}
	if r.Thing != nil {
		all = append(all, settings(r.Thing.Override)...)
	}
	for _, s := range all {
		switch s.value {
		case "", muster.OverrideDoNothing, muster.OverrideReplace, muster.OverrideFail:
			continue
		case muster.OverrideMerge:
			if s.mergers {
				continue
			}
		}
		return fmt.Errorf("override of %s: %q: want DO_NOTHING, REPLACE or FAIL, or MERGE for AttributePayload and ThingGroups: %w", s.name, s.value, muster.ErrInvalid)
	}
	return nil
}

// planOverride judges a template whose thing exists. A limit, or the existence
// of a type or group, is judged on what would be written.
func (a *application) planOverride(t *tx, p *plan, have muster.Thing, version uint64) error {
	want := a.Thing
	foreign := a.origin != "" && have.Authority != "" && have.Authority != a.origin
	if want.Override == nil {
		if foreign {
			return obstructed("the thing %q was provisioned under the %s and is not taken over; give it OverrideSettings in the template if it is to be", want.Name, originText(have.Authority))
		}
		return nil
	}
	for _, s := range settings(want.Override) {
		if s.value == muster.OverrideFail {
			return &obstacle{fmt.Sprintf("the thing %q exists, and the template's OverrideSettings say FAIL for %s", want.Name, s.name), muster.ErrConflict}
		}
	}
	thing := overridden(have, want)
	if foreign && slices.ContainsFunc(settings(want.Override), setting.writes) {
		thing.Authority = a.origin
	}
	if sameThing(thing, have) {
		return nil
	}
	thing.Revision++
	if err := checkAttributes(thing.Attributes, thing.Type != ""); err != nil {
		return obstructed("the thing %q cannot be changed: %v", want.Name, err)
	}
	if reason := crowded(thing.Name, thing.Groups, len(have.Groups)); reason != "" {
		return obstructed("%s", reason)
	}
	if err := targets(t, &thing, "changed"); err != nil {
		return err
	}
	p.thing, p.version = &thing, version
	return nil
}

// overridden returns a thing as a template wants it; have stays as it is.
func overridden(have muster.Thing, want *muster.RegistrationThing) muster.Thing {
	thing := have
	switch want.Override.Attributes {
	case muster.OverrideReplace:
		thing.Attributes = want.Attributes
	case muster.OverrideMerge:
		thing.Attributes = maps.Clone(have.Attributes)
		if thing.Attributes == nil {
			thing.Attributes = map[string]string{}
		}
		maps.Copy(thing.Attributes, want.Attributes)
	}
	if want.Override.Type == muster.OverrideReplace {
		thing.Type = want.Type
	}
	switch want.Override.Groups {
	case muster.OverrideReplace:
		thing.Groups = sortedNames(want.Groups)
	case muster.OverrideMerge:
		thing.Groups = sortedNames(slices.Concat(have.Groups, want.Groups))
	}
	return thing
}

// sameThing compares what a template may change.
func sameThing(a, b muster.Thing) bool {
	return a.Type == b.Type && a.Authority == b.Authority && slices.Equal(a.Groups, b.Groups) && maps.Equal(a.Attributes, b.Attributes)
}
