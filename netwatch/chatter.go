package netwatch

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Chatter reports whether all that is new since a state is what any router on a link
// can have the kernel take on at any time, as often as it likes (RFC 4861 6.3.4, RFC
// 4862 5.5.3, RFC 4191): routes by it, routes to prefixes that it advertises,
// addresses in them and their lifetimes. An address that is gone is no chatter.
func (s *State) Chatter(since *State) bool {
	return s.Firewall == since.Firewall && slices.Equal(s.Links, since.Links) && slices.Equal(s.Rules, since.Rules) &&
		slices.Equal(without(s.Routes, routed), without(since.Routes, routed)) &&
		slices.Equal(without(s.Addresses, formed), without(since.Addresses, formed)) &&
		!slices.ContainsFunc(since.Addresses, func(a Address) bool { return !s.has(&a) })
}

// routed reports whether a router may have caused a route.
func routed(r Route) bool {
	return r.Table == mainTable && r.Dst.Addr().Is6() && (r.Protocol == unix.RTPROT_RA || r.Protocol == unix.RTPROT_KERNEL)
}

// formed reports whether the kernel may have formed an address of what a router
// advertises.
func formed(a Address) bool {
	return a.Prefix.Addr().Is6() && a.Valid != Forever && a.Protocol != Protocol
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
