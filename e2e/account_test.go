package e2e_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/muster-mqtt/muster/api/admin"
)

const (
	secondAccount  = "210987654321"
	secondEndpoint = "plant-2.example.test"
)

// certify gives the server a certificate for the endpoints of two accounts.
func (s *server) certify(t *testing.T) {
	t.Helper()
	root := newAuthority(t, "Server root")
	leaf := root.issue(t, "server", curve,
		"basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost,IP:127.0.0.1,DNS:"+secondEndpoint+"\n")
	for name, from := range map[string]string{"ca.pem": root.cert, "server.pem": leaf.cert, "server-key.pem": leaf.key} {
		writeFile(t, s.path(name), readFile(t, from))
	}
}

// as returns the server as the holder of another access key sees it.
func (s *server) as(k admin.Key) *server {
	other := *s
	other.vars = maps.Clone(s.vars)
	other.vars["AWS_ACCESS_KEY_ID"], other.vars["AWS_SECRET_ACCESS_KEY"] = k.ID, k.Secret
	return &other
}

// newKey makes an access key by the command line.
func (s *server) newKey(t *testing.T, account string) (k admin.Key) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.succeeds(t, "key", "create", "--account", account, "-o", "json")), &k); err != nil {
		t.Fatal(err)
	}
	return k
}

// TestTwoAccounts makes a second account on the running server: its devices,
// authorities and keys are its own.
func TestTwoAccounts(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.certify(t)
	s.start(t)
	made := s.succeeds(t, "account", "create", secondAccount, "--endpoint", secondEndpoint)
	if want := "Made account " + secondAccount + ".\nNext: muster key create --account " + secondAccount + "\n"; made != want {
		t.Errorf("made: %s", made)
	}
	if got, want := s.succeeds(t, "account", "list"), accountID+"  localhost\n"+secondAccount+"  "+secondEndpoint+"\n"; got != want {
		t.Errorf("accounts: %s, want %s", got, want)
	}
	second := s.as(s.newKey(t, secondAccount))
	if got := second.call(t, "GET", "/endpoint", nil, nil)["endpointAddress"]; got != secondEndpoint {
		t.Errorf("the endpoint of the second account is %v", got)
	}

	// Each account has an authority and a device, both of the same names.
	devices := map[string]*device{}
	for account, at := range map[string]*server{accountID: s, secondAccount: second} {
		at.call(t, "POST", "/policies/device", nil, object{"policyDocument": devicePolicy})
		plant := newAuthority(t, "Plant CA")
		at.register(t, plant, object{})
		devices[account] = newDevice(t, massProduction(t, plant), "pump")
	}
	devices[secondAccount].endpoint = secondEndpoint
	both := []*device{devices[accountID], devices[secondAccount]}
	s.connectAll(t, both, func(p progress) {
		if p.ended && p.err == nil {
			t.Errorf("%s was let in", p.device.id)
		}
	})
	fails(t, s.operator(t, "cert", "list"), 1, accountID, secondAccount, "--account")
	for account, d := range devices {
		got := s.waiting(t, "--account", account)
		if len(got) != 1 || got[0].ID != d.id || got[0].Account != account {
			t.Errorf("in account %s there wait %+v", account, got)
		}
		s.succeeds(t, "cert", "approve", "--all", "--yes", "--account", account, "--policy", "device")
	}
	s.connectedAtOnce(t, both)

	// The endpoint decides: the other account does not know the device.
	stray := *devices[accountID]
	stray.endpoint = secondEndpoint
	s.connectAll(t, []*device{&stray}, func(p progress) {
		if p.ended && p.err == nil {
			t.Error("a device of one account was let in by another")
		}
	})
	fails(t, s.operator(t, "cert", "show", "--account", secondAccount, stray.id), 1, stray.id, secondAccount)
	answer := second.call(t, "GET", "/certificates", nil, nil)
	if list, _ := answer["certificates"].([]any); len(list) != 1 || list[0].(map[string]any)["certificateId"] != devices[secondAccount].id {
		t.Errorf("the second account lists %v", answer)
	}
}

// connectedAtOnce demands that devices of one client ID are all connected at the
// same time: each account has its own.
func (s *server) connectedAtOnce(t *testing.T, devices []*device) {
	t.Helper()
	roots, err := s.roots("MUSTER_CA")
	if err != nil {
		t.Fatal(err)
	}
	from := s.log.len()
	for _, d := range devices {
		closeDevice, err := d.connect(t.Context(), s.vars["MUSTER_MQTT"], roots)
		if err != nil {
			t.Fatalf("%s at %q: %v", d.name, d.endpoint, err)
		}
		defer closeDevice()
	}
	if n := s.metric(t, "muster_connections"); n != float64(len(devices)) {
		t.Errorf("%v are connected, want %d\n%s", n, len(devices), s.log.text())
	}
	if l, ok := s.log.find(from, func(l line) bool { return l.Event == "kicked" }); ok {
		t.Errorf("one took the other's place: %s", l.text)
	}
}

// TestAccessKeys: what the command line says of a key holds from the moment in
// which it ends.
func TestAccessKeys(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	k := s.newKey(t, accountID)
	holder := s.as(k)
	if out := holder.awsCommand(t, "list-certificates"); out.code != 0 {
		t.Fatalf("with a new key: %+v", out)
	}
	works := func() error {
		_, err := holder.api(t.Context(), "GET", "/certificates", nil, nil)
		return err
	}
	for range 5 {
		if got := s.succeeds(t, "key", "disable", k.ID); got != k.ID+" is disabled\n" {
			t.Errorf("disable: %s", got)
		}
		if err := works(); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("a disabled key: %v", err)
		}
		s.succeeds(t, "key", "enable", k.ID)
		if err := works(); err != nil {
			t.Errorf("an enabled key: %v", err)
		}
	}
	s.succeeds(t, "key", "disable", k.ID)
	list := s.succeeds(t, "key", "list")
	if strings.Count(list, "\n") != 2 || !strings.Contains(list, k.ID+"  "+accountID+"  disabled") || strings.Contains(list, k.Secret) {
		t.Errorf("the keys are\n%s", list)
	}
	s.succeeds(t, "key", "delete", k.ID)
	if err := works(); err == nil {
		t.Error("a deleted key signs")
	}
	for _, verb := range []string{"disable", "enable", "delete"} {
		fails(t, s.operator(t, "key", verb, k.ID), 1, "access key "+k.ID, "not found")
	}
	fails(t, s.operator(t, "key", "create", "--account", "999999999999"), 1, "999999999999", "not found")
	fails(t, s.operator(t, "key", "create", "now"), 2, "now")
	fails(t, s.operator(t, "account", "create", "12"), 1, "12 digits")
	fails(t, s.operator(t, "account", "create", accountID), 1, accountID, "already exists")
	fails(t, s.operator(t, "account", "create", secondAccount, "--endpoint", "LOCALHOST"), 1, "LOCALHOST", "already exists")
	if strings.Contains(s.log.text(), k.Secret) {
		t.Error("the log has a secret")
	}

	// Without a server, and in the form of the AWS tools.
	s.stop(t)
	out := s.operator(t, "key", "create")
	id, secret := credential(out.stdout, "aws_access_key_id"), credential(out.stdout, "aws_secret_access_key")
	if out.code != 0 || out.stderr != "" || !strings.Contains(out.stdout, "\n[default]\n") || id == "" || secret == "" {
		t.Fatalf("a key without a server: exit %d\n%s", out.code, out.stderr)
	}
	s.start(t)
	if out := s.as(admin.Key{ID: id, Secret: secret}).awsCommand(t, "list-certificates"); out.code != 0 {
		t.Errorf("with a key made without a server: %+v", out)
	}
	if _, err := s.as(admin.Key{ID: k.ID, Secret: k.Secret}).api(t.Context(), "GET", "/certificates", nil, nil); err == nil {
		t.Error("a deleted key came back")
	}
}

// credential reads a line of a credentials file.
func credential(text, name string) string {
	_, rest, _ := strings.Cut(text, name+" = ")
	value, _, _ := strings.Cut(rest, "\n")
	return value
}
