package awsiot

import "net/http"

// operations is the API. Of two that match one request the first is taken:
// literal paths stand before labels.
func operations() []operation {
	const (
		get    = http.MethodGet
		post   = http.MethodPost
		put    = http.MethodPut
		remove = http.MethodDelete
	)
	return []operation{
		{"GetRegistrationCode", get, "/registrationcode", (*Dialect).getRegistrationCode},
		{"DeleteRegistrationCode", remove, "/registrationcode", (*Dialect).deleteRegistrationCode},
		{"DescribeEndpoint", get, "/endpoint", (*Dialect).describeEndpoint},

		{"RegisterCACertificate", post, "/cacertificate", (*Dialect).registerCACertificate},
		{"DescribeCACertificate", get, "/cacertificate/{caCertificateId}", (*Dialect).describeCACertificate},
		{"UpdateCACertificate", put, "/cacertificate/{caCertificateId}", (*Dialect).updateCACertificate},
		{"DeleteCACertificate", remove, "/cacertificate/{caCertificateId}", (*Dialect).deleteCACertificate},
		{"ListCACertificates", get, "/cacertificates", (*Dialect).listCACertificates},

		{"RegisterCertificate", post, "/certificate/register", (*Dialect).registerCertificate},
		{"RegisterCertificateWithoutCA", post, "/certificate/register-no-ca", (*Dialect).registerCertificateWithoutCA},
		{"DescribeCertificate", get, "/certificates/{certificateId}", (*Dialect).describeCertificate},
		{"UpdateCertificate", put, "/certificates/{certificateId}", (*Dialect).updateCertificate},
		{"DeleteCertificate", remove, "/certificates/{certificateId}", (*Dialect).deleteCertificate},
		{"ListCertificates", get, "/certificates", (*Dialect).listCertificates},
		{"ListCertificatesByCA", get, "/certificates-by-ca/{caCertificateId}", (*Dialect).listCertificatesByCA},

		{"CreatePolicy", post, "/policies/{policyName}", (*Dialect).createPolicy},
		{"GetPolicy", get, "/policies/{policyName}", (*Dialect).getPolicy},
		{"DeletePolicy", remove, "/policies/{policyName}", (*Dialect).deletePolicy},
		{"ListPolicies", get, "/policies", (*Dialect).listPolicies},
		{"AttachPolicy", put, "/target-policies/{policyName}", (*Dialect).attachPolicy},
		{"DetachPolicy", post, "/target-policies/{policyName}", (*Dialect).detachPolicy},
		{"ListAttachedPolicies", post, "/attached-policies/{target...}", (*Dialect).listAttachedPolicies},

		{"CreateProvisioningTemplate", post, "/provisioning-templates", (*Dialect).createProvisioningTemplate},

		{"CreateThingType", post, "/thing-types/{thingTypeName}", (*Dialect).createThingType},
		{"CreateThingGroup", post, "/thing-groups/{thingGroupName}", (*Dialect).createThingGroup},
		{"AddThingToThingGroup", put, "/thing-groups/addThingToThingGroup", (*Dialect).addThingToThingGroup},
		{"RemoveThingFromThingGroup", put, "/thing-groups/removeThingFromThingGroup", (*Dialect).removeThingFromThingGroup},
		{"CreateThing", post, "/things/{thingName}", (*Dialect).createThing},
		{"DescribeThing", get, "/things/{thingName}", (*Dialect).describeThing},
		{"DeleteThing", remove, "/things/{thingName}", (*Dialect).deleteThing},
		{"ListThings", get, "/things", (*Dialect).listThings},
		{"AttachThingPrincipal", put, "/things/{thingName}/principals", (*Dialect).attachThingPrincipal},
		{"DetachThingPrincipal", remove, "/things/{thingName}/principals", (*Dialect).detachThingPrincipal},
		{"ListThingPrincipals", get, "/things/{thingName}/principals", (*Dialect).listThingPrincipals},

		{"TagResource", post, "/tags", (*Dialect).tagResource},
		{"UntagResource", post, "/untag", (*Dialect).untagResource},
		{"ListTagsForResource", get, "/tags", (*Dialect).listTagsForResource},
	}
}
