package scheduler

import (
	"iter"
	"math/bits"

	"mifvif/pvd"
)

// members is a set of domains, each by its place in the snapshot. The zero
// members is empty.
type members [pvd.MaxDomains / 64]uint64

func (m *members) add(i int)      { m[i/64] |= 1 << (i % 64) }
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

func (m *members) empty() bool { return *m == members{} }

// each yields the places in order.
func (m *members) each() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, word := range m {
			for ; word != 0; word &= word - 1 {
				if !yield(i*64 + bits.TrailingZeros64(word)) {
					return
				}
			}
		}
	}
}
