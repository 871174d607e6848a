package fleet

import (
	"context"
	"encoding/json"
	"maps"

	"github.com/muster-mqtt/muster"
)

// Caller asks a program by HTTP POST. It returns the body of an answer of
// success, and an error for anything else: another status, a redirect, an answer
// that is too long or comes too late.
type Caller interface {
	Call(ctx context.Context, url string, body []byte) ([]byte, error)
}

// hookEvent is what a pre-provisioning hook is asked, in the form of AWS's event
// to Lambda (AWS IoT, “Pre-provisioning hooks”, payload version 2020-04-01).
type hookEvent struct {
	ClaimCertificateID string            `json:"claimCertificateId"`
	CertificateID      string            `json:"certificateId"`
	CertificatePEM     string            `json:"certificatePem"`
	TemplateARN        string            `json:"templateArn"`
	ClientID           string            `json:"clientId"`
	Parameters         map[string]string `json:"parameters"`
}

// consult asks the hook of a template, and returns the parameters with what the
// hook puts over them. Whatever is not a clear yes is a no; why, is for the
// operator alone.
func (s *Service) consult(ctx context.Context, hook *muster.Hook, e hookEvent) (map[string]string, error) {
	denied := func(format string, args ...any) (map[string]string, error) {
		r := reject(CodeDenied, "the pre-provisioning hook does not allow it")
		return nil, r.because("pre-provisioning hook %s: "+format, append([]any{hook.TargetARN}, args...)...)
	}
	url, ok := s.hooks[hook.TargetARN]
	if !ok {
		return denied("fleet.hooks does not say where it is; add %s=URL", hook.TargetARN)
	}
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	hookCtx, cancel := context.WithTimeout(ctx, s.hookTimeout)
	defer cancel()
	text, err := s.caller.Call(hookCtx, url, body)
	if err != nil && ctx.Err() != nil { // the server stops: the hook has said nothing
		return nil, ctx.Err()
	}
	if err != nil {
		return denied("%v", err)
	}
	answer, err := readJSON(text)
	if err != nil {
		return denied("its answer cannot be read: %v", err)
	}
	allowed, ok := answer["allowProvisioning"].(bool)
	switch {
	case !ok:
		return denied("its answer has no allowProvisioning that is true or false")
	case !allowed:
		return denied("it said no")
	}
	overrides, err := answer.texts("parameterOverrides")
	if err != nil {
		return denied("its answer cannot be used: %v", err)
	}
	merged := maps.Clone(e.Parameters)
	maps.Copy(merged, overrides)
	return merged, nil
}
