package pvd

import "net/netip"

// remembered is a next hop the kernel knew, with the on-link prefix it was in.
type remembered struct {
	hop    NextHop
	onLink netip.Prefix
}

// remember keeps what the kernel may forget. While the domain is up its present
// next hops are the truth, and so is their absence; when the link goes down the
// kernel drops its routes, and what was known before stays.
func (m *memory) remember(d *Domain, up bool) {
	if !up {
		return
	}
	m.hops = m.hops[:0]
	for _, h := range d.NextHops {
		if p, ok := d.onLink(h.Addr); ok {
			m.hops = append(m.hops, remembered{h, p})
		}
	}
}

// recall gives d the next hops that its link had before it went down, for the
// families that have none now: `ip link set dev X down` and up again, without a
// client that restores routes, leaves the address but no default route. A hop is
// used only while the prefix it was in is on the link again.
func (d *Domain) recall(m *memory) {
	if m == nil || m.up && !m.recalled(d) {
		return
	}
	for _, r := range m.hops {
		if d.hasHop(r.hop.Is6) {
			continue
		}
		if p, ok := d.onLink(r.hop.Addr); ok && p == r.onLink {
			r.hop.Origin = FromMemory
			d.NextHops = append(d.NextHops, r.hop)
		}
	}
}

// recalled reports whether the domain lives on remembered next hops already.
func (m *memory) recalled(*Domain) bool {
	for _, h := range m.last.NextHops {
		if h.Origin == FromMemory {
			return true
		}
	}
	return false
}

// hasHop reports whether d has a next hop of the family.
func (d *Domain) hasHop(is6 bool) bool {
	for _, h := range d.NextHops {
		if h.Is6 == is6 {
			return true
		}
	}
	return false
}

// onLink returns the prefix of d's addresses that a lies in.
func (d *Domain) onLink(a netip.Addr) (netip.Prefix, bool) {
	for _, have := range d.Addresses {
		if p := have.Prefix.Masked(); p.Contains(a) && p.Bits() < a.BitLen() {
			return p, true
		}
	}
	return netip.Prefix{}, false
}
