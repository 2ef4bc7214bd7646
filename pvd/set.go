package pvd

import "slices"

// Set is an immutable collection of the domains of one moment, sorted by Name.
// The zero Set is empty and ready to use. Readers share it freely.
type Set struct {
	domains []*Domain
}

// NewSet returns a Set of the given domains; the slice is copied.
func NewSet(domains []*Domain) *Set {
	s := &Set{domains: slices.Clone(domains)}
	slices.SortFunc(s.domains, func(a, b *Domain) int {
		switch {
		case a.Name < b.Name:
			return -1
		case a.Name > b.Name:
			return 1
		}
		return int(a.Slot) - int(b.Slot)
	})
	return s
}

// All returns the domains sorted by name. The caller must not change the slice.
func (s *Set) All() []*Domain {
	if s == nil {
		return nil
	}
	return s.domains
}

// ByName returns the domain of that name, or nil.
func (s *Set) ByName(name string) *Domain {
	for _, d := range s.All() {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// ByKey returns the instance with that key, or nil if it is gone.
func (s *Set) ByKey(k Key) *Domain {
	for _, d := range s.All() {
		if d.Key() == k {
			return d
		}
	}
	return nil
}
