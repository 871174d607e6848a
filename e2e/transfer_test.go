package e2e_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster"
)

// accountPolicy lets a device connect and hear everything of its account.
const accountPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`

// plants runs a server with two accounts, each with its own key, an authority of
// the first, and an application in each that hears all that is said there.
func plants(t *testing.T) (first, second *server, factory *authority, hears map[*server]*visitor) {
	t.Helper()
	first = newServer(t)
	first.certify(t)
	first.start(t)
	first.succeeds(t, "account", "create", secondAccount, "--endpoint", secondEndpoint)
	second = first.as(first.newKey(t, secondAccount))
	factory = newAuthority(t, "Factory CA")
	first.register(t, factory, object{})
	for _, s := range []*server{first, second} {
		s.call(t, "POST", "/policies/all", nil, object{"policyDocument": accountPolicy})
	}
	return first, second, factory, map[*server]*visitor{
		first: first.listener(t, "localhost"), second: second.listener(t, secondEndpoint),
	}
}

// TestTransfer moves a device to another account while its program runs: who it
// may be follows its certificate, at each step.
func TestTransfer(t *testing.T) {
	t.Parallel()
	first, second, factory, hears := plants(t)
	pump := factory.device(t, "pump")
	made := first.call(t, "POST", "/certificate/register", nil, object{"certificatePem": readFile(t, pump.cert), "status": "ACTIVE"})
	made.want(t, pump.id, "certificateId")
	first.attach(t, "all", pump)

	first.says(t, pump, "", "at home")
	hears[first].await(t, "at home")
	live := first.enters(t, pump, "")
	first.setStatus(t, pump, "INACTIVE")
	live.closedFor(t, muster.ReasonInactive)
	first.call(t, "POST", "/target-policies/all", nil, object{"target": arn("cert/" + pump.id)})

	offered := first.call(t, "PATCH", "/transfer-certificate/"+pump.id, url.Values{"targetAwsAccount": {secondAccount}},
		object{"transferMessage": "pump of hall 7"})
	offered.want(t, strings.Replace(arn("cert/"+pump.id), accountID, secondAccount, 1), "transferredCertificateArn")
	first.refusedAt(t, pump, "", muster.ReasonPendingTransfer)
	first.refusedAt(t, pump, secondEndpoint, muster.ReasonPendingTransfer)
	first.showsCertificate(t, pump, accountID, "status       PENDING_TRANSFER", "to account "+secondAccount, "(pump of hall 7)")

	list := second.list(t, "/certificates", "certificates", "pageSize", "marker", "nextMarker")
	if len(list) != 2 || list[0]["certificateId"] != pump.id && list[1]["certificateId"] != pump.id {
		t.Errorf("the second account lists %v", list)
	}
	second.call(t, "GET", "/certificates/"+pump.id, nil, nil).want(t, accountID, "certificateDescription", "ownedBy")
	if out := first.succeeds(t, "cert", "list", "--account", secondAccount, "-o", "json"); strings.Contains(out, pump.id) {
		t.Errorf("muster cert list shows what is not accepted yet:\n%s", out)
	}

	second.call(t, "PATCH", "/accept-certificate-transfer/"+pump.id, url.Values{"setAsActive": {"true"}}, nil)
	first.movedTo(t, second, pump, hears)
	first.givenBack(t, second, pump)
}

// movedTo demands that a device belongs to the second account, and to it alone.
func (s *server) movedTo(t *testing.T, second *server, pump *certificate, hears map[*server]*visitor) {
	t.Helper()
	answer := second.call(t, "GET", "/certificates/"+pump.id, nil, nil)
	answer.want(t, secondAccount, "certificateDescription", "ownedBy")
	answer.want(t, accountID, "certificateDescription", "previousOwnedBy")
	answer.want(t, readFile(t, pump.cert), "certificateDescription", "certificatePem")
	answer.want(t, "pump of hall 7", "certificateDescription", "transferData", "transferMessage")
	if _, err := s.api(t.Context(), "GET", "/certificates/"+pump.id, nil, nil); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("the first account still describes it: %v", err)
	}
	s.showsCertificate(t, pump, accountID, "tombstone    transferred to account "+secondAccount)
	s.showsCertificate(t, pump, secondAccount, "status       ACTIVE", "from account "+accountID)

	s.refusedAt(t, pump, "", muster.ReasonPolicyDenied) // the policies of the first account stayed there
	second.call(t, "PUT", "/target-policies/all", nil, object{"target": strings.Replace(arn("cert/"+pump.id), accountID, secondAccount, 1)})
	for _, endpoint := range []string{"", secondEndpoint} { // its firmware need not know
		s.says(t, pump, endpoint, "hello from "+endpoint)
		hears[second].await(t, "hello from "+endpoint)
	}
	s.refusedAt(t, pump, "localhost", muster.ReasonTransferred)
	for _, text := range hears[s].heard() {
		if strings.HasPrefix(text, "hello") {
			t.Errorf("the first account hears %q", text)
		}
	}
}

// givenBack has the second account give the device back, and demands that what it does follows.
func (s *server) givenBack(t *testing.T, second *server, pump *certificate) {
	t.Helper()
	live := s.enters(t, pump, secondEndpoint)
	second.setStatus(t, pump, "INACTIVE")
	live.closedFor(t, muster.ReasonInactive)
	second.call(t, "POST", "/target-policies/all", nil,
		object{"target": strings.Replace(arn("cert/"+pump.id), accountID, secondAccount, 1)})
	second.call(t, "PATCH", "/transfer-certificate/"+pump.id, url.Values{"targetAwsAccount": {accountID}}, nil)
	s.call(t, "PATCH", "/reject-certificate-transfer/"+pump.id, nil, object{"rejectReason": "keep it"})
	second.call(t, "PATCH", "/transfer-certificate/"+pump.id, url.Values{"targetAwsAccount": {accountID}}, nil)
	s.call(t, "PATCH", "/accept-certificate-transfer/"+pump.id, url.Values{"setAsActive": {"true"}}, nil)
	s.attach(t, "all", pump)
	s.says(t, pump, "", "home again")
	s.refusedAt(t, pump, secondEndpoint, muster.ReasonTransferred)
	s.await(t, 0, "it was transferred twice", func(l line) bool {
		return l.Event == "transferred" && l.Certificate == pump.id && strings.Contains(l.text, `"account":"`+secondAccount+`"`)
	})
}

// transferredDevice is the setting of docs/transfers.md: an ACTIVE certificate
// with a policy.
const transferredDevice = `
export AWS_DEFAULT_OUTPUT=text
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=pump -keyout pump-key.pem -out pump.pem 2> /dev/null
publish() {
  mosquitto_pub -h "${MUSTER_MQTT%:*}" -p "${MUSTER_MQTT##*:}" --cafile "$MUSTER_CA" --cert "$1.pem" --key "$1-key.pem" \
    -i "$1" -q 1 -t "said/$1" -m hello 2> /dev/null
}
echo '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}}' > all.json
aws iot create-policy --endpoint-url "$AWS_ENDPOINT_URL" --policy-name all --policy-document file://all.json > policy.txt
aws iot attach-policy --endpoint-url "$AWS_ENDPOINT_URL" --policy-name all --target "$(aws iot register-certificate-without-ca \
  --endpoint-url "$AWS_ENDPOINT_URL" --certificate-pem file://pump.pem --status ACTIVE --query certificateArn)"
publish pump
`

// TestTransfersPage runs the page about transfers.
func TestTransfersPage(t *testing.T) {
	t.Parallel()
	testPage(t, "../docs/transfers.md", transferredDevice)
}
