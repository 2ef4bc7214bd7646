package uplinks

import (
	"net/netip"
	"slices"
	"time"

	"mifvif/netwatch"
	"mifvif/pvd"
)

// place is an address on an interface.
type place struct {
	ifindex int
	prefix  netip.Prefix
}

// loan is until when an address is there and preferred; zero is forever.
type loan struct{ valid, preferred time.Time }

// enough is the part of what is left of a lifetime by which another may be longer
// and not be worth a change: routers say the same lifetimes again and again.
const enough = 8

// suffices reports whether l, which the kernel knows, is as good as now.
func (l loan) suffices(now loan, at time.Time) bool {
	return near(l.valid, now.valid, at) && near(l.preferred, now.preferred, at)
}

func near(known, now, at time.Time) bool {
	if known.IsZero() || now.IsZero() {
		return known.Equal(now)
	}
	longer, left := now.Sub(known), known.Sub(at)
	return longer == 0 || longer > 0 && longer <= left/enough
}

// lend puts the addresses in place that domains want because the kernel does not
// form them, and also's. Those that the kernel has with a lifetime that is about
// right are not touched.
func (s *Set) lend(set *pvd.Set, st netwatch.State, also []netwatch.Address) error {
	now := time.Now()
	ours := make(map[place]bool)
	for _, a := range st.Addresses {
		if a.Protocol == netwatch.Protocol {
			ours[place{a.Ifindex, a.Prefix}] = true
		}
	}
	want := slices.Clone(also)
	next, settled := make(map[place]loan), make(map[place]bool)
	for _, d := range set.All() {
		for _, w := range d.Wanted {
			at, l := place{d.Ifindex, w.Prefix}, loan{w.Valid, w.Preferred}
			if _, twice := next[at]; twice {
				continue
			}
			if known, ok := s.lent[at]; ok && ours[at] && known.suffices(l, now) {
				next[at], settled[at] = known, true
				continue
			}
			next[at] = l
			want = append(want, netwatch.Address{Ifindex: d.Ifindex, Prefix: w.Prefix, Valid: until(w.Valid, now), Preferred: until(w.Preferred, now)})
		}
	}
	s.lent = next
	have := slices.DeleteFunc(slices.Clone(st.Addresses), func(a netwatch.Address) bool { return settled[place{a.Ifindex, a.Prefix}] })
	return netwatch.SyncAddresses(have, want) //nolint:wrapcheck // says what and where
}

// until restates an end as a lifetime from now on.
func until(end, now time.Time) time.Duration {
	if end.IsZero() {
		return netwatch.Forever
	}
	return max(end.Sub(now), 0)
}
