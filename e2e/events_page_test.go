package e2e_test

import "testing"

// listeningServer is the setting of docs/events.md: a receiver's port and key, an
// authority, devices of it and an application that may listen.
const listeningServer = `
key() { openssl ecparam -genkey -name prime256v1 -noout -out "$1-key.pem"; }
root() { key "$1"; openssl req -x509 -new -key "$1-key.pem" -days 365 -subj "/CN=$2" -out "$1.pem"; }
issue() {
  key "$2"
  openssl req -new -key "$2-key.pem" -subj "/CN=$3" |
    openssl x509 -req -CA "$1.pem" -CAkey "$1-key.pem" -CAcreateserial -days 365 -out "$2.pem" 2> /dev/null
}
client() {
  program=$1 name=$2
  shift 2
  stdbuf -oL "$program" -V 5 -h localhost -p "${MUSTER_MQTT##*:}" --cafile "$MUSTER_CA" --cert "$name.pem" --key "$name-key.pem" -i "$name" "$@"
}
publish() { client mosquitto_pub "$1" -t "telemetry/$1" -m hello 2> /dev/null; }
listen() {
  client mosquitto_sub application -d -F 'message %t %p' -C "$1" -t "$2" > heard.txt &
  listener=$!
  until grep -q Subscribed heard.txt; do sleep 0.1; done
}
heard() { wait "$listener"; sed -n 's/^message //p' heard.txt; }
cat > device.json << 'EOF'
{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:client/${iot:Certificate.Subject.CommonName}"},
  {"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topic/telemetry/${iot:ClientId}"}]}
EOF
cat > listener.json << 'EOF'
{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:client/application"},
  {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": "arn:aws:iot:*:*:topicfilter/$aws/events/*"},
  {"Effect": "Allow", "Action": "iot:Receive", "Resource": "arn:aws:iot:*:*:topic/$aws/events/*"}]}
EOF
iot() { aws iot --endpoint-url "$AWS_ENDPOINT_URL" "$@" > answer.json; }
iot create-policy --policy-name device --policy-document file://device.json
iot create-policy --policy-name listener --policy-document file://listener.json
root workshop "Workshop CA"
code=$(aws iot --endpoint-url "$AWS_ENDPOINT_URL" get-registration-code --query registrationCode --output text)
issue workshop proof "$code"
iot register-ca-certificate --set-as-active --allow-auto-registration \
  --ca-certificate file://workshop.pem --verification-certificate file://proof.pem
for name in application lamp-1 lamp-2; do issue workshop "$name" "$name"; done
publish lamp-1 || muster cert approve lamp-1.pem --policy device > approved.txt
publish application || muster cert approve application.pem --policy listener > approved.txt
kill "$server"
wait "$server" || :
PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
openssl rand -hex 32 > webhook.key
chmod 600 webhook.key
sed -i "s|^\( *url:\).*|\1 http://127.0.0.1:$PORT/|; s|^\( *secret:\).*|\1 $PWD/webhook.key|" .muster/muster.yaml
muster serve --mqtt 127.0.0.1:0 --api 127.0.0.1:0 --http 127.0.0.1:0 2> muster.log &
server=$!
trap 'kill $(jobs -p) 2> /dev/null || :' EXIT
until muster health > /dev/null 2>&1; do kill -0 "$server"; sleep 0.1; done
eval "$(muster env)"
`

// TestEventsPage runs the page about events.
func TestEventsPage(t *testing.T) {
	t.Parallel()
	testPage(t, "../docs/events.md", listeningServer)
}
