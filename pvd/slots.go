package pvd

// slots hands out the small numbers that tables and marks are made from. A
// number that was given back is used again as late as possible, so that nothing
// of an old domain is taken for a new one's.
type slots struct {
	used [MaxDomains]bool
	next int
}

// take returns a free slot, or reports that there is none.
func (s *slots) take() (uint16, bool) {
	for range MaxDomains {
		i := s.next
		s.next = (s.next + 1) % MaxDomains
		if !s.used[i] {
			s.used[i] = true
			return uint16(i), true
		}
	}
	return 0, false
}

// release gives a slot back.
func (s *slots) release(slot uint16) { s.used[slot] = false }
