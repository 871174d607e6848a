package admission

import "sync"

// signatures remembers which authority's key signed which certificate. That
// never changes, so nothing is ever invalidated; a device that is refused
// again and again costs one signature check.
type signatures struct {
	mu    sync.Mutex
	known map[[2]string]bool // by certificate and authority ID
}

// maxSignatures bounds the memory to about 3 MB. When it is full, an entry
// that map iteration happens to meet makes room.
const maxSignatures = 10_000

func newSignatures() *signatures { return &signatures{known: map[[2]string]bool{}} }

// check returns what is remembered, or else what verify says. Two callers may
// verify the same pair at once.
func (s *signatures) check(certificateID, authorityID string, verify func() bool) bool {
	key := [2]string{certificateID, authorityID}
	s.mu.Lock()
	signed, ok := s.known[key]
	s.mu.Unlock()
	if ok {
		return signed
	}
	signed = verify()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxSignatures {
		for k := range s.known {
			delete(s.known, k)
			break
		}
	}
	s.known[key] = signed
	return signed
}
