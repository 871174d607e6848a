package admission

import (
	"sync"

	"github.com/muster-mqtt/muster/provisioning"
)

// maxTemplates bounds the parsed templates that are kept, by their text.
const maxTemplates = 256

// templates keeps templates parsed, so that a fleet that connects for the first
// time parses its template once. The zero value is ready.
type templates struct {
	mu     sync.Mutex
	parsed map[string]*provisioning.Template
}

func (t *templates) parse(body string) (*provisioning.Template, error) {
	t.mu.Lock()
	parsed, ok := t.parsed[body]
	t.mu.Unlock()
	if ok {
		return parsed, nil
	}
	parsed, err := provisioning.Parse([]byte(body))
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.parsed == nil || len(t.parsed) >= maxTemplates {
		t.parsed = map[string]*provisioning.Template{}
	}
	t.parsed[body] = parsed
	return parsed, nil
}
