package netwatch

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Chatter reports whether all that is new since a state is what any router on a link
// can have the kernel take on at any time, as often as it likes (RFC 4861 6.3.4, RFC
// 4862 5.5.3, RFC 4191): routes by it, routes to prefixes that it advertises,
// addresses in them and their lifetimes; and what mifvif makes of that, the firewall's
// generation included. An address that is gone is no chatter, unless it was mifvif's.
func (s *State) Chatter(since *State) bool {
	return s.Transforms == since.Transforms && slices.Equal(s.Links, since.Links) &&
		slices.Equal(without(s.Rules, Rule.ours), without(since.Rules, Rule.ours)) &&
		slices.Equal(without(s.Routes, Route.routed), without(since.Routes, Route.routed)) &&
		slices.Equal(without(s.Addresses, Address.formed), without(since.Addresses, Address.formed)) &&
		!slices.ContainsFunc(since.Addresses, func(a Address) bool { return a.Protocol != Protocol && !s.has(&a) })
}

func (r Rule) ours() bool { return r.Protocol == Protocol }

// routed reports whether a router may have caused a route.
func (r Route) routed() bool {
	return r.Protocol == Protocol ||
		r.Table == mainTable && r.Dst.Addr().Is6() && (r.Protocol == unix.RTPROT_RA || r.Protocol == unix.RTPROT_KERNEL)
}

// formed reports whether the kernel or mifvif may have formed an address of what a
// router advertises.
func (a Address) formed() bool {
	return a.Protocol == Protocol || a.Prefix.Addr().Is6() && a.Valid != Forever
}

// has reports whether an address is still there, and as usable as it was.
func (s *State) has(a *Address) bool {
	return slices.ContainsFunc(s.Addresses, func(b Address) bool {
		return a.Ifindex == b.Ifindex && a.Prefix == b.Prefix && (a.Tentative || !b.Tentative)
	})
}

// without returns the items that a test does not hold for.
func without[T any](list []T, test func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(list), test)
}
