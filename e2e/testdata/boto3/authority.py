"""An authority with a template; a device that provisions itself; its end."""

import json

from common import POLICY, ROLE, authority, client, issue, publish, read, refused

iot = client()
template = {
    "Parameters": {"AWS::IoT::Certificate::CommonName": {"Type": "String"}},
    "Resources": {
        "thing": {
            "Type": "AWS::IoT::Thing",
            "Properties": {"ThingName": {"Ref": "AWS::IoT::Certificate::CommonName"}, "AttributePayload": {"line": "7"}},
        },
        "certificate": {
            "Type": "AWS::IoT::Certificate",
            "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"},
        },
        "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "boto"}},
    },
}
iot.create_policy(policyName="boto", policyDocument=POLICY)
made = iot.create_provisioning_template(
    templateName="boto", templateBody=json.dumps(template), provisioningRoleArn=ROLE, enabled=True, type="JITP")
assert made["defaultVersionId"] == 1, made

ca = authority("Boto")
proof = issue("Boto", iot.get_registration_code()["registrationCode"])
registered = iot.register_ca_certificate(
    caCertificate=ca, verificationCertificate=proof, setAsActive=True, allowAutoRegistration=True,
    registrationConfig={"templateName": "boto"}, tags=[{"Key": "line", "Value": "7"}])
described = iot.describe_ca_certificate(certificateId=registered["certificateId"])
assert described["certificateDescription"]["certificatePem"] == ca
assert described["certificateDescription"]["validity"]["notAfter"].year > 2000
assert described["registrationConfig"] == {"templateName": "boto"}, described

issue("Boto", "lamp")
assert publish("lamp") == 0
pages = iot.get_paginator("list_certificates_by_ca").paginate(caCertificateId=registered["certificateId"])
(device,) = [c for page in pages for c in page["certificates"]]
assert device["status"] == "ACTIVE", device
found = iot.describe_certificate(certificateId=device["certificateId"])["certificateDescription"]
assert found["certificatePem"] == read("lamp.pem")
assert iot.describe_thing(thingName="lamp")["attributes"] == {"line": "7"}
assert iot.list_thing_principals(thingName="lamp")["principals"] == [device["certificateArn"]]

refused(iot.exceptions.CertificateStateException, iot.delete_certificate, certificateId=device["certificateId"])
iot.update_certificate(certificateId=device["certificateId"], newStatus="REVOKED")
assert publish("lamp") != 0
refused(iot.exceptions.DeleteConflictException, iot.delete_certificate,
        certificateId=device["certificateId"], forceDelete=True)
iot.detach_thing_principal(thingName="lamp", principal=device["certificateArn"])
iot.delete_certificate(certificateId=device["certificateId"], forceDelete=True)
iot.delete_thing(thingName="lamp")
refused(iot.exceptions.ResourceNotFoundException, iot.describe_thing, thingName="lamp")
iot.update_ca_certificate(certificateId=registered["certificateId"], newStatus="INACTIVE")
iot.delete_ca_certificate(certificateId=registered["certificateId"])
