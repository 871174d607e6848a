package e2e_test

import "testing"

// refusedDevices is the setting of docs/explain.md: an authority without a
// template, a device that has connected once, and a device of an intermediate
// whose root alone is registered.
const refusedDevices = `
key() { openssl ecparam -genkey -name prime256v1 -noout -out "$1-key.pem"; }
issue() {
  key "$2"
  openssl req -new -key "$2-key.pem" -subj "/CN=$3" |
    openssl x509 -req -CA "$1.pem" -CAkey "$1-key.pem" -CAcreateserial -days 365 -out "$2.pem" "${@:4}" 2> /dev/null
}
publish() {
  mosquitto_pub -h localhost -p "${MUSTER_MQTT##*:}" --cafile "$MUSTER_CA" --cert "$1.pem" --key "$1-key.pem" \
    -i "$1" -q 1 -t "telemetry/$1" -m '{"temperature": 21.5}'
}
cat > device.json << 'EOF'
{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:client/${iot:Certificate.Subject.CommonName}"},
  {"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topic/telemetry/${iot:ClientId}"}]}
EOF
aws iot create-policy --endpoint-url "$AWS_ENDPOINT_URL" --policy-name device --policy-document file://device.json > policy.json
key workshop
openssl req -x509 -new -key workshop-key.pem -days 365 -subj "/CN=Workshop CA" -out workshop.pem
issue workshop proof "$(aws iot get-registration-code --endpoint-url "$AWS_ENDPOINT_URL" --query registrationCode --output text)"
aws iot register-ca-certificate --endpoint-url "$AWS_ENDPOINT_URL" --set-as-active --allow-auto-registration \
  --ca-certificate file://workshop.pem --verification-certificate file://proof.pem > workshop.json
issue workshop sensor-1 sensor-1
publish sensor-1 2> /dev/null && exit 1
printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n' > ca.ext
issue workshop intermediate "Line 3" -extfile ca.ext
issue intermediate line-3 line-3
cat intermediate.pem >> line-3.pem
`

// TestExplainPage runs the page about refusals.
func TestExplainPage(t *testing.T) {
	t.Parallel()
	testPage(t, "../docs/explain.md", refusedDevices)
}
