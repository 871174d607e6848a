package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// everyone makes a crowd of a few connects.
var everyone = map[string]string{"connects": "2"}

// crowded makes one of a few devices: two connects of an authority at once, one
// registration, one session that is kept. The timeout is that of OCSP.
var crowded = map[string]string{"connects_per_authority": "1", "registrations": "1", "sessions": "1", "timeout": "30s"}

func crowdedWalks() map[string]func(*walker) {
	return map[string]func(*walker){
		"connects-authority":  authorityRateWalk,
		"registrations-limit": registrationsWalk,
		"sessions-limit":      sessionsWalk,
	}
}

// authorityRateWalk has a device connect until its authority's rate is used up,
// in each version of MQTT.
func authorityRateWalk(w *walker) {
	g := w.registered(object{"registrationConfig": object{"templateBody": `{"Resources": {` + only, "roleArn": role}}, nil)
	ctx, cancel := w.within()
	defer cancel()
	eventually(w.t, 20*time.Second, "MQTT 5 is told "+w.connack, func() bool {
		ack, _ := w.connect(ctx, g, nil)
		return ack != nil && ack.ReasonCode == 0x9F && exactly(w.told).MatchString(reasonOf(ack))
	})
	eventually(w.t, 20*time.Second, "MQTT 3.1.1 is told "+w.connack, func() bool {
		code, err := w.connectOld(g)
		return err == nil && w.connack == fmt.Sprintf("0x9F %d", code)
	})
	w.tells(g)
}

func reasonOf(ack *paho.Connack) string {
	if ack.Properties == nil {
		return ""
	}
	return ack.Properties.ReasonString
}

// registrationsWalk holds one new device at a responder that begins an answer and
// does not end it, while another comes.
func registrationsWalk(w *walker) {
	asked, release := stallingResponder(w.t)
	hard := object{"tags": []object{{"Key": "muster:ocsp", "Value": "hard"}}}
	slow, fast := newAuthority(w.t, w.name+" slow CA"), newAuthority(w.t, w.name+" CA")
	w.s.register(w.t, slow, hard)
	w.s.register(w.t, fast, hard)
	w.openssl = slow
	first := w.supervised(freshSerial, asked.url)
	w.openssl = fast
	second := w.supervised(goodSerial, startResponder(w.t, fast).url)

	ctx, cancel := w.within()
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = w.connect(ctx, first, nil)
	}()
	select {
	case <-asked.came:
	case <-ctx.Done():
		w.t.Fatal("the responder was not asked about the first device")
	}
	w.connects5(second)
	w.connects3(second)
	release()
	<-ended
	w.tells(second)
}

// sessionsWalk begins the one session that there may be, and then another.
func sessionsWalk(w *walker) {
	g := w.alone("ACTIVE", statements(neighbourPolicy))
	g.keeps, g.client = true, "first"
	ctx, cancel := w.within()
	defer cancel()
	if ack, err := w.connect(ctx, g, nil); err != nil || ack.ReasonCode != 0 {
		w.t.Fatalf("the first session: %+v, %v", ack, err)
	}
	g.client = "second"
	w.refused(g)
}

type stalling struct {
	url  string
	came chan struct{} // closed when it was asked
}

// stallingResponder sends the header of an answer, and the connection's end when
// it is released.
func stallingResponder(t *testing.T) (s stalling, release func()) {
	t.Helper()
	s.came = make(chan struct{})
	held := make(chan struct{})
	var once sync.Once
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/ocsp-response")
		w.Header().Set("Content-Length", "500")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		once.Do(func() { close(s.came) })
		<-held
	}))
	release = sync.OnceFunc(func() { close(held) })
	t.Cleanup(func() { release(); server.Close() })
	s.url = server.URL
	return s, release
}
