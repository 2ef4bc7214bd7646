package pvd

import (
	"net/netip"

	"mifvif/netwatch"
)

// maxRoutes bounds the routes of one domain.
const maxRoutes = 4096

// mainTable is the kernel's main routing table.
const mainTable = 254

// view is a kernel state sorted by interface.
type view struct {
	addresses map[int][]netwatch.Address
	routes    map[int][]netwatch.Route
}

func newView(st netwatch.State) *view {
	v := &view{addresses: make(map[int][]netwatch.Address), routes: make(map[int][]netwatch.Route)}
	for _, a := range st.Addresses {
		v.addresses[a.Ifindex] = append(v.addresses[a.Ifindex], a)
	}
	for _, r := range st.Routes {
		if r.Table == mainTable && r.Type == netwatch.Unicast {
			v.routes[r.Ifindex] = append(v.routes[r.Ifindex], r)
		}
	}
	return v
}

// fill gives d the addresses, next hops and routes that the kernel has for its
// interface.
func (v *view) fill(d *Domain) {
	for _, a := range v.addresses[d.Ifindex] {
		if !a.Global || a.Tentative || a.Prefix.Addr().IsLinkLocalUnicast() {
			continue
		}
		d.Addresses = append(d.Addresses, Address{
			Prefix: a.Prefix, Deprecated: a.Deprecated, Temporary: a.Temporary,
			Valid: a.Valid, Preferred: a.Preferred, Origin: FromKernel,
		})
	}
	halves := make(map[netip.Addr]int) // gateways of 0/1 and 128/1, as VPN clients set them
	for _, r := range v.routes[d.Ifindex] {
		switch {
		case r.LinkDown:
		case isDefault(r.Dst):
			d.addHop(NextHop{Addr: r.Gateway, Is6: r.Dst.Addr().Is6(), Metric: r.Metric, Origin: origin(r.Protocol)})
		case r.Dst.Bits() == 1:
			if halves[r.Gateway]++; halves[r.Gateway] == 2 {
				d.addHop(NextHop{Addr: r.Gateway, Is6: r.Dst.Addr().Is6(), Metric: r.Metric, Origin: origin(r.Protocol)})
			}
		case r.Protocol == protoKernel || r.Dst.Addr().IsLinkLocalUnicast() || r.Dst.Addr().IsMulticast():
		case len(d.Routes) < maxRoutes:
			d.Routes = append(d.Routes, Route{Dst: r.Dst, Via: r.Gateway, Origin: origin(r.Protocol)})
		}
	}
}

// isDefault reports whether p is 0.0.0.0/0 or ::/0.
func isDefault(p netip.Prefix) bool { return p.Bits() == 0 }

// addHop adds a next hop once.
func (d *Domain) addHop(h NextHop) {
	for _, have := range d.NextHops {
		if have.Addr == h.Addr && have.Is6 == h.Is6 {
			return
		}
	}
	d.NextHops = append(d.NextHops, h)
}

// Route protocols of the kernel that tell an origin (rtnetlink(7)).
const (
	protoKernel = 2
	protoRA     = 9
	protoDHCP   = 16
)

func origin(protocol int) Origin {
	switch protocol {
	case protoRA:
		return FromRA
	case protoDHCP:
		return FromDHCPv4
	}
	return FromKernel
}
