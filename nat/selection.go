package nat

import (
	"math/bits"
	"net/netip"

	"mifvif/pvd"
)

// policy returns the row of d's address selection table that an address falls
// under: the longest that matches (RFC 6724 2.1). A table without ::/0 adds to the
// default one; IPv4 addresses are looked up in their mapped form.
func policy(d *pvd.Domain, a netip.Addr) pvd.PolicyRow {
	a16 := netip.AddrFrom16(a.As16())
	best, whole := pvd.PolicyRow{}, false
	longest := -1
	for i := range d.Selection {
		row := &d.Selection[i]
		whole = whole || row.Prefix.Bits() == 0
		if n := row.Prefix.Bits(); n > longest && within(a16, row.Prefix) {
			best, longest = *row, n
		}
	}
	if whole {
		return best
	}
	if row, n := standard(a16); n > longest {
		return row
	}
	return best
}

// within is Prefix.Contains for an address in its 128-bit form.
func within(a netip.Addr, p netip.Prefix) bool {
	if p.Addr().Is4() {
		p = netip.PrefixFrom(netip.AddrFrom16(p.Addr().As16()), p.Bits()+96)
	}
	return shared(a, p.Addr()) >= p.Bits()
}

// standard returns the row of the default table (RFC 6724 2.1) and its length.
func standard(a netip.Addr) (row pvd.PolicyRow, length int) {
	b := a.As16()
	of := func(precedence, label uint8, length int) (pvd.PolicyRow, int) {
		return pvd.PolicyRow{Precedence: precedence, Label: label}, length
	}
	switch {
	case a.Is4In6():
		return of(35, 4, 96)
	case a.IsLoopback():
		return of(50, 0, 128)
	case b[0] == 0x20 && b[1] == 0x02:
		return of(30, 2, 16)
	case b[0] == 0x20 && b[1] == 0x01 && b[2] == 0 && b[3] == 0:
		return of(5, 5, 32)
	case b[0]&0xfe == 0xfc:
		return of(3, 13, 7)
	case b[0] == 0xfe && b[1]&0xc0 == 0xc0:
		return of(1, 11, 10)
	case b[0] == 0x3f && b[1] == 0xfe:
		return of(1, 12, 16)
	case [12]byte(b[:12]) == [12]byte{}:
		return of(1, 3, 96)
	}
	return of(40, 1, 0)
}

// common returns how many leading bits an address shares with dst, counting no
// further than its prefix (RFC 6724 2.2).
func common(p netip.Prefix, dst netip.Addr) int {
	n := shared(p.Addr(), dst)
	if p.Addr().Is4() {
		n -= 96
	}
	return min(n, p.Bits())
}

// shared returns how many leading bits two addresses share, in 128-bit form.
func shared(x, y netip.Addr) int {
	a, b := x.As16(), y.As16()
	n := 0
	for i := range a {
		if diff := a[i] ^ b[i]; diff != 0 {
			return n + bits.LeadingZeros8(diff)
		}
		n += 8
	}
	return n
}
