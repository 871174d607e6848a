package fleet

import (
	"sync"
	"time"

	"github.com/muster-mqtt/muster"
)

// failureInterval is how often a connection's certificate that is refused for the
// same code again and again is told of.
const failureInterval = time.Minute

// maxFailures bounds the memory of when that was.
const maxFailures = 10_000

// failures tells of requests that were refused. Its zero value tells nobody.
type failures struct {
	tell     func(muster.Event)
	remember func(muster.Refusal)

	mu   sync.Mutex
	last map[failure]time.Time
}

type failure struct {
	account, certificate string
	op                   Operation
	code                 Code
}

// note tells of a refused request. The certificate of the connection is that by
// which it can be explained: it is in the device's hands, and the one that was to
// be provisioned may be none.
func (f *failures) note(r Request, a address, why *rejection, now time.Time) {
	detail := "fleet provisioning"
	if a.template != "" {
		detail += " by template " + a.template
	}
	detail += ", " + string(a.op) + ": " + string(why.code) + ": " + short(why.Error())
	if f.remember != nil {
		f.remember(muster.Refusal{
			Time: now, First: now, Count: 1, Account: r.Account, CertificateID: r.CertificateID,
			Reason: muster.ReasonProvisioningFailed, Detail: detail, ClientID: short(r.ClientID), Remote: r.Remote,
		})
	}
	if f.tell == nil || !f.due(failure{r.Account, r.CertificateID, a.op, why.code}, now) {
		return
	}
	f.tell(muster.Event{
		Type: muster.EventProvisioningFailed, Time: now, Account: r.Account, CertificateID: r.CertificateID,
		Reason: muster.ReasonProvisioningFailed, Detail: detail, ClientID: short(r.ClientID), Remote: r.Remote,
	})
}

func (f *failures) due(key failure, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if last, ok := f.last[key]; ok && now.Sub(last) < failureInterval {
		return false
	}
	if f.last == nil || len(f.last) >= maxFailures {
		f.last = map[failure]time.Time{}
	}
	f.last[key] = now
	return true
}
