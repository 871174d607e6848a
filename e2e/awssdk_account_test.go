package e2e_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
)

// sdkTags tags what can be tagged.
func sdkTags(t *testing.T, a, b *sdk) {
	arn := do(t, a.CreatePolicy, &iot.CreatePolicyInput{PolicyName: new("sdk-tagged"), PolicyDocument: new(devicePolicy)}).PolicyArn
	do(t, a.TagResource, &iot.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{{Key: new("a"), Value: new("1")}, {Key: new("b"), Value: new("")}}})
	do(t, a.TagResource, &iot.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{{Key: new("a"), Value: new("2")}}})
	do(t, a.UntagResource, &iot.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"b", "c"}})
	list := paged(t, iot.NewListTagsForResourcePaginator(a, &iot.ListTagsForResourceInput{ResourceArn: arn}),
		func(p *iot.ListTagsForResourceOutput) []types.Tag { return p.Tags })
	names(t, "tags", each(list, func(t types.Tag) string { return *t.Key + "=" + *t.Value }), "a=2")
	denied[*types.ResourceNotFoundException](t, b.TagResource, &iot.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{{Key: new("a"), Value: new("1")}}})
}

// sdkAccount asks for what each account has once.
func sdkAccount(t *testing.T, a, b *sdk) {
	has(t, "endpoint", do(t, a.DescribeEndpoint, &iot.DescribeEndpointInput{EndpointType: new("iot:Data-ATS")}).EndpointAddress, "localhost")
	has(t, "endpoint", do(t, b.DescribeEndpoint, &iot.DescribeEndpointInput{EndpointType: new("iot:Data-ATS")}).EndpointAddress, secondEndpoint)
	code := *do(t, b.GetRegistrationCode, &iot.GetRegistrationCodeInput{}).RegistrationCode
	do(t, b.DeleteRegistrationCode, &iot.DeleteRegistrationCodeInput{})
	denied[*types.ResourceNotFoundException](t, b.DeleteRegistrationCode, &iot.DeleteRegistrationCodeInput{})
	if again := *do(t, b.GetRegistrationCode, &iot.GetRegistrationCodeInput{}).RegistrationCode; again == code || len(again) != 64 {
		t.Errorf("registration code %s after %s", again, code)
	}
	before := do(t, b.DescribeEventConfigurations, &iot.DescribeEventConfigurationsInput{})
	is(t, "event configurations", len(before.EventConfigurations), len(types.EventType("").Values()))
	do(t, b.UpdateEventConfigurations, &iot.UpdateEventConfigurationsInput{
		EventConfigurations: map[string]types.Configuration{"THING": {Enabled: true}}})
	after := do(t, b.DescribeEventConfigurations, &iot.DescribeEventConfigurationsInput{})
	is(t, "events of things", after.EventConfigurations["THING"].Enabled, true)
	is(t, "events of groups", after.EventConfigurations["THING_GROUP"].Enabled, false)
	recent(t, "change", after.LastModifiedDate)
}

// sdkPages goes through lists page by page in both dialects, while items are
// added and taken away.
func sdkPages(t *testing.T, _, b *sdk) {
	const count = 7
	name := func(i int) *string { return new(fmt.Sprintf("sdk-page-%d", i)) }
	create := func(i int) {
		do(t, b.CreateThing, &iot.CreateThingInput{ThingName: name(i), AttributePayload: &types.AttributePayload{Attributes: map[string]string{"sdk-page": "1"}}})
	}
	var policies, things []string
	for i := range count {
		do(t, b.CreatePolicy, &iot.CreatePolicyInput{PolicyName: name(i), PolicyDocument: new(devicePolicy)})
		create(i)
		policies, things = append(policies, *name(i)), append(things, *name(i))
	}
	byMarker := paged(t, iot.NewListPoliciesPaginator(b, &iot.ListPoliciesInput{PageSize: new(int32(2)), AscendingOrder: true}),
		func(p *iot.ListPoliciesOutput) []string {
			return each(p.Policies, func(p types.Policy) string { return *p.PolicyName })
		})
	names(t, "policies", byMarker, policies...)
	byToken := paged(t, iot.NewListThingsPaginator(b, &iot.ListThingsInput{MaxResults: new(int32(3)), AttributeName: new("sdk-page")}),
		func(p *iot.ListThingsOutput) []string {
			return each(p.Things, func(t types.ThingAttribute) string { return *t.ThingName })
		})
	names(t, "things", byToken, things...)

	pages, changes := 0, map[int]func(){
		1: func() { do(t, b.DeleteThing, &iot.DeleteThingInput{ThingName: name(1)}) }, // the page ended with it
		2: func() { create(10) },                                                      // it stands before this page
	}
	stable := paged(t, iot.NewListThingsPaginator(b, &iot.ListThingsInput{MaxResults: new(int32(2)), AttributeName: new("sdk-page")}),
		func(p *iot.ListThingsOutput) []string {
			if pages++; changes[pages] != nil {
				changes[pages]()
			}
			return each(p.Things, func(t types.ThingAttribute) string { return *t.ThingName })
		})
	names(t, "things while one goes and one comes", stable, things...)
}
