package wire

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"mifvif/pvd"
)

// AddServer adds a resolver that another manager of the host wrote down as text,
// with or without port, interface and name: "192.0.2.53", "[2001:db8::53]:53",
// "fe80::1%eth0", "192.0.2.53#dns.example". What is no server is left out.
func AddServer(r *pvd.Report, text string) {
	text, _, _ = strings.Cut(text, "#")
	port := netip.AddrPortFrom(netip.Addr{}, 53)
	addr, err := netip.ParseAddr(text)
	if err != nil {
		if port, err = netip.ParseAddrPort(text); err != nil || port.Port() == 0 {
			return
		}
		addr = port.Addr()
	}
	addr = addr.WithZone("").Unmap()
	if addr.Is6() && addr.IsLinkLocalUnicast() {
		addr = addr.WithZone(strconv.Itoa(r.Ifindex)) // asked on the link that has it
	}
	one := pvd.Resolver{Addr: netip.AddrPortFrom(addr, port.Port()), Origin: r.Origin}
	if Server(addr) && len(r.Resolvers) < MaxServers && !slices.Contains(r.Resolvers, one) {
		r.Resolvers = append(r.Resolvers, one)
	}
}

// AddSearch adds a name of a search list.
func AddSearch(r *pvd.Report, name string) {
	n, err := TextName([]byte(name))
	if err == nil && n != "" && len(r.Search) < MaxNames && !slices.ContainsFunc(r.Search, func(z pvd.Zone) bool { return z.Name == n }) {
		r.Search = append(r.Search, pvd.Zone{Name: n, Origin: r.Origin})
	}
}

// AddDomain adds a domain as systemd-resolved's configuration writes it: with "~" in
// front a zone that is asked on the link, otherwise a name of its search list.
// "~." says nothing of names.
func AddDomain(r *pvd.Report, name string) {
	zone, ok := strings.CutPrefix(name, "~")
	if !ok {
		AddSearch(r, name)
		return
	}
	n, err := TextName([]byte(zone))
	if err == nil && n != "" && len(r.Zones) < MaxNames && !slices.ContainsFunc(r.Zones, func(z pvd.Zone) bool { return z.Name == n }) {
		r.Zones = append(r.Zones, pvd.Zone{Name: n, Origin: r.Origin})
	}
}
