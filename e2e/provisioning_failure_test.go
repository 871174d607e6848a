package e2e_test

import (
	"strings"
	"testing"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/muster-mqtt/muster"
)

// TestProvisioningFailure: why a template failed is told wherever an operator
// looks, until it works.
func TestProvisioningFailure(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	s := newServer(t)
	s.tell(t, r.URL+"/hook", r.secret)
	s.start(t)
	s.prepare(t)
	factory := newAuthority(t, "Factory CA")
	s.register(t, factory, provisioned())
	s.call(t, "DELETE", "/thing-groups/hall", nil, nil)
	const why = `the thing "lamp" cannot be made`

	lamp := factory.device(t, "lamp")
	s.refuse(t, lamp, muster.ReasonProvisioningFailed)
	r.await(lamp, "certificate.registered >PENDING_ACTIVATION",
		"certificate.provisioning_failed >PENDING_ACTIVATION provisioning_failed",
		"device.refused >PENDING_ACTIVATION provisioning_failed")
	s.await(t, 0, "the template failed", func(l line) bool {
		return l.Event == "provisioning_failed" && l.Certificate == lamp.id && strings.Contains(l.text, "cannot be made")
	})
	if n := s.metric(t, `muster_registrations_total{outcome="failed"}`); n < 1 {
		t.Errorf("the metrics know of %v failed registrations", n)
	}
	s.explained(t, lamp.cert, why, "mend: correct what the failure names")
	if told := s.describedFailure(t, lamp); !strings.HasPrefix(told, why) || !strings.Contains(told, "hall") {
		t.Errorf("beside DescribeCertificate stands %q", told)
	}

	s.call(t, "POST", "/thing-groups/hall", nil, object{})
	s.admit(t, v5, lamp)
	r.await(lamp, "certificate.provisioned PENDING_ACTIVATION>ACTIVE")
	if told := s.describedFailure(t, lamp); told != "" {
		t.Errorf("beside DescribeCertificate still stands %q", told)
	}
}

// describedFailure is the header of an answer, as the AWS SDK shows it.
func (s *server) describedFailure(t *testing.T, c *certificate) string {
	t.Helper()
	client := s.sdk(t, accountID, &called{names: map[string]bool{}})
	out := do(t, client.DescribeCertificate, &iot.DescribeCertificateInput{CertificateId: &c.id})
	raw, ok := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response)
	if !ok {
		t.Fatal("the SDK does not show the response")
	}
	return raw.Header.Get("X-Muster-Provisioning-Failure")
}
