package uplinks

import (
	"net/netip"
	"slices"

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

// localTable holds copies of the routes of the host's own networks, those of
// interfaces that are no uplinks: rule 6411 sends everything there first, so
// that replies to the LAN, to containers and virtual machines stay there
// whatever their source.
const localTable = 64181

// The kernel's main routing table, and its protocol number for routes that it
// made itself.
const (
	mainTable   = 254
	protoKernel = 2
)

// shortest is the shortest prefix that is no default route in disguise: 0/1 and
// 128/1 as VPN clients set them, or 2000::/3.
const shortest = 4

// tableOf returns the routes of one domain's table: what is on its link, what
// is behind it, its next hops in order, for each source those that carry it, and a
// refusal of everything else. The default is there also where the domain is
// declared not to lead to the Internet: names in its zones may have any address. A
// domain that is offline for want of a next hop keeps what it has, for flows that
// wait for the hop's return.
func tableOf(d *pvd.Domain, set *pvd.Set, st netwatch.State) []netwatch.Route {
	var routes []netwatch.Route
	add := func(r netwatch.Route) {
		r.Table = d.Table()
		if r.Type == netwatch.Unicast {
			r.Ifindex = d.Ifindex
		}
		routes = append(routes, r)
	}
	onLink := connected(d, set, st)
	for _, r := range onLink {
		add(r)
	}
	var beyond []netwatch.Route
	for _, r := range d.Routes {
		beyond = append(beyond, netwatch.Route{Dst: r.Dst.Masked(), Gateway: r.Via, Metric: metricHop, OnLink: offLink(r.Via, onLink)})
	}
	ways := waysOf(d)
	for i, h := range hops(d) {
		beyond = append(beyond, netwatch.Route{
			Dst: netwatch.AnyPrefix(h.Is6), Gateway: h.Addr, Metric: metricHop + i,
			Source: carried(d, ways, h), OnLink: offLink(h.Addr, onLink), Path: h.Path,
		})
	}
	for _, r := range bySource(ways, beyond) {
		add(r)
	}
	add(netwatch.Route{Type: netwatch.Unreachable, Dst: netwatch.AnyPrefix(false), Metric: metricRefuse})
	add(netwatch.Route{Type: netwatch.Unreachable, Dst: netwatch.AnyPrefix(true), Metric: metricRefuse})
	return routes
}

// hops returns the domain's next hops. A point-to-point link needs none: there
// the link itself is the next hop of every family that has an address.
func hops(d *pvd.Domain) []pvd.NextHop {
	all := slices.Clip(d.NextHops)
	for _, is6 := range []bool{false, true} {
		if d.P2P && d.HasAddress(is6) && !d.HasHop(is6) {
			all = append(all, pvd.NextHop{Is6: is6})
		}
	}
	return all
}

// connected returns the on-link prefixes of a domain: those the kernel has made
// routes for, without those of other domains of the link, and those that its
// routers say are on the link. An address alone says nothing of its link: a router
// may say that neighbours are to be reached through it (RFC 4861 6.3.4, L flag).
func connected(d *pvd.Domain, set *pvd.Set, st netwatch.State) []netwatch.Route {
	var routes []netwatch.Route
	for _, r := range st.Routes {
		if d.Ifindex == 0 || r.Table != mainTable || r.Ifindex != d.Ifindex || r.Type != netwatch.Unicast || r.Protocol != protoKernel ||
			r.Gateway.IsValid() || r.LinkDown || r.Dst.Bits() == 0 || linkScoped(r.Dst) || r.Dst.IsSingleIP() && d.Owns(r.Dst.Addr()) ||
			foreign(d, set, r.Dst) {
			continue
		}
		one := netwatch.Route{Dst: r.Dst, Metric: metricOnLink}
		if d.Owns(r.Source) {
			one.Source = r.Source
		}
		routes = append(routes, one)
	}
	for _, ad := range d.Adverts {
		if ad.OnLink && d.HasAddress(true) && !slices.ContainsFunc(routes, func(r netwatch.Route) bool { return r.Dst == ad.Prefix }) {
			routes = append(routes, netwatch.Route{Dst: ad.Prefix, Metric: metricOnLink})
		}
	}
	if d.HasAddress(true) {
		routes = append(routes, netwatch.Route{Dst: netip.MustParsePrefix("fe80::/64"), Metric: metricOnLink})
	}
	return routes
}

// foreign reports whether an on-link prefix is another's: another domain of the
// link has it, and d has not.
func foreign(d *pvd.Domain, set *pvd.Set, p netip.Prefix) bool {
	return !holds(d, p) && slices.ContainsFunc(set.All(), func(o *pvd.Domain) bool {
		return o != d && o.Ifindex == d.Ifindex && holds(o, p)
	})
}

func holds(d *pvd.Domain, p netip.Prefix) bool {
	return slices.ContainsFunc(d.Addresses, func(a pvd.Address) bool { return a.Prefix.Masked() == p }) ||
		slices.ContainsFunc(d.Adverts, func(a pvd.Advert) bool { return a.Prefix == p })
}

// offLink reports whether the kernel has to be told that a next hop is on the
// link all the same.
func offLink(hop netip.Addr, onLink []netwatch.Route) bool {
	if !hop.IsValid() || hop.IsLinkLocalUnicast() {
		return false
	}
	for _, r := range onLink {
		if r.Dst.Contains(hop) {
			return false
		}
	}
	return true
}

// hint returns the source that the kernel is to choose for apps that bind the
// uplink's device only: of the addresses that are not deprecated the first that
// suits the next hop best. Where the
// family has temporary addresses the choice is left to the kernel, which knows
// whether they are preferred (RFC 8981, use_tempaddr).
func hint(d *pvd.Domain, h *pvd.NextHop) netip.Addr {
	for _, a := range d.Addresses {
		if a.Prefix.Addr().Is6() == h.Is6 && a.Temporary && !a.Deprecated {
			return netip.Addr{}
		}
	}
	return preferred(d, h)
}

// preferred returns the address of the family that suits a next hop best and is
// neither deprecated nor temporary, zero if there is none.
func preferred(d *pvd.Domain, h *pvd.NextHop) netip.Addr {
	var best *pvd.Address
	for i := range d.Addresses {
		a := &d.Addresses[i]
		if a.Prefix.Addr().Is6() != h.Is6 || a.Deprecated || a.Temporary {
			continue
		}
		if best == nil || h.Exit().Suits(a) > h.Exit().Suits(best) {
			best = a
		}
	}
	if best == nil {
		return netip.Addr{}
	}
	return best.Prefix.Addr()
}

// localRoutes copies what the main table has for interfaces that are no
// uplinks, mif0 included, without any default route. What is link-local needs
// no copy: it is asked for with its interface.
func localRoutes(set *pvd.Set, st netwatch.State) []netwatch.Route {
	skip := make(map[int]bool)
	for _, d := range set.All() {
		skip[d.Ifindex] = skip[d.Ifindex] || isUplink(d)
	}
	for _, l := range st.Links {
		if l.Loopback || !l.Up {
			skip[l.Index] = true
		}
	}
	var routes []netwatch.Route
	for _, r := range st.Routes {
		if r.Table != mainTable || r.Type != netwatch.Unicast || skip[r.Ifindex] || r.LinkDown ||
			r.Dst.Bits() < shortest || linkScoped(r.Dst) {
			continue
		}
		r.Table, r.Metric = localTable, max(r.Metric, 1)
		routes = append(routes, r)
	}
	return routes
}

// linkScoped reports whether destinations of the prefix mean something only
// together with a link.
func linkScoped(p netip.Prefix) bool {
	return p.Addr().IsMulticast() || p.Addr().Is6() && p.Addr().IsLinkLocalUnicast()
}
