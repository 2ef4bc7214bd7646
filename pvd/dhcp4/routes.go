package dhcp4

import (
	"net/netip"
	"slices"

	"mifvif/pvd"
	"mifvif/pvd/wire"
)

// maxRoutes is how many routes of one answer are kept.
const maxRoutes = 128

// hop is a route as an option says it; router is zero for an on-link one.
type hop struct {
	dst    netip.Prefix
	router netip.Addr
}

// classless reads option 121 (RFC 3442): prefix length, as many octets of
// destination as that needs, router. ok is false when it does not add up. Bits
// behind the prefix are dropped.
func classless(b []byte) (hops []hop, ok bool) {
	for len(b) > 0 {
		bits := int(b[0])
		n := (bits + 7) / 8
		if bits > 32 || len(b) < 1+n+4 {
			return nil, false
		}
		var dst [4]byte
		copy(dst[:], b[1:1+n])
		hops = append(hops, hop{netip.PrefixFrom(netip.AddrFrom4(dst), bits).Masked(), router(b[1+n:])})
		b = b[1+n+4:]
	}
	return hops, len(hops) > 0
}

// classful reads option 33 (RFC 2132 5.8): pairs of destination and router, the
// former with the mask of its class.
func classful(b []byte) (hops []hop, ok bool) {
	if len(b)%8 != 0 {
		return nil, false
	}
	for pair := range slices.Chunk(b, 8) {
		bits := 24
		switch {
		case pair[0] < 128:
			bits = 8
		case pair[0] < 192:
			bits = 16
		}
		dst := netip.PrefixFrom(netip.AddrFrom4([4]byte(pair)), bits).Masked()
		if dst.Addr().IsUnspecified() {
			return nil, false // a default route is illegal here
		}
		hops = append(hops, hop{dst, router(pair[4:])})
	}
	return hops, true
}

// router reads a router's address; the unspecified one is none.
func router(b []byte) netip.Addr {
	a := netip.AddrFrom4([4]byte(b[:4]))
	if a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

// routes adds next hops and routes to a report about an interface with address
// on. Option 121 says all, a default route or none of it included, and options 3
// and 33 nothing where it is there (RFC 3442). refused counts what could not be:
// a router that is not on the link, is this host or no host at all. A default router
// outside the address's prefix is on the link all the same where there is no other:
// providers lease single addresses.
func (a *Answer) routes(r *pvd.Report, on netip.Prefix) (refused int) {
	value, said := a.options[optRoutes]
	hops, ok := classless(value)
	if !said {
		hops, ok = classful(a.options[optStaticRoutes])
		for i, chunk := range slices.Collect(slices.Chunk(a.options[optRouters], 4)) {
			if len(chunk) < 4 || i == wire.MaxServers {
				refused++
				break
			}
			hops = append(hops, hop{netip.PrefixFrom(netip.IPv4Unspecified(), 0), router(chunk)})
		}
	}
	if !ok {
		refused++
	}
	link := []netip.Prefix{on.Masked()}
	for _, h := range hops {
		if !h.router.IsValid() && possible(h.dst) {
			link = append(link, h.dst)
		}
	}
	lone := !slices.ContainsFunc(hops, func(h hop) bool { return h.dst.Bits() == 0 && reachable(h.router, on, link) })
	for _, h := range hops {
		far := h.router.IsValid() && !reachable(h.router, on, link)
		switch {
		case !h.dst.IsValid(), !possible(h.dst), far && (h.dst.Bits() > 0 || !lone || !neighbour(h.router, on)),
			len(r.Routes)+len(r.NextHops) >= maxRoutes, !said && !h.router.IsValid():
			refused++
		case h.dst.Bits() == 0:
			r.NextHops = append(r.NextHops, pvd.NextHop{Addr: h.router, Metric: len(r.NextHops), Origin: pvd.FromDHCPv4})
		default:
			r.Routes = append(r.Routes, pvd.Route{Dst: h.dst, Via: h.router, Origin: pvd.FromDHCPv4})
		}
	}
	return refused
}

// possible reports whether a route to dst can be meant: not one of this host, of
// groups or of nobody.
func possible(dst netip.Prefix) bool {
	return dst.Bits() == 0 || dst.Bits() == 1 || wire.Server(dst.Addr()) && !dst.Addr().IsMulticast()
}

// reachable reports whether a router is a neighbour by its address.
func reachable(router netip.Addr, on netip.Prefix, link []netip.Prefix) bool {
	return neighbour(router, on) && slices.ContainsFunc(link, func(p netip.Prefix) bool { return p.Contains(router) })
}

// neighbour reports whether a router can be another host of the link.
func neighbour(router netip.Addr, on netip.Prefix) bool {
	return wire.Server(router) && router != on.Addr()
}
