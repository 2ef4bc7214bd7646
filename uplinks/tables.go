package uplinks

import (
	"net/netip"

	"mifvif/netwatch"
	"mifvif/pvd"
)

// Metrics inside a domain's table. Next hops keep the order they have in the
// domain; the refusal at the end is worse than anything.
const (
	metricOnLink = 1
	metricHop    = 100
	metricRefuse = 1 << 30
)

// localTable holds copies of the host's own networks that are no uplinks: rule
// 6411 sends everything there first, so that replies to the LAN, to containers
// and virtual machines stay there whatever their source.
const localTable = 64181

// mainTable is the kernel's main routing table.
const mainTable = 254

// tableOf returns the routes of one domain's table.
func tableOf(d *pvd.Domain) []netwatch.Route {
	var routes []netwatch.Route
	add := func(r netwatch.Route) {
		r.Table = d.Table()
		routes = append(routes, r)
	}
	if d.State == pvd.Online || d.State == pvd.Degraded || d.State == pvd.Captive || d.State == pvd.Draining {
		for _, r := range connected(d) {
			add(r)
		}
		for _, r := range d.Routes {
			add(netwatch.Route{Dst: r.Dst, Gateway: r.Via, Ifindex: d.Ifindex, Metric: metricHop, OnLink: r.Via.IsValid() && !onLink(d, r.Via)})
		}
		for i, h := range d.NextHops {
			add(netwatch.Route{
				Dst: anyPrefix(h.Is6), Gateway: h.Addr, Ifindex: d.Ifindex, Metric: metricHop + i,
				Source: preferred(d, h.Is6), OnLink: h.Addr.IsValid() && h.Addr.Is6() == h.Is6 && !onLink(d, h.Addr),
			})
		}
		if d.P2P && len(d.NextHops) == 0 {
			for _, p := range d.Prefixes {
				add(netwatch.Route{Dst: p.Masked(), Ifindex: d.Ifindex, Metric: metricHop})
			}
		}
	}
	add(netwatch.Route{Type: netwatch.Unreachable, Dst: anyPrefix(false), Metric: metricRefuse})
	add(netwatch.Route{Type: netwatch.Unreachable, Dst: anyPrefix(true), Metric: metricRefuse})
	return routes
}

// connected returns the on-link prefixes of a domain, each once.
func connected(d *pvd.Domain) []netwatch.Route {
	seen := make(map[netip.Prefix]bool)
	var routes []netwatch.Route
	for _, a := range d.Addresses {
		p := a.Prefix.Masked()
		if seen[p] || a.Prefix.Bits() == a.Prefix.Addr().BitLen() {
			continue
		}
		seen[p] = true
		routes = append(routes, netwatch.Route{Dst: p, Ifindex: d.Ifindex, Metric: metricOnLink})
	}
	if len(d.Addresses) > 0 && hasFamily(d, true) {
		routes = append(routes, netwatch.Route{Dst: netip.MustParsePrefix("fe80::/64"), Ifindex: d.Ifindex, Metric: metricOnLink})
	}
	return routes
}

func hasFamily(d *pvd.Domain, is6 bool) bool {
	for _, a := range d.Addresses {
		if a.Prefix.Addr().Is6() == is6 {
			return true
		}
	}
	return false
}

// onLink reports whether a is in one of d's prefixes, or link-local.
func onLink(d *pvd.Domain, a netip.Addr) bool {
	if a.IsLinkLocalUnicast() {
		return true
	}
	for _, have := range d.Addresses {
		if have.Prefix.Masked().Contains(a) {
			return true
		}
	}
	return false
}

// preferred returns the source hint of a default route: the first address of
// the family that is neither deprecated nor temporary, zero if there is none.
func preferred(d *pvd.Domain, is6 bool) netip.Addr {
	for _, a := range d.Addresses {
		if a.Prefix.Addr().Is6() == is6 && !a.Deprecated && !a.Temporary {
			return a.Prefix.Addr()
		}
	}
	return netip.Addr{}
}

// localRoutes copies what the main table has for interfaces that are no
// uplinks, without any default route.
func localRoutes(set *pvd.Set, st netwatch.State, own string) []netwatch.Route {
	uplink := make(map[int]bool)
	for _, d := range set.All() {
		uplink[d.Ifindex] = true
	}
	for _, l := range st.Links {
		if l.Name == own || l.Loopback || !l.Up {
			uplink[l.Index] = true
		}
	}
	var routes []netwatch.Route
	for _, r := range st.Routes {
		if r.Table != mainTable || r.Type != netwatch.Unicast || uplink[r.Ifindex] || r.Dst.Bits() <= 1 || r.LinkDown {
			continue
		}
		r.Table, r.Metric = localTable, max(r.Metric, 1)
		routes = append(routes, r)
	}
	return routes
}

func anyPrefix(is6 bool) netip.Prefix {
	if is6 {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}
