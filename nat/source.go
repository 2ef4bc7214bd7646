package nat

import (
	"net/netip"

	"mifvif/pvd"
)

// SelectSource returns the source address for dst inside d: the source half of
// RFC 6724, with d's addresses as the candidates and d's own policy table. A
// deprecated address is taken only where it is the destination itself or stays on
// the link. It does not allocate.
func SelectSource(d *pvd.Domain, dst netip.Addr) (netip.Addr, bool) {
	best := choose(d, dst, false)
	if best == nil {
		return netip.Addr{}, false
	}
	return best.Prefix.Addr(), true
}

// choose returns the best of d's addresses as the source for dst, nil if there is
// none. Where deprecated ones are candidates like others, rule 3 avoids them.
func choose(d *pvd.Domain, dst netip.Addr, deprecated bool) *pvd.Address {
	var best *pvd.Address
	out := exit(d, dst)
	for i := range d.Addresses {
		a := &d.Addresses[i]
		addr := a.Prefix.Addr()
		if addr.Is4() != dst.Is4() || a.Deprecated && !deprecated && addr != dst && scope(addr) != scopeLink {
			continue
		}
		if best == nil || better(d, a, best, dst, out) {
			best = a
		}
	}
	return best
}

// better reports whether RFC 6724 section 5 prefers a over b as the source for
// packets to dst that leave there. Rule 5 (outgoing interface) has nothing to decide inside one
// domain.
func better(d *pvd.Domain, a, b *pvd.Address, dst netip.Addr, out pvd.Exit) bool {
	x, y := a.Prefix.Addr(), b.Prefix.Addr()
	if x == dst || y == dst { // rule 1: same address
		return x == dst && y != dst
	}
	if sx, sy, sd := scope(x), scope(y), scope(dst); sx != sy { // rule 2: appropriate scope
		if sx < sy {
			return sx >= sd
		}
		return sy < sd
	}
	if a.Deprecated != b.Deprecated { // rule 3
		return b.Deprecated
	}
	if a.Home != b.Home { // rule 4
		return a.Home
	}
	if ax, ay := advertised(d, x, out.Via), advertised(d, y, out.Via); ax != ay { // rule 5.5
		return ax
	}
	if sa, sb := out.Suits(a), out.Suits(b); sa != sb { // the same for routers that advertise nothing
		return sa > sb
	}
	if lx, ly, ld := policy(d, x).Label, policy(d, y).Label, policy(d, dst).Label; (lx == ld) != (ly == ld) { // rule 6
		return lx == ld
	}
	if a.Temporary != b.Temporary { // rule 7
		return a.Temporary != d.PreferPublic
	}
	return common(a.Prefix, dst) > common(b.Prefix, dst) // rule 8
}

// exit returns where packets to dst leave d, as far as it decides anything: zero where
// there is no choice among the addresses.
func exit(d *pvd.Domain, dst netip.Addr) pvd.Exit {
	found := 0
	for i := range d.Addresses {
		if d.Addresses[i].Prefix.Addr().Is4() == dst.Is4() {
			found++
		}
	}
	if found < 2 {
		return pvd.Exit{}
	}
	return d.ExitTo(dst)
}

// advertised reports whether a router carries packets from an address: it has
// advertised a prefix of it (RFC 8028 2.1).
func advertised(d *pvd.Domain, a, router netip.Addr) bool {
	if !router.IsValid() {
		return false
	}
	for i := range d.Adverts {
		if ad := &d.Adverts[i]; ad.Router == router && ad.Prefix.Contains(a) {
			return true
		}
	}
	return false
}

// Scopes of RFC 6724 3.1, as comparable numbers.
const (
	scopeLink   = 2
	scopeSite   = 5
	scopeGlobal = 14
)

func scope(a netip.Addr) int {
	switch {
	case a.IsMulticast() && a.Is6():
		b := a.As16()
		return int(b[1] & 0xf)
	case a.IsMulticast():
		return scopeGlobal
	case a.IsLoopback(), a.IsLinkLocalUnicast():
		return scopeLink
	case a.Is6():
		if b := a.As16(); b[0] == 0xfe && b[1]&0xc0 == 0xc0 {
			return scopeSite
		}
	}
	return scopeGlobal
}
