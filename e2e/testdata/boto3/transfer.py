"""A certificate goes from one account to another."""

from common import POLICY, client, other, publish, refused

ours, theirs = client(), other()
account = theirs.create_policy(policyName="boto", policyDocument=POLICY)["policyArn"].split(":")[4]
made = ours.create_keys_and_certificate(setAsActive=False)
device = made["certificateId"]
with open("pump.pem", "w", encoding="ascii") as file:
    file.write(made["certificatePem"])
with open("pump.key", "w", encoding="ascii") as file:
    file.write(made["keyPair"]["PrivateKey"])

moved = ours.transfer_certificate(certificateId=device, targetAwsAccount=account, transferMessage="for the plant")
assert moved["transferredCertificateArn"].split(":")[4] == account, moved
(offer,) = ours.get_paginator("list_outgoing_certificates").paginate().build_full_result()["outgoingCertificates"]
assert (offer["transferredTo"], offer["transferMessage"]) == (account, "for the plant"), offer
theirs.reject_certificate_transfer(certificateId=device, rejectReason="not yet")
described = ours.describe_certificate(certificateId=device)["certificateDescription"]
assert described["status"] == "INACTIVE" and described["transferData"]["rejectReason"] == "not yet", described
refused(ours.exceptions.TransferAlreadyCompletedException, ours.cancel_certificate_transfer, certificateId=device)

ours.transfer_certificate(certificateId=device, targetAwsAccount=account)
theirs.accept_certificate_transfer(certificateId=device, setAsActive=True)
described = theirs.describe_certificate(certificateId=device)["certificateDescription"]
assert described["status"] == "ACTIVE" and described["ownedBy"] == account, described
assert described["previousOwnedBy"] == made["certificateArn"].split(":")[4], described
refused(ours.exceptions.ResourceNotFoundException, ours.describe_certificate, certificateId=device)
theirs.attach_policy(policyName="boto", target=moved["transferredCertificateArn"])
assert publish("pump") == 0
