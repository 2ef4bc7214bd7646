package pvd

import (
	"net/netip"
	"slices"

	"mifvif/netwatch"
)

// maxRoutes bounds the routes of one domain.
const maxRoutes = 4096

// mainTable is the kernel's main routing table.
const mainTable = 254

// view is a kernel state sorted by interface.
type view struct {
	names     map[string]bool
	addresses map[int][]netwatch.Address
	routes    map[int][]netwatch.Route
}

func newView(st netwatch.State) *view {
	v := &view{names: make(map[string]bool), addresses: make(map[int][]netwatch.Address), routes: make(map[int][]netwatch.Route)}
	for _, a := range st.Addresses {
		v.addresses[a.Ifindex] = append(v.addresses[a.Ifindex], a)
	}
	for _, r := range st.Routes {
		if r.Table == mainTable && r.Type == netwatch.Unicast && !r.LinkDown {
			v.routes[r.Ifindex] = append(v.routes[r.Ifindex], r)
		}
	}
	for _, l := range st.Links {
		v.names[l.Name] = true
	}
	return v
}

// has reports whether there is an interface of that name.
func (v *view) has(ifname string) bool { return v.names[ifname] }

// fill gives d the addresses, next hops and routes that the kernel has for its
// interface and that belong to its part of the link.
func (v *view) fill(d *Domain, p *part, div *division) {
	for _, a := range v.addresses[d.Ifindex] {
		if !a.Global || a.Tentative || a.Prefix.Addr().IsLinkLocalUnicast() || !div.owns(p, a.Prefix) {
			continue
		}
		d.Addresses = append(d.Addresses, Address{
			Prefix: a.Prefix, Deprecated: a.Deprecated, Temporary: a.Temporary, Home: a.Home, Secondary: a.Secondary,
			Valid: a.Valid, Preferred: a.Preferred, Origin: FromKernel, Ours: a.Protocol == netwatch.Protocol,
		})
	}
	halves := overriding(v.routes[d.Ifindex])
	for _, r := range v.routes[d.Ifindex] {
		switch {
		case !div.leads(p, r.Gateway, r.Dst):
		case r.Dst.Bits() == 0:
			d.addHop(nextHop(r))
		case r.Dst.Bits() == 1 && slices.Contains(halves, gateway{r.Gateway, r.Dst.Addr().Is6()}):
			h := nextHop(r)
			h.Overrides = true
			d.addHop(h)
		case v.connected(r) || r.Dst.Addr().IsLinkLocalUnicast() || r.Dst.Addr().IsMulticast():
		case len(d.Routes) < maxRoutes:
			d.addRoute(Route{Dst: r.Dst, Via: r.Gateway, Origin: v.origin(r)})
		}
	}
}

// gateway is a next hop with the family of what it leads to.
type gateway struct {
	addr netip.Addr
	is6  bool
}

// overriding returns the gateways of both halves of a family, as VPN clients set
// them over the host's default routes.
func overriding(routes []netwatch.Route) []gateway {
	seen := make(map[gateway][2]bool)
	var out []gateway
	for _, r := range routes {
		if r.Dst.Bits() != 1 {
			continue
		}
		g := gateway{r.Gateway, r.Dst.Addr().Is6()}
		halves := seen[g]
		if r.Dst.Addr().IsUnspecified() {
			halves[0] = true
		} else {
			halves[1] = true
		}
		seen[g] = halves
		if halves == [2]bool{true, true} && !slices.Contains(out, g) {
			out = append(out, g)
		}
	}
	return out
}

func nextHop(r netwatch.Route) NextHop {
	return NextHop{Addr: r.Gateway, Is6: r.Dst.Addr().Is6(), Metric: r.Metric, Origin: origin(r), Source: r.Source, Path: r.Path}
}

// connected reports whether r is the route to an on-link prefix, which follows
// from an address.
func (v *view) connected(r netwatch.Route) bool {
	return !r.Gateway.IsValid() && slices.ContainsFunc(v.addresses[r.Ifindex], func(a netwatch.Address) bool {
		return a.Prefix.Masked() == r.Dst
	})
}

// addHop adds a next hop once; the first has the best metric.
func (d *Domain) addHop(h NextHop) {
	for i, have := range d.NextHops {
		if have.Addr == h.Addr && have.Is6 == h.Is6 {
			d.NextHops[i].Overrides = have.Overrides || h.Overrides
			return
		}
	}
	d.NextHops = append(d.NextHops, h)
}

// addRoute adds a route; of several to one destination the first has the best
// metric.
func (d *Domain) addRoute(r Route) {
	if n := len(d.Routes); n == 0 || d.Routes[n-1].Dst != r.Dst {
		d.Routes = append(d.Routes, r)
	}
}

// Route protocols of the kernel that tell an origin (rtnetlink(7)).
const (
	protoKernel = 2
	protoRA     = 9
	protoDHCP   = 16
)

// origin returns who told the kernel of a route that follows from none of the
// host's addresses. What it has on a link by itself, and not towards a peer, a
// router has advertised (L flag, RFC 4861 6.3.4): the host has not set it.
func (v *view) origin(r netwatch.Route) Origin {
	if r.Protocol == protoKernel && r.Dst.Addr().Is6() && !r.Gateway.IsValid() &&
		!slices.ContainsFunc(v.addresses[r.Ifindex], func(a netwatch.Address) bool { return a.Peer.IsValid() && r.Dst.Contains(a.Peer) }) {
		return FromRA
	}
	return origin(r)
}

func origin(r netwatch.Route) Origin {
	switch {
	case r.Protocol == protoRA:
		return FromRA
	case r.Protocol == protoDHCP && r.Dst.Addr().Is6():
		return FromDHCPv6
	case r.Protocol == protoDHCP:
		return FromDHCPv4
	}
	return FromKernel
}
