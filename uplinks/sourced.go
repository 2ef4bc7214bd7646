package uplinks

import (
	"net/netip"
	"slices"

	"mifvif/netwatch"
	"mifvif/pvd"
)

// maxSourced bounds the routes by source of one domain.
const maxSourced = 4096

// way says which of a domain's default routers carry packets from a prefix: those
// that advertised it, whatever preference they have (RFC 8028 3.1).
type way struct {
	from    netip.Prefix
	routers []netip.Addr // in the order of the domain's next hops
}

// waysOf returns the ways of the domain's own IPv6 addresses. It returns none where
// all routers carry all of them: then a table needs no routes by source.
func waysOf(d *pvd.Domain) []way {
	var routers []netip.Addr
	for _, h := range d.NextHops {
		if h.Is6 && h.Addr.IsValid() {
			routers = append(routers, h.Addr)
		}
	}
	var ways []way
	differ := false
	for _, a := range d.Addresses {
		w, ok := wayOf(d, a.Prefix.Addr(), routers)
		if ok && !slices.ContainsFunc(ways, func(o way) bool { return o.from == w.from }) {
			ways = append(ways, w)
			differ = differ || len(w.routers) < len(routers)
		}
	}
	if !differ {
		return nil
	}
	return ways
}

// wayOf returns the way of one address; false if none of the routers advertised a
// prefix of it, so that each is as good as the others.
func wayOf(d *pvd.Domain, a netip.Addr, routers []netip.Addr) (w way, ok bool) {
	for _, r := range routers {
		carries := false
		for _, ad := range d.Adverts {
			if ad.Router != r || !ad.Prefix.Contains(a) {
				continue
			}
			carries = true
			if !ok || ad.Prefix.Bits() > w.from.Bits() {
				w.from, ok = ad.Prefix, true
			}
		}
		if carries {
			w.routers = append(w.routers, r)
		}
	}
	return w, ok
}

// bySource restates routes of a table, none of them on-link, for the sources that
// have ways of their own. Those by a router that advertised prefixes are for its
// prefixes only; to their destinations other sources go by routers of their own.
// What a router without prefixes, or one that is no default router, says of single
// destinations holds for all sources: nobody else leads there.
func bySource(ways []way, routes []netwatch.Route) []netwatch.Route {
	var out []netwatch.Route
	for _, r := range routes {
		if !r.Dst.Addr().Is6() || !partial(ways, r.Gateway) && r.Dst.Bits() > 0 {
			out = append(out, r)
			continue
		}
		if len(out)+len(ways) > maxSourced && r.Dst.Bits() > 0 {
			continue
		}
		out = append(out, r)
		for _, w := range ways {
			one := r
			one.From, one.Source = w.from, netip.Addr{}
			switch {
			case slices.Contains(w.routers, r.Gateway):
			case r.Dst.Bits() == 0:
				continue
			default:
				one.Gateway, one.OnLink = w.routers[0], false
			}
			out = append(out, one)
		}
	}
	return out
}

// partial reports whether a router carries the packets of some prefixes only.
func partial(ways []way, router netip.Addr) bool {
	return slices.ContainsFunc(ways, func(w way) bool { return slices.Contains(w.routers, router) }) &&
		slices.ContainsFunc(ways, func(w way) bool { return !slices.Contains(w.routers, router) })
}

// carried returns the source that packets by a router are to have whose app has
// chosen none: a fresh address of a prefix that it advertised (RFC 6724 rule 5.5),
// a temporary one before others (rule 7). Without ways it is as hint says.
func carried(d *pvd.Domain, ways []way, h pvd.NextHop) netip.Addr {
	if !h.Is6 || len(ways) == 0 {
		return hint(d, &h)
	}
	var best netip.Addr
	temporary := false
	for _, a := range d.Addresses {
		if a.Deprecated || !slices.Contains(along(ways, a.Prefix.Addr()).routers, h.Addr) {
			continue
		}
		if better := a.Temporary && !temporary && !d.PreferPublic; !best.IsValid() || better {
			best, temporary = a.Prefix.Addr(), a.Temporary
		}
	}
	return best
}

// along returns the way of an address, the zero way if it has none.
func along(ways []way, a netip.Addr) (best way) {
	for _, w := range ways {
		if w.from.Contains(a) && (!best.from.IsValid() || w.from.Bits() > best.from.Bits()) {
			best = w
		}
	}
	return best
}
