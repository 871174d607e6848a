package awsiot_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/registry"
)

// TestTooManyClaims: the account is told to come again later, by the only error
// of AWS's model that says so.
func TestTooManyClaims(t *testing.T) {
	s := newServer(t, time.Now)
	s.call(t, http.MethodPost, "/provisioning-templates", members(t, "templateName", "fleet", "enabled", true,
		"provisioningRoleArn", "arn:aws:iam::123456789012:role/provisioning",
		"templateBody", `{"Resources":{"certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"}}}}}`), nil)
	const target = "/provisioning-templates/fleet/provisioning-claim"
	var first struct{ Expiration float64 }
	s.call(t, http.MethodPost, target, "", &first)
	if life := time.Until(time.Unix(int64(first.Expiration), 0)); life < 4*time.Minute || life > 5*time.Minute {
		t.Errorf("the claim lives %v", life)
	}
	fillClaims(t, s.engine)
	w := s.send(t, s.key, http.MethodPost, target, "")
	if w.Code != http.StatusBadRequest || w.Header().Get("X-Amzn-ErrorType") != "ThrottlingException" || !strings.Contains(w.Body.String(), "1000 claims") {
		t.Errorf("%d %s %s", w.Code, w.Header().Get("X-Amzn-ErrorType"), w.Body)
	}
	if strings.Contains(s.log.String(), "PRIVATE KEY") {
		t.Error("the log holds a private key")
	}
}

// fillClaims writes 999 claims past the rules.
func fillClaims(t *testing.T, e registry.Engine) {
	t.Helper()
	err := e.Update(t.Context(), func(tx registry.Tx) error {
		var errs []error
		for i := range 999 {
			text, err := json.Marshal(muster.Certificate{
				Account: account, ID: fmt.Sprintf("%064x", i), Status: muster.Active, Mode: muster.ModeDefault,
				Claim: "fleet", Expires: time.Now().Add(5 * time.Minute), Revision: 1, Generation: "g",
			})
			id, entries, err2 := registry.Index(registry.KindCert, text)
			errs = append(errs, err, err2, tx.Put(registry.KindCert, registry.Doc{ID: id, JSON: text, Index: entries}))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		t.Fatal(err)
	}
}
