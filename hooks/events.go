package hooks

import (
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
)

// registered is the payload of $aws/events/certificates/registered/<caId>, by
// which AWS IoT tells that a certificate waits for activation (JITR).
type registered struct {
	CertificateID     string        `json:"certificateId"`
	CACertificateID   string        `json:"caCertificateId"`
	Timestamp         int64         `json:"timestamp"` // of the event, in milliseconds
	CertificateStatus muster.Status `json:"certificateStatus"`
	AccountID         string        `json:"awsAccountId"`
	// RegistrationTimestamp is null in the first event of a certificate and a
	// string of milliseconds in those that repeat it.
	RegistrationTimestamp *string `json:"certificateRegistrationTimestamp"`
}

// eventInterval is how often a pending certificate that keeps on connecting is
// told of.
const eventInterval = time.Minute

// maxEventTimes bounds the memory of when certificates were told of.
const maxEventTimes = 10_000

// eventLimiter remembers when a certificate was last told of.
type eventLimiter struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (l *eventLimiter) allow(id string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.last[id]; ok && now.Sub(last) < eventInterval {
		return false
	}
	if l.last == nil || len(l.last) >= maxEventTimes {
		l.last = map[string]time.Time{}
	}
	l.last[id] = now
	return true
}

// publishPending tells the account's own subscribers of a certificate that
// waits for activation.
func (h *Hook) publishPending(c *admission.Candidate, out admission.Outcome) {
	now := time.Now()
	if !h.events.allow(c.ID, now) {
		return
	}
	e := registered{
		CertificateID: c.ID, CACertificateID: c.Facts.Record.AuthorityID, Timestamp: now.UnixMilli(),
		CertificateStatus: muster.PendingActivation, AccountID: c.Account,
	}
	if out.Repeated {
		ms := strconv.FormatInt(c.Facts.Record.Created.UnixMilli(), 10)
		e.RegistrationTimestamp = &ms
	}
	payload, err := json.Marshal(e)
	if err == nil {
		err = h.server.Publish("$aws/events/certificates/registered/"+e.CACertificateID, payload, false, 0)
	}
	if err != nil {
		h.log.Error().Err(err).Str("certificate", c.ID).Msg("a registration event was not published")
	}
}
