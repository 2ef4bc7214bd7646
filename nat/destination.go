package nat

import (
	"cmp"
	"net/netip"
	"slices"

	"mifvif/pvd"
)

// SortDestinations puts addresses of one name in the order in which they are best
// tried inside d: the destination half of RFC 6724 with d's addresses and policy
// table. Those that d has no source for come last. It is stable, and safe for
// concurrent use with different lists.
func SortDestinations(d *pvd.Domain, list []netip.Addr) {
	known := make([]destination, len(list))
	for i, a := range list {
		known[i] = destination{addr: a, source: choose(d, a, true)}
	}
	slices.SortStableFunc(known, func(a, b destination) int { return a.compare(&b, d) })
	for i := range known {
		list[i] = known[i].addr
	}
}

// destination is an address with the source it would be reached from.
type destination struct {
	addr   netip.Addr
	source *pvd.Address // nil: unusable
}

// compare is RFC 6724 section 6; smaller is tried first. Rule 7 (native transport)
// has nothing to decide inside one domain.
func (a *destination) compare(b *destination, d *pvd.Domain) int {
	if a.source == nil || b.source == nil { // rule 1: avoid unusable ones
		return first(a.source != nil, b.source != nil)
	}
	x, y := a.source.Prefix.Addr(), b.source.Prefix.Addr()
	rowA, rowB := policy(d, a.addr), policy(d, b.addr)
	decided := cmp.Or(
		first(scope(a.addr) == scope(x), scope(b.addr) == scope(y)),               // rule 2: matching scope
		first(!a.source.Deprecated, !b.source.Deprecated),                         // rule 3
		first(a.source.Home, b.source.Home),                                       // rule 4
		first(policy(d, x).Label == rowA.Label, policy(d, y).Label == rowB.Label), // rule 5: matching label
		cmp.Compare(rowB.Precedence, rowA.Precedence),                             // rule 6
		cmp.Compare(scope(a.addr), scope(b.addr)),                                 // rule 8: smaller scope
	)
	if decided == 0 && a.addr.Is4() == b.addr.Is4() { // rule 9: longest common prefix
		return cmp.Compare(common(b.source.Prefix, b.addr), common(a.source.Prefix, a.addr))
	}
	return decided
}

// first orders what is true before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
