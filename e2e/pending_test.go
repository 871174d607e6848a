package e2e_test

import "testing"

// waitingDevices is the setting of docs/pending.md: two authorities without a
// template, and devices that have connected once.
const waitingDevices = `
key() { openssl ecparam -genkey -name prime256v1 -noout -out "$1-key.pem"; }
authority() {
  key "$1"
  openssl req -x509 -new -key "$1-key.pem" -days 365 -subj "/CN=$2" -out "$1.pem"
  issue "$1" proof "$code"
  aws iot register-ca-certificate --endpoint-url "$AWS_ENDPOINT_URL" --set-as-active --allow-auto-registration \
    --ca-certificate "file://$1.pem" --verification-certificate file://proof.pem > "$1.json"
}
issue() {
  key "$2"
  openssl req -new -key "$2-key.pem" -subj "/CN=$3" |
    openssl x509 -req -CA "$1.pem" -CAkey "$1-key.pem" -CAcreateserial -days 365 -out "$2.pem" 2> /dev/null
}
publish() {
  mosquitto_pub -h localhost -p "${MUSTER_MQTT##*:}" --cafile "$MUSTER_CA" --cert "$1.pem" --key "$1-key.pem" \
    -i "$1" -q 1 -t "telemetry/$1" -m '{"temperature": 21.5}'
}
code=$(aws iot get-registration-code --endpoint-url "$AWS_ENDPOINT_URL" --query registrationCode --output text)
cat > device.json << 'EOF'
{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:client/${iot:Certificate.Subject.CommonName}"},
  {"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topic/telemetry/${iot:ClientId}"}]}
EOF
aws iot create-policy --endpoint-url "$AWS_ENDPOINT_URL" --policy-name device --policy-document file://device.json > policy.json
authority workshop "Workshop CA"
authority lab "Lab CA"
for name in sensor-1 sensor-2 sensor-3; do issue workshop "$name" "$name"; done
for name in lab-7 lab-8; do issue lab "$name" "$name"; done
for name in sensor-1 sensor-2 sensor-3 lab-7 lab-8; do publish "$name" 2> /dev/null && exit 1; done
`

// TestPendingPage runs the page about devices that wait.
func TestPendingPage(t *testing.T) {
	t.Parallel()
	testPage(t, "../docs/pending.md", waitingDevices)
}
