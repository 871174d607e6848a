package main

import (
	"context"
	"time"

	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/internal/metrics"
	"github.com/muster-mqtt/muster/ocsp"
)

// asker turns the answers of package ocsp into the words of the rules, and counts
// them where a server runs.
func asker(client *ocsp.Client, m *metrics.Metrics) admission.Asker {
	words := map[ocsp.Status]admission.AnswerStatus{
		ocsp.Good: admission.AnswerGood, ocsp.Revoked: admission.AnswerRevoked, ocsp.Unknown: admission.AnswerUnknown,
		ocsp.Unavailable: admission.AnswerUnavailable, ocsp.NoURL: admission.AnswerNoURL,
	}
	return func(ctx context.Context, q admission.Question) admission.Answer {
		if m != nil {
			m.OCSPWaiting(+1)
			defer m.OCSPWaiting(-1)
		}
		begun := time.Now()
		a := client.Check(ctx, ocsp.Question(q))
		if m != nil {
			m.Stage(metrics.StageOCSP, time.Since(begun))
			m.OCSPAnswer(sourceOf(a), metrics.OCSPResult(a.Status.String()))
		}
		status := words[a.Status]
		if a.Fault == ocsp.FaultCrowded { // we are busy, not the responder down
			status = admission.AnswerBusy
		}
		return admission.Answer{Status: status, Hold: a.Hold, Responder: a.Responder, Detail: a.Detail}
	}
}

func sourceOf(a ocsp.Answer) metrics.OCSPSource {
	if a.Source == "" {
		return metrics.OCSPFromNowhere
	}
	return metrics.OCSPSource(a.Source)
}

// ocspObserver joins what package ocsp tells to the metrics; nil for none.
func ocspObserver(m *metrics.Metrics) func(ocsp.Event) {
	if m == nil {
		return nil
	}
	return func(e ocsp.Event) {
		switch e.Kind {
		case ocsp.EventAsked:
			m.OCSPRequest(metrics.OCSPMethod(e.Method), metrics.OCSPResult(e.Status.String()), e.Refresh, e.Took)
			if e.Fault != "" {
				m.OCSPFailure(string(e.Fault))
			}
		case ocsp.EventBrought:
			m.OCSPBrought(metrics.OCSPResult(e.Status.String()))
		case ocsp.EventOpened:
			m.OCSPTrip()
		case ocsp.EventHeldOff:
			m.OCSPNotAsked(metrics.OCSPBreakerOpen)
		case ocsp.EventCrowded:
			m.OCSPNotAsked(metrics.OCSPTooManyWaiting)
		}
	}
}
