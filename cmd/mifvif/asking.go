package main

import (
	"slices"

	"mifvif/netwatch"
	"mifvif/pvd"
	"mifvif/pvd/dhcp4"
	"mifvif/pvd/dhcp6"
)

// ask has those sources that ask networks do so where the domains of a state need
// it.
func (s *sources) ask(set *pvd.Set, st netwatch.State, discovery pvd.Discovery) {
	var legacy []dhcp4.Link
	var sent []dhcp6.Link
	for _, l := range st.Links {
		if l.Loopback || !l.Up || !l.Carrier || l.PointToPoint || discovery.Ignores(l.Name) {
			continue
		}
		if one, ok := dhcp4Link(l, set, st, discovery); ok {
			legacy = append(legacy, one)
		}
		if s.builder.SentToDHCPv6(l.Index) {
			_, trusted := discovery.DHCP(l.Name)
			sent = append(sent, dhcp6.Link{Index: l.Index, Name: l.Name, Trusted: trusted})
		}
	}
	s.dhcp4.Watch(legacy)
	s.dhcp6.Watch(sent)
}

// dhcp4Link says how a link is asked by DHCPv4; ok is false if it is not: that is
// off there, or nobody else has given the link an address.
func dhcp4Link(l netwatch.Link, set *pvd.Set, st netwatch.State, discovery pvd.Discovery) (one dhcp4.Link, ok bool) {
	use, trusted := discovery.DHCP(l.Name)
	one = dhcp4.Link{Index: l.Index, Name: l.Name, MTU: l.MTU, Trusted: trusted}
	switch use {
	case pvd.DHCPOff:
		return one, false
	case pvd.DHCPClient:
		one.Mode = dhcp4.Client
		return one, true
	}
	i := slices.IndexFunc(st.Addresses, func(a netwatch.Address) bool {
		return a.Ifindex == l.Index && a.Prefix.Addr().Is4() && a.Global && a.Protocol != netwatch.Protocol
	})
	if i < 0 {
		return one, false
	}
	one.Address = st.Addresses[i].Prefix
	for _, d := range set.All() {
		if d.Ifindex == l.Index && d.Owns(one.Address.Addr()) {
			one.Attached = d.Attached
		}
	}
	return one, true
}
