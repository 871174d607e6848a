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
		{"AttachPolicy", put, "/target-policies/{policyName}", (*Dialect).attachPolicy},
		{"DetachPolicy", post, "/target-policies/{policyName}", (*Dialect).detachPolicy},

		{"CreateProvisioningTemplate", post, "/provisioning-templates", (*Dialect).createProvisioningTemplate},

		{"CreateThingType", post, "/thing-types/{thingTypeName}", (*Dialect).createThingType},
		{"CreateThingGroup", post, "/thing-groups/{thingGroupName}", (*Dialect).createThingGroup},
		{"DescribeThing", get, "/things/{thingName}", (*Dialect).describeThing},
		{"ListThings", get, "/things", (*Dialect).listThings},

		{"TagResource", post, "/tags", (*Dialect).tagResource},
		{"UntagResource", post, "/untag", (*Dialect).untagResource},
		{"ListTagsForResource", get, "/tags", (*Dialect).listTagsForResource},
	}
}
