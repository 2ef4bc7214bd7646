package nat

import (
	"math/bits"
	"net/netip"

	"mifvif/pvd"
)

// SelectSource returns the source address for dst inside d: the source half of
// RFC 6724, with d's addresses as the candidates. A deprecated address is taken
// only where it is the destination itself. It does not allocate.
func SelectSource(d *pvd.Domain, dst netip.Addr) (netip.Addr, bool) {
	best := -1
	for i := range d.Addresses {
		a := &d.Addresses[i]
		if a.Prefix.Addr().Is4() != dst.Is4() || a.Deprecated && a.Prefix.Addr() != dst {
			continue
		}
		if best < 0 || better(a, &d.Addresses[best], dst) {
			best = i
		}
	}
	if best < 0 {
		return netip.Addr{}, false
	}
	return d.Addresses[best].Prefix.Addr(), true
}

// better reports whether RFC 6724 section 5 prefers a over b as the source for
// dst. Rules 4 (home addresses) and 5 (outgoing interface) have nothing to
// decide inside one domain.
func better(a, b *pvd.Address, dst netip.Addr) bool {
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
	if lx, ly, ld := label(x), label(y), label(dst); (lx == ld) != (ly == ld) { // rule 6
		return lx == ld
	}
	if a.Temporary != b.Temporary { // rule 7
		return a.Temporary
	}
	return common(a.Prefix, dst) > common(b.Prefix, dst) // rule 8
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

// label returns the label of the longest row of the default policy table (RFC
// 6724 2.1) that matches; IPv4 addresses are
// looked up in their mapped form.
func label(a netip.Addr) int {
	b := a.As16()
	switch {
	case a.Is4(), a.Is4In6():
		return 4
	case a.IsLoopback():
		return 0
	case b[0] == 0x20 && b[1] == 0x02:
		return 2
	case b[0] == 0x20 && b[1] == 0x01 && b[2] == 0 && b[3] == 0:
		return 5
	case b[0]&0xfe == 0xfc:
		return 13
	case b[0] == 0xfe && b[1]&0xc0 == 0xc0:
		return 11
	case b[0] == 0x3f && b[1] == 0xfe:
		return 12
	case [12]byte(b[:12]) == [12]byte{}:
		return 3
	}
	return 1
}

// common returns how many leading bits an address shares with dst, counting no
// further than its prefix (RFC 6724 2.2).
func common(p netip.Prefix, dst netip.Addr) int {
	a, b := p.Addr().As16(), dst.As16()
	skip := 0
	if p.Addr().Is4() {
		skip = 96
	}
	n := 0
	for i := range a {
		if x := a[i] ^ b[i]; x != 0 {
			n += bits.LeadingZeros8(x)
			break
		}
		n += 8
	}
	return min(n-skip, p.Bits())
}
