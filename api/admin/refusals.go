package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/admission"
)

// RefusalQuestion asks what is remembered of refused devices, those that ended
// before their certificate was seen among them.
type RefusalQuestion struct {
	From  string `json:"from,omitempty"`  // the IP address that they came from, with or without a port; "" for all
	Limit int    `json:"limit,omitempty"` // how many at most; 0 stands for 20
}

// RefusalList is the answer, the latest first.
type RefusalList struct {
	Refusals []Refusal `json:"refusals"`
}

// Refusal is a remembered refusal, with what it was of and what would mend it.
type Refusal struct {
	muster.Refusal
	Subject    string `json:"subject,omitempty"`    // of the certificate, where one was seen
	ServerName string `json:"serverName,omitempty"` // that the device sent
	Mend       string `json:"mend,omitempty"`
}

// Numbers of refusals in an answer.
const (
	usualRefusals = 20
	maxRefusals   = 1000
)

// Refusals answers it. It wraps muster.ErrInvalid when the question makes no
// sense.
func (a *Admin) Refusals(_ context.Context, q RefusalQuestion) (RefusalList, error) {
	switch {
	case q.Limit == 0:
		q.Limit = usualRefusals
	case q.Limit < 0 || q.Limit > maxRefusals:
		return RefusalList{}, fmt.Errorf("%d refusals are asked for; it is 1 to %d: %w", q.Limit, maxRefusals, muster.ErrInvalid)
	}
	if q.From == "" {
		return RefusalList{withMends(a.config.Memory.Recent(q.Limit))}, nil
	}
	host := q.From
	if h, _, err := net.SplitHostPort(q.From); err == nil {
		host = h
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return RefusalList{}, fmt.Errorf("%q is no IP address, such as 192.0.2.7 or 2001:db8::7: %w", q.From, muster.ErrInvalid)
	}
	return RefusalList{withMends(a.config.Memory.From(address, q.Limit))}, nil
}

func withMends(remembered []muster.Refusal) []Refusal {
	refusals := make([]Refusal, 0, len(remembered))
	for _, r := range remembered {
		var then admission.Facts
		_ = json.Unmarshal(r.Facts, &then) // a mend without names is better than none
		refusals = append(refusals, Refusal{r, then.Leaf.Subject, then.SNI, admission.Mend(r.Reason, then)})
	}
	return refusals
}
