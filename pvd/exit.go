package pvd

import "net/netip"

// Exit is where packets leave a domain: by a router, or straight to whom they are
// for, and with which source if the route says so.
type Exit struct {
	Via    netip.Addr // zero on the link
	Source netip.Addr // zero: the route does not say
}

// ExitTo returns where packets to dst leave the domain: by its longest route, else by
// its first next hop of the family.
func (d *Domain) ExitTo(dst netip.Addr) Exit {
	longest, via := -1, netip.Addr{}
	for i := range d.Routes {
		if r := &d.Routes[i]; r.Dst.Contains(dst) && r.Dst.Bits() > longest {
			longest, via = r.Dst.Bits(), r.Via
		}
	}
	for i := range d.Adverts {
		if ad := &d.Adverts[i]; ad.OnLink && ad.Prefix.Contains(dst) && ad.Prefix.Bits() > longest {
			return Exit{}
		}
	}
	for i := range d.Addresses {
		if p := d.Addresses[i].Prefix; !p.IsSingleIP() && p.Contains(dst) && p.Bits() > longest && dst.Is4() {
			return Exit{}
		}
	}
	if longest >= 0 {
		return Exit{Via: via}
	}
	for i := range d.NextHops {
		if h := &d.NextHops[i]; h.Is6 == dst.Is6() {
			return h.Exit()
		}
	}
	return Exit{}
}

// Exit returns where packets by the next hop leave.
func (h *NextHop) Exit() Exit { return Exit{h.Addr, h.Source} }

// Suits says how well an address suits as the source of packets that leave there and
// whose app has chosen none; more is better. What the route says comes first. Then
// the router has to know the address: it knows those of the prefix that it is in
// itself, as the kernel assumes, too, and others perhaps. Of one prefix the first
// address is the host's and the others have been added for some purpose.
func (e Exit) Suits(a *Address) int {
	suits := 0
	if e.Source.IsValid() && e.Source == a.Prefix.Addr() {
		suits += 4
	}
	if e.Via.IsValid() && !a.Prefix.IsSingleIP() && a.Prefix.Contains(e.Via) {
		suits += 2
	}
	if !a.Secondary {
		suits++
	}
	return suits
}
