package e2e_test

import "testing"

// supervisedDevice is the setting of docs/ocsp.md: an authority, a device of it
// that was approved and names no responder, the answer that it could bring, and
// the root of a responder.
const supervisedDevice = `
key() { openssl ecparam -genkey -name prime256v1 -noout -out "$1-key.pem"; }
root() { key "$1"; openssl req -x509 -new -key "$1-key.pem" -days 365 -subj "/CN=$2" -out "$1.pem"; }
issue() {
  key "$2"
  openssl req -new -key "$2-key.pem" -subj "/CN=$3" |
    openssl x509 -req -CA "$1.pem" -CAkey "$1-key.pem" -CAcreateserial -days 365 -out "$2.pem" 2> /dev/null
}
cat > device.json << 'EOF'
{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:client/${iot:Certificate.Subject.CommonName}"},
  {"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topic/telemetry/${iot:ClientId}"}]}
EOF
aws iot create-policy --endpoint-url "$AWS_ENDPOINT_URL" --policy-name device --policy-document file://device.json > policy.json
root workshop "Workshop CA"
root responder-root "Responder root"
issue workshop proof "$(aws iot get-registration-code --endpoint-url "$AWS_ENDPOINT_URL" --query registrationCode --output text)"
aws iot register-ca-certificate --endpoint-url "$AWS_ENDPOINT_URL" --set-as-active --allow-auto-registration \
  --ca-certificate file://workshop.pem --verification-certificate file://proof.pem > workshop.json
issue workshop sensor-1 sensor-1
mosquitto_pub -h localhost -p "${MUSTER_MQTT##*:}" --cafile "$MUSTER_CA" --cert sensor-1.pem --key sensor-1-key.pem \
  -i sensor-1 -t telemetry/sensor-1 -m early 2> /dev/null && exit 1
muster cert approve sensor-1.pem --policy device > approved.txt
serial=$(openssl x509 -in sensor-1.pem -noout -serial)
printf 'V\t400101000000Z\t\t%s\tunknown\t/CN=sensor-1\n' "${serial#serial=}" > index.txt
openssl ocsp -issuer workshop.pem -cert sensor-1.pem -no_nonce -reqout request.der
openssl ocsp -index index.txt -CA workshop.pem -rsigner workshop.pem -rkey workshop-key.pem -nmin 60 \
  -reqin request.der -respout answer.der
`

// TestOCSPPage runs the page about OCSP.
func TestOCSPPage(t *testing.T) {
	t.Parallel()
	testPage(t, "../docs/ocsp.md", supervisedDevice)
}
