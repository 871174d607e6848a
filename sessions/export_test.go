package sessions

// Break has the store fail as a write does.
func (s *Store) Break(err error) { s.journal.fail(err) }
