package main

import (
	"net/netip"
	"slices"

	"mifvif/config"
	"mifvif/netwatch"
	"mifvif/pvd"
	"mifvif/relay"
)

// mainTable is the kernel's main routing table.
const mainTable = 254

// locals says whose packets may come out of mif0: its own addresses', and those
// of the host's interfaces that are no uplinks, or lead nowhere now, and those of the
// networks that the main table has behind a LAN's interface.
func locals(set *pvd.Set, st netwatch.State, cfg *config.Config) *relay.Locals {
	l := &relay.Locals{Sources: make(map[netip.Addr]struct{})}
	for _, a := range cfg.Interface.Addresses {
		l.Sources[a.Addr()] = struct{}{}
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
