package hooks

import (
	"fmt"
	"sync"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
)

// OneConnection says whose connections displace each other.
type OneConnection string

// Whose connections displace each other.
const (
	OneAClient      OneConnection = "client"      // those of one client ID, as MQTT has it; the default
	OneACertificate OneConnection = "certificate" // also those of one certificate
)

// soles holds the newest connection of each certificate, where there may be one
// alone; nil lets there be many. It holds as many entries as there are
// connections.
type soles struct {
	mu     sync.Mutex
	newest map[string]*Session // by certificate ID
}

// claim makes a session the only one of its certificate, and closes the one that
// was until then. It comes when nothing keeps the newcomer out any more, so that
// who is refused displaces nobody. Of two that come at once, one finds the other
// here: a kick before the CONNACK is carried out after it.
func (o *soles) claim(s *Session) {
	if o == nil {
		return
	}
	o.mu.Lock()
	old := o.newest[s.candidate.ID]
	o.newest[s.candidate.ID] = s
	o.mu.Unlock()
	if old == nil || old.client.ID == s.client.ID { // mochi takes over the client ID
		return
	}
	old.Kick(muster.ReasonTakenOver, fmt.Sprintf(
		"the same certificate connected from %s as client %.128q, and one connection a certificate is allowed", s.candidate.Remote, s.client.ID))
}

// release forgets a session whose connection has ended.
func (o *soles) release(s *Session) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.newest[s.candidate.ID] == s {
		delete(o.newest, s.candidate.ID)
	}
}

var _ admission.Session = (*Session)(nil)
