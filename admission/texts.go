package admission

import "sync"

// maxTexts bounds the parsed texts that are kept of one sort.
const maxTexts = 256

// texts keeps what texts mean, so that a fleet that connects has its template
// and the certificate of its issuer parsed once. The zero value is ready.
type texts[T any] struct {
	mu     sync.Mutex
	parsed map[string]T
}

// get returns the meaning of a text, by parse if it is new. A text that does not
// parse is not kept.
func (t *texts[T]) get(text string, parse func(string) (T, error)) (T, error) {
	t.mu.Lock()
	parsed, ok := t.parsed[text]
	t.mu.Unlock()
	if ok {
		return parsed, nil
	}
	parsed, err := parse(text)
	if err != nil {
		return parsed, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.parsed == nil || len(t.parsed) >= maxTexts {
		t.parsed = map[string]T{}
	}
	t.parsed[text] = parsed
	return parsed, nil
}
