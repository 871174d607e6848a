"""Versions of a policy, tags, and lists that are longer than a page."""

from common import POLICY, client, refused

iot = client()
made = iot.create_policy(policyName="versions", policyDocument=POLICY, tags=[{"Key": "line", "Value": "7"}])
second = POLICY.replace("iot:Publish", "iot:Subscribe")
assert iot.create_policy_version(policyName="versions", policyDocument=second, setAsDefault=True)["policyVersionId"] == "2"
assert iot.get_policy(policyName="versions")["policyDocument"] == second
assert iot.get_policy_version(policyName="versions", policyVersionId="1")["policyDocument"] == POLICY
versions = iot.list_policy_versions(policyName="versions")["policyVersions"]
assert {v["versionId"]: v["isDefaultVersion"] for v in versions} == {"1": False, "2": True}, versions
for _ in range(3):
    iot.create_policy_version(policyName="versions", policyDocument=POLICY)
refused(iot.exceptions.VersionsLimitExceededException, iot.create_policy_version, policyName="versions", policyDocument=POLICY)
iot.delete_policy_version(policyName="versions", policyVersionId="1")
told = refused(iot.exceptions.ResourceAlreadyExistsException, iot.create_policy, policyName="versions", policyDocument=POLICY)
assert told["Error"]["Code"] == "ResourceAlreadyExistsException", told
assert told["resourceArn"] == made["policyArn"], told
refused(iot.exceptions.MalformedPolicyException, iot.create_policy, policyName="broken", policyDocument="{}")

arn = made["policyArn"]
iot.tag_resource(resourceArn=arn, tags=[{"Key": "site", "Value": "north"}])
iot.untag_resource(resourceArn=arn, tagKeys=["line"])
assert iot.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "site", "Value": "north"}]

names = [f"page-{i:02}" for i in range(30)]
for name in names:
    iot.create_policy(policyName=name, policyDocument=POLICY)
    iot.create_thing(thingName=name)
found = [p["policyName"] for page in iot.get_paginator("list_policies").paginate() for p in page["policies"]]
assert [n for n in found if n.startswith("page-")] == names, found
pages = iot.get_paginator("list_things").paginate(PaginationConfig={"PageSize": 7})
assert [t["thingName"] for page in pages for t in page["things"] if t["thingName"].startswith("page-")] == names
group = iot.create_thing_group(thingGroupName="pages")
for name in names[:10]:
    iot.attach_policy(policyName=name, target=group["thingGroupArn"])
refused(iot.exceptions.LimitExceededException, iot.attach_policy, policyName=names[10], target=group["thingGroupArn"])
pages = iot.get_paginator("list_attached_policies").paginate(target=group["thingGroupArn"], PaginationConfig={"PageSize": 4})
assert sorted(p["policyName"] for page in pages for p in page["policies"]) == names[:10]
for name in names:
    iot.add_thing_to_thing_group(thingGroupName="pages", thingName=name)
full = iot.get_paginator("list_things_in_thing_group").paginate(thingGroupName="pages").build_full_result()
assert full["things"] == names, full
