package stack

// Inattentive has every download rest as soon as its uplink has nothing.
func (s *Stack) Inattentive() { s.attentive.Add(attentive) }
