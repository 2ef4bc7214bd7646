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
// 5.5.3): one in each prefix inside a PvD option that has, or had, the A flag.
func (p *part) wanted(like netip.Addr) []Wanted {
	if !like.IsValid() {
		return nil
	}
	var out []Wanted
	for _, v := range p.voices {
		for _, a := range v.auto {
			w := Wanted{Prefix: formed(a.prefix, like), Valid: a.valid, Preferred: a.preferred}
			if !slices.ContainsFunc(out, func(o Wanted) bool { return o.Prefix == w.Prefix }) {
				out = append(out, w)
			}
		}
	}
	return out
}

// leases returns what mifvif's own DHCP client has leased for p, with the reports
// they are in.
func (d *division) leases(p *part) []*voice {
	return slices.DeleteFunc(d.stateless(p), func(v *voice) bool { return len(v.said.Addresses) == 0 })
}

// lease has d's interface get the addresses that were leased, until the lease is
// over; those that are there say where they are from.
func (d *Domain) lease(voices []*voice) {
	for _, v := range voices {
		for _, a := range v.said.Addresses {
			d.Wanted = append(d.Wanted, Wanted{Prefix: a.Prefix, Valid: v.said.Until, Preferred: v.said.Until})
			for i := range d.Addresses {
				if d.Addresses[i].Ours && d.Addresses[i].Prefix == a.Prefix {
					d.Addresses[i].Origin = a.Origin
				}
			}
		}
	}
}

// formed returns the address in p with the interface identifier of like.
func formed(p netip.Prefix, like netip.Addr) netip.Prefix {
	a, b := p.Addr().As16(), like.As16()
	copy(a[8:], b[8:])
	return netip.PrefixFrom(netip.AddrFrom16(a), p.Bits())
}
