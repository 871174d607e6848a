package e2e_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
)

// sdkThings makes, changes, finds and deletes things.
func sdkThings(t *testing.T, a, b *sdk) {
	do(t, a.CreateThingType, &iot.CreateThingTypeInput{ThingTypeName: new("sdk-pump")})
	name := new("sdk-thing:1")
	made := do(t, a.CreateThing, &iot.CreateThingInput{ThingName: name, ThingTypeName: new("sdk-pump"),
		AttributePayload: &types.AttributePayload{Attributes: map[string]string{"sdk-hall": "1", "line": "7"}}})
	has(t, "ARN", made.ThingArn, a.arn("thing/sdk-thing:1"))
	describe := &iot.DescribeThingInput{ThingName: name}
	d := do(t, a.DescribeThing, describe)
	has(t, "ID", d.ThingId, *made.ThingId)
	has(t, "client ID", d.DefaultClientId, *name)
	has(t, "type", d.ThingTypeName, "sdk-pump")
	is(t, "version", d.Version, 1)
	if want := map[string]string{"sdk-hall": "1", "line": "7"}; !maps.Equal(d.Attributes, want) {
		t.Errorf("attributes %v", d.Attributes)
	}
	again := do(t, a.CreateThing, &iot.CreateThingInput{ThingName: name, ThingTypeName: new("sdk-pump"),
		AttributePayload: &types.AttributePayload{Attributes: map[string]string{"sdk-hall": "1", "line": "7"}}})
	has(t, "ID of the same thing again", again.ThingId, *made.ThingId)
	denied[*types.ResourceAlreadyExistsException](t, a.CreateThing, &iot.CreateThingInput{ThingName: name})

	do(t, a.UpdateThing, &iot.UpdateThingInput{ThingName: name, ExpectedVersion: new(int64(1)),
		AttributePayload: &types.AttributePayload{Merge: true, Attributes: map[string]string{"line": "", "room": "2"}}})
	d = do(t, a.DescribeThing, describe)
	if want := map[string]string{"sdk-hall": "1", "room": "2"}; !maps.Equal(d.Attributes, want) || d.Version != 2 {
		t.Errorf("version %d, attributes %v", d.Version, d.Attributes)
	}
	denied[*types.VersionConflictException](t, a.UpdateThing, &iot.UpdateThingInput{ThingName: name, ExpectedVersion: new(int64(1)), RemoveThingType: true})
	do(t, a.UpdateThing, &iot.UpdateThingInput{ThingName: name, RemoveThingType: true})
	if d = do(t, a.DescribeThing, describe); d.ThingTypeName != nil {
		t.Errorf("type %s is still there", *d.ThingTypeName)
	}
	list := do(t, a.ListThings, &iot.ListThingsInput{AttributeName: new("sdk-hall"), AttributeValue: new("1")})
	names(t, "things", each(list.Things, func(t types.ThingAttribute) string { return fmt.Sprint(*t.ThingName, " ", *t.ThingArn, " ", t.Version) }),
		"sdk-thing:1 "+a.arn("thing/sdk-thing:1")+" 3")
	denied[*types.ResourceNotFoundException](t, b.DescribeThing, describe)
	denied[*types.VersionConflictException](t, a.DeleteThing, &iot.DeleteThingInput{ThingName: name, ExpectedVersion: new(int64(1))})
	do(t, a.DeleteThing, &iot.DeleteThingInput{ThingName: name, ExpectedVersion: new(int64(3))})
	denied[*types.ResourceNotFoundException](t, a.DescribeThing, describe)
}

// sdkThingTypes deprecates a type, undoes that, and deletes it in the end, for
// which AWS would have people wait five minutes.
func sdkThingTypes(t *testing.T, a, _ *sdk) {
	name := new("sdk-type")
	properties := &types.ThingTypeProperties{ThingTypeDescription: new("a pump"), SearchableAttributes: []string{"line", "hall"}}
	made := do(t, a.CreateThingType, &iot.CreateThingTypeInput{ThingTypeName: name, ThingTypeProperties: properties})
	has(t, "ARN", made.ThingTypeArn, a.arn("thingtype/sdk-type"))
	describe := &iot.DescribeThingTypeInput{ThingTypeName: name}
	d := do(t, a.DescribeThingType, describe)
	has(t, "ID", d.ThingTypeId, *made.ThingTypeId)
	has(t, "description", d.ThingTypeProperties.ThingTypeDescription, "a pump")
	names(t, "searchable attributes", d.ThingTypeProperties.SearchableAttributes, "line", "hall")
	is(t, "deprecated", d.ThingTypeMetadata.Deprecated, false)
	recent(t, "creation", d.ThingTypeMetadata.CreationDate)
	do(t, a.UpdateThingType, &iot.UpdateThingTypeInput{ThingTypeName: name, ThingTypeProperties: properties})
	denied[*types.InvalidRequestException](t, a.DeleteThingType, &iot.DeleteThingTypeInput{ThingTypeName: name})

	do(t, a.DeprecateThingType, &iot.DeprecateThingTypeInput{ThingTypeName: name})
	d = do(t, a.DescribeThingType, describe)
	is(t, "deprecated", d.ThingTypeMetadata.Deprecated, true)
	recent(t, "deprecation", d.ThingTypeMetadata.DeprecationDate)
	denied[*types.InvalidRequestException](t, a.CreateThing, &iot.CreateThingInput{ThingName: new("sdk-late"), ThingTypeName: name})
	list := do(t, a.ListThingTypes, &iot.ListThingTypesInput{ThingTypeName: name})
	names(t, "types", each(list.ThingTypes, func(d types.ThingTypeDefinition) string {
		return fmt.Sprint(*d.ThingTypeName, " ", d.ThingTypeMetadata.Deprecated)
	}), "sdk-type true")
	do(t, a.DeprecateThingType, &iot.DeprecateThingTypeInput{ThingTypeName: name, UndoDeprecate: true})
	typed := new("sdk-typed")
	do(t, a.CreateThing, &iot.CreateThingInput{ThingName: typed, ThingTypeName: name})
	do(t, a.DeprecateThingType, &iot.DeprecateThingTypeInput{ThingTypeName: name})
	denied[*types.InvalidRequestException](t, a.DeleteThingType, &iot.DeleteThingTypeInput{ThingTypeName: name})
	do(t, a.DeleteThing, &iot.DeleteThingInput{ThingName: typed})
	do(t, a.DeleteThingType, &iot.DeleteThingTypeInput{ThingTypeName: name})
	denied[*types.ResourceNotFoundException](t, a.DescribeThingType, describe)
}

// sdkGroups builds a hierarchy and moves a thing through it.
func sdkGroups(t *testing.T, a, _ *sdk) {
	site, hall, thing := new("sdk-site"), new("sdk-site-hall"), new("sdk-member")
	made := do(t, a.CreateThingGroup, &iot.CreateThingGroupInput{ThingGroupName: site,
		ThingGroupProperties: &types.ThingGroupProperties{ThingGroupDescription: new("all of it"),
			AttributePayload: &types.AttributePayload{Attributes: map[string]string{"country": "DE"}}},
		Tags: []types.Tag{{Key: new("owner"), Value: new("ops")}}})
	has(t, "ARN", made.ThingGroupArn, a.arn("thinggroup/sdk-site"))
	do(t, a.CreateThingGroup, &iot.CreateThingGroupInput{ThingGroupName: hall, ParentGroupName: site})
	d := do(t, a.DescribeThingGroup, &iot.DescribeThingGroupInput{ThingGroupName: hall})
	has(t, "parent", d.ThingGroupMetadata.ParentGroupName, *site)
	names(t, "path", each(d.ThingGroupMetadata.RootToParentThingGroups, func(g types.GroupNameAndArn) string { return *g.GroupArn }), a.arn("thinggroup/sdk-site"))
	recent(t, "creation", d.ThingGroupMetadata.CreationDate)
	is(t, "version", d.Version, 1)
	updated := do(t, a.UpdateThingGroup, &iot.UpdateThingGroupInput{ThingGroupName: site, ExpectedVersion: new(int64(1)),
		ThingGroupProperties: &types.ThingGroupProperties{ThingGroupDescription: new("what is left")}})
	is(t, "version", updated.Version, 2)
	d = do(t, a.DescribeThingGroup, &iot.DescribeThingGroupInput{ThingGroupName: site})
	has(t, "description", d.ThingGroupProperties.ThingGroupDescription, "what is left")
	listed := do(t, a.ListThingGroups, &iot.ListThingGroupsInput{NamePrefixFilter: new("sdk-site")})
	names(t, "groups", each(listed.ThingGroups, groupName), *site, *hall)
	listed = do(t, a.ListThingGroups, &iot.ListThingGroupsInput{ParentGroup: site, Recursive: new(false)})
	names(t, "children", each(listed.ThingGroups, groupName), *hall)

	do(t, a.CreateThing, &iot.CreateThingInput{ThingName: thing})
	do(t, a.AddThingToThingGroup, &iot.AddThingToThingGroupInput{ThingName: thing, ThingGroupArn: made.ThingGroupArn})
	groups := func(want ...string) {
		t.Helper()
		names(t, "groups of the thing", each(do(t, a.ListThingGroupsForThing, &iot.ListThingGroupsForThingInput{ThingName: thing}).ThingGroups, groupName), want...)
	}
	groups(*site)
	names(t, "things", do(t, a.ListThingsInThingGroup, &iot.ListThingsInThingGroupInput{ThingGroupName: site}).Things, *thing)
	do(t, a.UpdateThingGroupsForThing, &iot.UpdateThingGroupsForThingInput{ThingName: thing,
		ThingGroupsToRemove: []string{*site}, ThingGroupsToAdd: []string{*hall}})
	groups(*hall)
	names(t, "things below", do(t, a.ListThingsInThingGroup, &iot.ListThingsInThingGroupInput{ThingGroupName: site, Recursive: true}).Things, *thing)
	do(t, a.RemoveThingFromThingGroup, &iot.RemoveThingFromThingGroupInput{ThingName: thing, ThingGroupName: hall})
	groups()
	denied[*types.InvalidRequestException](t, a.DeleteThingGroup, &iot.DeleteThingGroupInput{ThingGroupName: site})
	do(t, a.DeleteThingGroup, &iot.DeleteThingGroupInput{ThingGroupName: hall, ExpectedVersion: new(int64(1))})
	do(t, a.DeleteThingGroup, &iot.DeleteThingGroupInput{ThingGroupName: site})
	denied[*types.ResourceNotFoundException](t, a.DescribeThingGroup, &iot.DescribeThingGroupInput{ThingGroupName: site})
}

func groupName(g types.GroupNameAndArn) string { return *g.GroupName }

// sdkPrincipals attaches certificates to things, exclusively and not.
func sdkPrincipals(t *testing.T, a, _ *sdk) {
	things := []string{"sdk-alone", "sdk-shared"}
	for _, name := range things {
		do(t, a.CreateThing, &iot.CreateThingInput{ThingName: &name})
	}
	register := func(name string) *string {
		c := selfSigned(t, t.TempDir(), name)
		return do(t, a.RegisterCertificateWithoutCA, &iot.RegisterCertificateWithoutCAInput{CertificatePem: new(readFile(t, c.cert))}).CertificateArn
	}
	alone, shared := register("sdk-alone"), register("sdk-shared")
	do(t, a.AttachThingPrincipal, &iot.AttachThingPrincipalInput{ThingName: &things[0], Principal: alone, ThingPrincipalType: types.ThingPrincipalTypeExclusiveThing})
	do(t, a.AttachThingPrincipal, &iot.AttachThingPrincipalInput{ThingName: &things[1], Principal: shared})
	denied[*types.InvalidRequestException](t, a.AttachThingPrincipal, &iot.AttachThingPrincipalInput{ThingName: &things[1], Principal: alone})

	names(t, "principals", do(t, a.ListThingPrincipals, &iot.ListThingPrincipalsInput{ThingName: &things[0]}).Principals, *alone)
	names(t, "things", do(t, a.ListPrincipalThings, &iot.ListPrincipalThingsInput{Principal: shared}).Things, things[1])
	names(t, "principals with types", each(do(t, a.ListThingPrincipalsV2, &iot.ListThingPrincipalsV2Input{ThingName: &things[0]}).ThingPrincipalObjects,
		func(o types.ThingPrincipalObject) string { return *o.Principal + " " + string(o.ThingPrincipalType) }), *alone+" EXCLUSIVE_THING")
	names(t, "things with types", each(do(t, a.ListPrincipalThingsV2, &iot.ListPrincipalThingsV2Input{Principal: shared}).PrincipalThingObjects,
		func(o types.PrincipalThingObject) string { return *o.ThingName + " " + string(o.ThingPrincipalType) }), things[1]+" NON_EXCLUSIVE_THING")
	if out := do(t, a.ListPrincipalThingsV2, &iot.ListPrincipalThingsV2Input{Principal: shared, ThingPrincipalType: types.ThingPrincipalTypeExclusiveThing}); len(out.PrincipalThingObjects) != 0 {
		t.Errorf("exclusive things %v", out.PrincipalThingObjects)
	}
	denied[*types.InvalidRequestException](t, a.DeleteThing, &iot.DeleteThingInput{ThingName: &things[0]})
	do(t, a.DetachThingPrincipal, &iot.DetachThingPrincipalInput{ThingName: &things[0], Principal: alone})
	do(t, a.DeleteThing, &iot.DeleteThingInput{ThingName: &things[0]})
}
