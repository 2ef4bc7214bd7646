package pvd

import (
	"net/netip"
	"slices"
)

// identifierBits is the length of an interface identifier (RFC 4291 2.5.1).
const identifierBits = 64

// identifier returns the address whose interface identifier the link goes by: its
// link-local one, zero if there is none. The kernel has chosen it as the host's
// settings say (addr_gen_mode), and has checked that nobody else has it.
func (v *view) identifier(ifindex int) netip.Addr {
	for _, a := range v.addresses[ifindex] {
		if addr := a.Prefix.Addr(); addr.Is6() && addr.IsLinkLocalUnicast() && !a.Tentative {
			return addr
		}
	}
	return netip.Addr{}
}

// wanted returns the addresses that the kernel does not form for p (RFC 4862
// 5.5.3): one in each prefix inside a PvD option that has the A flag.
func (p *part) wanted(like netip.Addr) []Wanted {
	if !like.IsValid() {
		return nil
	}
	var out []Wanted
	for _, v := range p.voices {
		for _, ad := range v.said.Adverts {
			if !ad.Nested || !ad.Auto || ad.Prefix.Bits() != 128-identifierBits || ad.Prefix.Addr().IsLinkLocalUnicast() {
				continue
			}
			w := Wanted{Prefix: formed(ad.Prefix, like), Valid: ad.Until, Preferred: ad.Preferred}
			if !slices.ContainsFunc(out, func(o Wanted) bool { return o.Prefix == w.Prefix }) {
				out = append(out, w)
			}
		}
	}
	return out
}

// formed returns the address in p with the interface identifier of like.
func formed(p netip.Prefix, like netip.Addr) netip.Prefix {
	a, b := p.Addr().As16(), like.As16()
	copy(a[8:], b[8:])
	return netip.PrefixFrom(netip.AddrFrom16(a), p.Bits())
}
