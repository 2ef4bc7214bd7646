package scheduler

import (
	"math/bits"

	"mifvif/pvd"
)

// members is a set of domains, each by its place in the snapshot. The zero
// members is empty.
type members [pvd.MaxDomains / 64]uint64

func (m *members) add(i int)      { m[i/64] |= 1 << (i % 64) }
func (m *members) remove(i int)   { m[i/64] &^= 1 << (i % 64) }
func (m *members) has(i int) bool { return m[i/64]&(1<<(i%64)) != 0 }

// and returns what is in both.
func (m members) and(o *members) members {
	for i := range m {
		m[i] &= o[i]
	}
	return m
}

// without returns what is in m and not in o.
func (m members) without(o *members) members {
	for i := range m {
		m[i] &^= o[i]
	}
	return m
}

// meets reports whether a member is in both.
func (m *members) meets(o *members) bool {
	for i := range m {
		if m[i]&o[i] != 0 {
			return true
		}
	}
	return false
}

func (m *members) empty() bool { return *m == members{} }

// next returns the first member at place i or after it, -1 if there is none.
func (m *members) next(i int) int {
	for w := i / 64; w < len(m); w++ {
		word := m[w]
		if w == i/64 {
			word &= ^uint64(0) << (i % 64)
		}
		if word != 0 {
			return w*64 + bits.TrailingZeros64(word)
		}
	}
	return -1
}
