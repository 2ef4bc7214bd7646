package networkmanager

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"mifvif/pvd"
	"mifvif/pvd/wire"
)

// maxRoutes is how many routes of one lease are kept, minMTU the least MTU that a
// server may name (RFC 2132 5.1).
const (
	maxRoutes = 64
	minMTU    = 68
)

// reports restates what is known of a device: one report for each origin, with
// nothing in it where nothing is known.
func (k known) reports(ifindex int, received time.Time) []pvd.Report {
	return []pvd.Report{k.inForce(ifindex, received), k.leased4(ifindex, received), k.leased6(ifindex, received)}
}

// inForce are the resolvers and domains that NetworkManager has a link use.
func (k known) inForce(ifindex int, received time.Time) pvd.Report {
	r := pvd.Report{Origin: pvd.FromManager, Ifindex: ifindex, Received: received}
	for _, p := range []properties{k.ip4, k.ip6} {
		for _, one := range get[[]map[string]dbus.Variant](p, "NameserverData") {
			wire.AddServer(&r, get[string](one, "address"))
		}
		if p["NameserverData"].Value() == nil { // before 1.14, and of IPv6 for longer
			for _, a := range numbers(p) {
				wire.AddServer(&r, a.String())
			}
		}
		for _, name := range append(get[[]string](p, "Searches"), get[[]string](p, "Domains")...) {
			wire.AddDomain(&r, name)
		}
	}
	return r
}

// numbers are the resolvers as older versions write them: an IPv4 address in the
// byte order of the network as one number, an IPv6 address as octets.
func numbers(p properties) (all []netip.Addr) {
	for _, n := range get[[]uint32](p, "Nameservers") {
		all = append(all, netip.AddrFrom4([4]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}))
	}
	for _, b := range get[[][]byte](p, "Nameservers") {
		if a, ok := netip.AddrFromSlice(b); ok {
			all = append(all, a)
		}
	}
	return all
}

// leased4 is what a DHCPv4 server said.
func (k known) leased4(ifindex int, received time.Time) pvd.Report {
	r := pvd.Report{Origin: pvd.FromDHCPv4, Ifindex: ifindex, Received: received}
	said := func(name string) []string { return strings.Fields(get[string](k.lease4, name)) }
	routes := said("rfc3442_classless_static_routes")
	for i := 0; i+1 < len(routes); i += 2 {
		route(&r, routes[i], routes[i+1])
	}
	if len(routes) == 0 { // they silence option 3 (RFC 3442)
		for _, s := range said("routers") {
			route(&r, "0.0.0.0/0", s)
		}
	}
	for _, s := range said("domain_name_servers") {
		wire.AddServer(&r, s)
	}
	for _, s := range said("ntp_servers") {
		if a, err := netip.ParseAddr(s); err == nil && wire.Server(a) && len(r.NTP) < wire.MaxServers {
			r.NTP = append(r.NTP, pvd.TimeServer{Addr: a, Origin: r.Origin})
		}
	}
	for _, s := range append(said("domain_search"), said("domain_name")...) {
		wire.AddSearch(&r, s)
	}
	if n, err := strconv.Atoi(get[string](k.lease4, "interface_mtu")); err == nil && minMTU <= n && n <= 1<<16-1 {
		r.MTU = n
	}
	return r
}

// leased6 is what a DHCPv6 server said.
func (k known) leased6(ifindex int, received time.Time) pvd.Report {
	r := pvd.Report{Origin: pvd.FromDHCPv6, Ifindex: ifindex, Received: received}
	for s := range strings.FieldsSeq(get[string](k.lease6, "dhcp6_name_servers")) {
		wire.AddServer(&r, s)
	}
	for s := range strings.FieldsSeq(get[string](k.lease6, "dhcp6_domain_search")) {
		wire.AddSearch(&r, s)
	}
	return r
}

// route adds a route of IPv4; a default one is a next hop.
func route(r *pvd.Report, dst, via string) {
	p, err1 := netip.ParsePrefix(dst)
	hop, err2 := netip.ParseAddr(via)
	if err1 != nil || err2 != nil || !p.Addr().Is4() || !hop.Is4() || len(r.Routes)+len(r.NextHops) >= maxRoutes {
		return
	}
	switch {
	case p.Bits() == 0 && wire.Server(hop):
		r.NextHops = append(r.NextHops, pvd.NextHop{Addr: hop, Metric: len(r.NextHops), Origin: r.Origin})
	case p.Bits() > 0 && hop.IsUnspecified() && wire.Server(p.Addr()):
		r.Routes = append(r.Routes, pvd.Route{Dst: p.Masked(), Origin: r.Origin})
	case p.Bits() > 0 && wire.Server(hop) && (wire.Server(p.Addr()) || p.Bits() == 1):
		r.Routes = append(r.Routes, pvd.Route{Dst: p.Masked(), Via: hop, Origin: r.Origin})
	}
}
