package awsiot_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestAuthorizationEnds holds that patterns made to be slow, by whoever may write
// policies, do not keep a processor for as long as the request is large.
func TestAuthorizationEnds(t *testing.T) {
	s := newServer(t, time.Now)
	const arn = "arn:aws:iot:us-east-1:123456789012:topic/"
	document := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Publish","Resource":"%s*%sb"}]}`,
		arn, strings.Repeat("?a", 450))
	var names []string
	for i := range 50 {
		name := fmt.Sprintf("slow-%d", i)
		if _, err := s.store.CreatePolicy(t.Context(), account, name, document, nil); err != nil {
			t.Fatal(err)
		}
		names = append(names, `"`+name+`"`)
	}
	topic := `"` + arn + strings.Repeat("a", 2000) + `"`
	info := fmt.Sprintf(`{"actionType":"PUBLISH","resources":[%s%s]}`, strings.Repeat(topic+",", 39), topic)
	body := fmt.Sprintf(`{"policyNamesToAdd":[%s],"authInfos":[%s%s]}`, strings.Join(names, ","), strings.Repeat(info+",", 9), info)
	start := time.Now()
	w := s.send(t, s.key, "POST", "/test-authorization", body)
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "authInfos: it takes more than 2s") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
