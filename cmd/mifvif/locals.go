package main

import (
	"fmt"
	"net/netip"
	"slices"

	"mifvif/config"
	"mifvif/netwatch"
	"mifvif/pvd"
	"mifvif/relay"
)

// mainTable is the kernel's main routing table.
const mainTable = 254

// handles returns the addresses of mif0 that stand for each domain, as far as
// mif0's prefixes have room for them.
func handles(set *pvd.Set, cfg *config.Config) map[string][]netip.Addr {
	out := make(map[string][]netip.Addr)
	for name, h := range pvd.Handles(set) {
		for _, a := range []netip.Addr{h.V4, h.V6} {
			if slices.ContainsFunc(house(cfg), func(p netip.Prefix) bool { return p.Contains(a) }) {
				out[name] = append(out[name], a)
			}
		}
	}
	return out
}

// onDevice restates handles as addresses of mif0. Their preferred lifetime is
// over, or the kernel would choose them for apps that bind nothing.
func onDevice(ifindex int, all map[string][]netip.Addr) []netwatch.Address {
	var out []netwatch.Address
	for _, addrs := range all {
		for _, a := range addrs {
			out = append(out, netwatch.Address{
				Ifindex: ifindex, Prefix: netip.PrefixFrom(a, a.BitLen()), Valid: netwatch.Forever, Deprecated: true,
			})
		}
	}
	return out
}

// missingLANs says of which of router.lans there is no interface.
func missingLANs(lans []string, links []netwatch.Link) []string {
	var out []string
	for _, name := range lans {
		if !slices.ContainsFunc(links, func(l netwatch.Link) bool { return l.Name == name }) {
			out = append(out, fmt.Sprintf("router.lans names the interface %q, which is not there", name))
		}
	}
	return out
}

// locals says whose packets may come out of mif0: its own addresses', and those
// of the host's interfaces that are no uplinks, or lead nowhere now, and those of the
// networks that the main table has behind a LAN's interface.
func locals(set *pvd.Set, st netwatch.State, cfg *config.Config) *relay.Locals {
	l := &relay.Locals{Sources: make(map[netip.Addr]struct{}), Own: make(map[netip.Addr]struct{}), Handles: make(map[netip.Addr]string)}
	for _, a := range cfg.Interface.Addresses {
		l.Sources[a.Addr()] = struct{}{}
	}
	for name, h := range handles(set, cfg) {
		for _, a := range h {
			l.Sources[a], l.Handles[a] = struct{}{}, name
		}
	}
	lans := make(map[int]string)
	for _, link := range st.Links {
		if slices.Contains(cfg.LANs, link.Name) {
			lans[link.Index] = link.Name
		}
	}
	uplink := make(map[int]bool)
	for _, d := range set.All() {
		uplink[d.Ifindex] = uplink[d.Ifindex] || d.State != pvd.Offline
	}
	for _, a := range st.Addresses {
		l.Own[a.Prefix.Addr()] = struct{}{}
		if !uplink[a.Ifindex] && a.Global {
			l.Sources[a.Prefix.Addr()] = struct{}{}
		}
	}
	for _, r := range st.Routes {
		if lans[r.Ifindex] != "" && r.Table == mainTable && r.Type == netwatch.Unicast && r.Dst.Bits() > 0 && !r.LinkDown {
			l.LANs = append(l.LANs, relay.LAN{Prefix: r.Dst, Interface: lans[r.Ifindex]})
		}
	}
	return l
}
