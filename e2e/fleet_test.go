package e2e_test

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// TestFleetProvisioning has devices with a claim certificate provision
// themselves, in both encodings, with and without a key of their own, and come
// back with what they got.
func TestFleetProvisioning(t *testing.T) {
	s := startServer(t)
	s.fleetOf(t, nil)
	claim := keyOf(t, s.registered(t, "claim", claimPolicy))
	for i, format := range []string{"json", "cbor"} {
		a := s.applies(t, claim, "factory-"+format, format)
		provision := provisionTopic("pumps")
		if !a.subscribe(append(append(a.answers(createTopic), a.answers(fromCSRTopic)...), a.answers(provision)...)...) {
			t.Fatal("not subscribed")
		}
		made := a.granted(createTopic, object{})
		s.isPending(t, made)
		serial := fmt.Sprint("A", i)
		request := object{"certificateOwnershipToken": made["certificateOwnershipToken"], "parameters": object{"SerialNumber": serial}}
		answer := a.granted(provision, request)
		answer.want(t, "pump-"+serial, "thingName")
		answer.want(t, "https://example.com/"+serial, "deviceConfiguration", "url")
		if again := a.granted(provision, request); fmt.Sprint(again) != fmt.Sprint(answer) {
			t.Errorf("the same request again is answered %v, before %v", again, answer)
		}
		a.refusedFor(provision, object{"certificateOwnershipToken": made["certificateOwnershipToken"],
			"parameters": object{"SerialNumber": serial + "x"}}, 400, "InvalidCertificateOwnershipToken")
		s.worksAs(t, pair(t, made), "pump-"+serial)

		signing, key := csr(t, "pump-B"+fmt.Sprint(i))
		own := a.granted(fromCSRTopic, object{"certificateSigningRequest": signing})
		if own["privateKey"] != nil {
			t.Errorf("%s: a key for a request that has one", format)
		}
		a.granted(provision, object{"certificateOwnershipToken": own["certificateOwnershipToken"],
			"parameters": object{"SerialNumber": "B" + fmt.Sprint(i)}})
		own["privateKey"] = readFile(t, key)
		s.worksAs(t, pair(t, own), "pump-B"+fmt.Sprint(i))
	}
	if text := s.log.text(); strings.Contains(text, "PRIVATE KEY") {
		t.Error("the log holds a private key")
	}
}

// isPending demands that a certificate waits for its provisioning.
func (s *server) isPending(t *testing.T, made object) {
	t.Helper()
	s.call(t, "GET", "/certificates/"+made["certificateId"].(string), nil, nil).want(t, "PENDING_ACTIVATION", "certificateDescription", "status")
	if _, err := s.tries(t, pair(t, made), "early", "json"); err == nil {
		t.Error("admitted before it was provisioned")
	}
}

// worksAs connects with a certificate that was provisioned, and sends itself a
// message.
func (s *server) worksAs(t *testing.T, key tls.Certificate, thing string) {
	t.Helper()
	d := s.applies(t, key, thing, "json")
	topic := "pumps/" + thing
	if !d.subscribe(topic) {
		t.Fatalf("%s may not subscribe", thing)
	}
	if d.subscribe(createTopic + "json/accepted") {
		t.Errorf("%s may subscribe to what its policy does not say", thing)
	}
	d.publish(publication(topic, 1, false))
	eventually(t, 20*time.Second, thing+" hears itself", func() bool { return len(d.messages()) == 1 })
}

func publication(topic string, qos byte, retain bool) *paho.Publish {
	return &paho.Publish{Topic: topic, QoS: qos, Retain: retain}
}

func last(a *applicant) heardMessage {
	all := a.messages()
	return all[len(all)-1]
}

// TestFleetRefusals: what is wrong is told, by its code, and nothing is done.
func TestFleetRefusals(t *testing.T) {
	s := startServer(t)
	s.fleetOf(t, nil)
	s.call(t, "POST", "/provisioning-templates", nil, object{"templateName": "jitp", "type": "JITP",
		"templateBody": template, "enabled": true, "provisioningRoleArn": role})
	claim := s.registered(t, "claim", claimPolicy)
	other := s.registered(t, "other", strings.ReplaceAll(claimPolicy, "plain", "other"))
	for _, format := range []string{"json", "cbor"} {
		a := s.applies(t, keyOf(t, claim), "factory", format)
		b := s.applies(t, keyOf(t, other), "other", format)
		const gone = "InvalidCertificateOwnershipToken"
		for _, who := range []*applicant{a, b} {
			for _, topic := range []string{createTopic, fromCSRTopic, provisionTopic("pumps"), provisionTopic("none"), provisionTopic("jitp")} {
				if !who.subscribe(who.answers(topic)...) {
					t.Fatalf("not subscribed to %s", topic)
				}
			}
		}
		a.refusedFor(createTopic, object{"what": "else"}, 400, "InvalidPayload")
		a.refusedFor(fromCSRTopic, object{}, 400, "InvalidPayload")
		a.refusedFor(fromCSRTopic, object{"certificateSigningRequest": "none"}, 400, "InvalidCertificateSigningRequest")
		made := a.granted(createTopic, nil)
		token := made["certificateOwnershipToken"].(string)
		with := func(token string, parameters any) object {
			return object{"certificateOwnershipToken": token, "parameters": parameters}
		}
		good := object{"SerialNumber": "1"}
		a.refusedFor(provisionTopic("pumps"), with("", good), 400, gone)
		a.refusedFor(provisionTopic("pumps"), with("garbage", good), 400, gone)
		a.refusedFor(provisionTopic("pumps"), with(altered(t, token), good), 400, gone)
		b.refusedFor(provisionTopic("pumps"), with(token, good), 400, gone)
		a.refusedFor(provisionTopic("none"), with(token, good), 404, "ResourceNotFound")
		a.refusedFor(provisionTopic("jitp"), with(token, good), 404, "ResourceNotFound")
		a.refusedFor(provisionTopic("pumps"), with(token, object{}), 400, "InvalidParameters")
		a.refusedFor(provisionTopic("pumps"), with(token, object{"SerialNumber": 7}), 400, "InvalidPayload")
		a.refusedFor(provisionTopic("pumps"), with(token, object{"SerialNumber": "a b"}), 400, "InvalidParameters")
		a.refusedFor(provisionTopic("pumps"), object{"certificateOwnershipToken": token, "parameter": good}, 400, "InvalidPayload")
		s.call(t, "PATCH", "/provisioning-templates/pumps", nil, object{"enabled": false})
		a.refusedFor(provisionTopic("pumps"), with(token, good), 403, "AccessDenied")
		s.call(t, "PATCH", "/provisioning-templates/pumps", nil, object{"enabled": true})
		a.granted(provisionTopic("pumps"), with(token, object{"SerialNumber": "of-" + format}))
	}
	out := s.explain(t, claim.id)
	if !strings.Contains(out.stdout, "provisioning_failed") || !strings.Contains(out.stdout, "fleet provisioning") ||
		!strings.Contains(out.stdout, "docs/fleet.md lists the codes") {
		t.Errorf("muster explain tells nothing of it:\n%s", out.stdout)
	}
}

// TestFleetAnswersAreForOne: whoever else listens hears nothing, and a device
// that does not listen gets no certificate.
func TestFleetAnswersAreForOne(t *testing.T) {
	s := startServer(t)
	s.fleetOf(t, nil)
	claim := keyOf(t, s.registered(t, "claim", claimPolicy))
	spy := s.applies(t, keyOf(t, s.registered(t, "spy", statements(`{"Effect":"Allow","Action":"iot:*","Resource":"*"}`))), "spy", "json")
	if !spy.subscribe("$aws/#", "$aws/certificates/+/+/accepted", "$share/g/"+createTopic+"json/accepted", "plain") {
		t.Fatal("not subscribed")
	}
	a := s.applies(t, claim, "factory", "json")
	s.unheard(t, a)
	if !a.subscribe("$aws/certificates/#") {
		t.Fatal("not subscribed")
	}
	for _, qos := range []byte{0, 1, 2} {
		if answer, accepted := a.send(createTopic, nil, qos); !accepted {
			t.Errorf("QoS %d: %v", qos, answer)
		}
	}
	a.publish(publication(createTopic+"json", 1, true))
	eventually(t, 20*time.Second, "four certificates", func() bool { return a.certificates() == 4 })
	// What the spy hears after this it would have heard before.
	a.publish(publication("plain", 1, false))
	eventually(t, 20*time.Second, "the spy hears what is for it", func() bool { return len(spy.messages()) > 0 && last(spy).topic == "plain" })
	for _, m := range spy.messages() {
		if strings.HasPrefix(m.topic, "$aws/certificates") {
			t.Errorf("the spy hears %s", m.topic)
		}
	}
	later := s.applies(t, claim, "factory", "json")
	if !later.subscribe(createTopic+"json/accepted", createTopic+"json", "plain") {
		t.Fatal("not subscribed")
	}
	if n := len(later.messages()); n != 0 {
		t.Errorf("%d messages were retained or kept", n)
	}
}

// altered changes one bit of a token.
func altered(t *testing.T, token string) string {
	t.Helper()
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	sealed[len(sealed)/2] ^= 1
	return base64.RawURLEncoding.EncodeToString(sealed)
}

// unheard has a client ask that could not hear the answer, and demands that
// nothing is made for it.
func (s *server) unheard(t *testing.T, a *applicant) {
	t.Helper()
	before := len(s.list(t, "/certificates", "certificates", "pageSize", "marker", "nextMarker"))
	from := s.log.len()
	a.publish(publication(createTopic+"json", 1, false))
	s.await(t, from, "nobody listens", func(l line) bool {
		return l.Event == "fleet_refused" && strings.Contains(l.text, "NotSubscribed")
	})
	if !a.subscribe("$share/g/"+createTopic+"json/accepted", createTopic+"json/rejected") {
		t.Fatal("not subscribed")
	}
	a.refusedFor(createTopic, nil, 400, "NotSubscribed")
	if n := len(s.list(t, "/certificates", "certificates", "pageSize", "marker", "nextMarker")); n != before {
		t.Errorf("%d certificates were made", n-before)
	}
}

// TestFleetHooks: a template's hook decides, and its silence is a no.
func TestFleetHooks(t *testing.T) {
	l := newLambda(t)
	s := newServer(t)
	hook := func(name string) string { return "arn:aws:lambda:us-east-1:123456789012:function:" + name }
	hooked := map[string]string{}
	var where []string
	for _, name := range []string{"check", "slow", "moved", "long", "vague"} {
		hooked["pumps-"+name] = hook(name)
		where = append(where, fmt.Sprintf("%q", hook(name)+"="+l.URL+"/"+name))
	}
	hooked["pumps-lost"] = hook("lost")
	told := newReceiver(t)
	s.tell(t, told.URL, told.secret)
	s.configure(t, map[string]string{"hooks": "[" + strings.Join(where, ", ") + "]", "hook_timeout": "1s"})
	s.start(t)
	s.fleetOf(t, hooked)
	claim := s.registered(t, "claim", claimPolicy)
	a := s.applies(t, keyOf(t, claim), "factory", "json")
	a.subscribe("$aws/certificates/#", "$aws/provisioning-templates/#")
	made := a.granted(createTopic, nil)
	with := func(serial string) object {
		return object{"certificateOwnershipToken": made["certificateOwnershipToken"], "parameters": object{"SerialNumber": serial}}
	}
	for _, name := range []string{"slow", "moved", "long", "vague", "lost"} {
		from := s.log.len()
		a.refusedFor(provisionTopic("pumps-"+name), with("1"), 403, "AccessDenied")
		s.await(t, from, "the hook did not say yes", func(l line) bool {
			return l.Event == "fleet_refused" && strings.Contains(l.text, hook(name))
		})
	}
	a.refusedFor(provisionTopic("pumps-check"), with("bad"), 403, "AccessDenied")
	told.await(claim, "certificate.registered >ACTIVE", "certificate.provisioning_failed > provisioning_failed")
	asked := l.last()
	asked.want(t, claim.id, "claimCertificateId")
	asked.want(t, made["certificateId"], "certificateId")
	asked.want(t, made["certificatePem"], "certificatePem")
	asked.want(t, arn("provisioningtemplate/pumps-check"), "templateArn")
	asked.want(t, "factory", "clientId")
	asked.want(t, "bad", "parameters", "SerialNumber")
	a.granted(provisionTopic("pumps-check"), with("moved")).want(t, "pump-elsewhere", "thingName")
	s.call(t, "GET", "/things/pump-elsewhere", nil, nil).want(t, "9", "attributes", "line")
	told.await(&certificate{name: "the pump", id: made["certificateId"].(string)}, "certificate.provisioned PENDING_ACTIVATION>ACTIVE")
	s.worksAs(t, pair(t, made), "pump-elsewhere")
}

// TestProvisioningClaim: an operator's claim certificate lets a device provision
// itself by one template, and do nothing else.
func TestProvisioningClaim(t *testing.T) {
	s := startServer(t)
	s.fleetOf(t, nil)
	s.call(t, "POST", "/provisioning-templates", nil, object{"templateName": "valves",
		"templateBody": fleetTemplate, "enabled": true, "provisioningRoleArn": role})
	claim := s.call(t, "POST", "/provisioning-templates/pumps/provisioning-claim", nil, nil)
	key, err := tls.X509KeyPair([]byte(claim["certificatePem"].(string)), []byte(claim.at("keyPair", "PrivateKey").(string)))
	if err != nil {
		t.Fatal(err)
	}
	owner := s.registered(t, "owner", statements(`{"Effect":"Allow","Action":"iot:*","Resource":"*"}`))
	s.applies(t, keyOf(t, owner), "taken", "json")
	if _, err := s.tries(t, key, "taken", "json"); err == nil {
		t.Error("a claim takes the client ID of another certificate")
	}
	a := s.applies(t, key, "new", "json")
	for filter, want := range map[string]bool{
		createTopic + "json/accepted": true, createTopic + "json/rejected": true,
		provisionTopic("pumps") + "json/accepted": true, provisionTopic("pumps") + "json/rejected": true,
		provisionTopic("valves") + "json/accepted": false, "plain": false, "#": false, "$aws/#": false,
	} {
		if got := a.subscribe(filter); got != want {
			t.Errorf("subscribing to %s: %v, want %v", filter, got, want)
		}
	}
	for topic, want := range map[string]byte{"plain": 0x87, provisionTopic("valves") + "json": 0x87, createTopic + "text": 0x87, createTopic + "json": 0} {
		r, _ := a.Publish(t.Context(), publication(topic, 1, false))
		if r == nil || r.ReasonCode&0x80 != want&0x80 {
			t.Errorf("publishing to %s: %+v, want 0x%02X", topic, r, want)
		}
	}
	made := a.granted(createTopic, nil)
	a.granted(provisionTopic("pumps"), object{"certificateOwnershipToken": made["certificateOwnershipToken"],
		"parameters": object{"SerialNumber": "7"}}).want(t, "pump-7", "thingName")
	s.worksAs(t, pair(t, made), "pump-7")
}
