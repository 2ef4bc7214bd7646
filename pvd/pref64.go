package pvd

import "net/netip"

// WellKnown64 is the prefix that every NAT64 may use, 64:ff9b::/96 (RFC 6052 2.1).
func WellKnown64() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0, 0x64, 0xff, 0x9b}), 96)
}

// Embed64 returns the IPv6 address that stands for v4 behind a NAT64 prefix (RFC
// 6052 2.2). It fails for prefixes of any other length than 32, 40, 48, 56, 64 and
// 96, and for addresses that are not global behind the well-known prefix (RFC 6052
// 3.1).
func Embed64(prefix netip.Prefix, v4 netip.Addr) (netip.Addr, bool) {
	if !prefix.Addr().Is6() || !v4.Is4() || prefix.Masked() == WellKnown64() && !global4(v4) {
		return netip.Addr{}, false
	}
	places, ok := octets64(prefix.Bits())
	if !ok {
		return netip.Addr{}, false
	}
	b, from := prefix.Masked().Addr().As16(), v4.As4()
	b[8] = 0
	for i, at := range places {
		b[at] = from[i]
	}
	return netip.AddrFrom16(b), true
}

// Extract64 is the inverse of Embed64: the IPv4 address that v6 stands for.
func Extract64(prefix netip.Prefix, v6 netip.Addr) (netip.Addr, bool) {
	places, ok := octets64(prefix.Bits())
	if !ok || !v6.Is6() || !prefix.Contains(v6) {
		return netip.Addr{}, false
	}
	b := v6.As16()
	var to [4]byte
	for i, at := range places {
		to[i] = b[at]
	}
	return netip.AddrFrom4(to), true
}

// octets64 returns where the four octets of an IPv4 address are behind a prefix:
// the octet at 8 is always zero and skipped.
func octets64(bits int) (places [4]int, ok bool) {
	switch bits {
	case 32, 40, 48, 56, 64, 96:
	default:
		return places, false
	}
	at := bits / 8
	for i := range places {
		if at == 8 {
			at++
		}
		places[i] = at
		at++
	}
	return places, true
}

// global4 reports whether an IPv4 address means the same everywhere (RFC 6890).
func global4(a netip.Addr) bool {
	b := a.As4()
	return !Private(a) && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !a.IsMulticast() && b[0] != 0 && b[0] < 240
}

// Translated returns the address by which v4 is reached over d's NAT64 (RFC 8781,
// RFC 7050); false where d has none that leads to it, or has IPv4 of its own.
func (d *Domain) Translated(v4 netip.Addr) (netip.Addr, bool) {
	if !d.translates() {
		return netip.Addr{}, false
	}
	for i := range d.PREF64 {
		if a, ok := Embed64(d.PREF64[i].Prefix, v4); ok {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// translates reports whether IPv4 is carried over d's NAT64.
func (d *Domain) translates() bool {
	return len(d.PREF64) > 0 && !d.HasSource(false) && d.HasSource(true)
}

// Carries reports whether new flows of the family may be put on the domain, over
// its NAT64 too.
func (d *Domain) Carries(is6 bool) bool {
	return d.Usable(is6) || !is6 && d.translates() && d.Usable(true)
}

// Synthetic reports whether an address was made from an IPv4 address by the NAT64
// of d, so that it means nothing elsewhere. The well-known prefixes (RFC 6052, RFC
// 8215) never do.
func (d *Domain) Synthetic(a netip.Addr) bool {
	if Reserved64(netip.PrefixFrom(a, a.BitLen())) {
		return true
	}
	for i := range d.PREF64 {
		if d.PREF64[i].Prefix.Contains(a) {
			return true
		}
	}
	return false
}

// Reserved64 reports whether all of a prefix is set aside for NAT64.
func Reserved64(p netip.Prefix) bool {
	inside := func(in netip.Prefix) bool { return p.Bits() >= in.Bits() && in.Contains(p.Addr()) }
	return inside(WellKnown64()) || inside(local64())
}

// local64 is 64:ff9b:1::/48, for NAT64 inside a network (RFC 8215).
func local64() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0, 0x64, 0xff, 0x9b, 0, 1}), 48)
}

// lay64 adds the prefixes that were found to a domain that names none.
func (in *Inputs) lay64(d *Domain) {
	if len(d.PREF64) > 0 {
		return
	}
	for _, p := range in.Found64[d.Key()] {
		d.PREF64 = append(d.PREF64, PREF64{Prefix: p, Origin: FromDNS})
	}
}
