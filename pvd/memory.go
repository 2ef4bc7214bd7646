package pvd

import "net/netip"

// hopMemory is what the kernel may forget of one family: it drops its default
// routes when a link goes down, and `ip link set dev X up` without a client that
// restores them leaves the address alone.
type hopMemory struct {
	hops []remembered
	// armed: the link went down since the kernel knew a next hop. A next hop that
	// vanished while the link was up was removed on purpose.
	armed bool
}

// remembered is a next hop with the on-link prefix it was in.
type remembered struct {
	hop    NextHop
	onLink netip.Prefix
}

// linkLost notes that the link was seen down.
func (m *memory) linkLost() {
	for f := range m.hops {
		m.hops[f].armed = len(m.hops[f].hops) > 0
	}
}

// recall gives d, whose link is up, the next hops it had before the link went
// down, for the families for which the kernel has none now, while the prefix
// they were in is on the link again. What the kernel knows is the truth and
// replaces what was remembered.
func (m *memory) recall(d *Domain) {
	for f := range m.hops {
		is6, h := f == 1, &m.hops[f]
		switch {
		case d.HasHop(is6):
			*h = hopMemory{hops: d.rememberable(is6)}
		case !h.armed:
			h.hops = nil
		case d.HasAddress(is6):
			h.use(d)
		}
	}
}

// use adds the remembered next hops to d, or forgets them when d is on another
// prefix now.
func (h *hopMemory) use(d *Domain) {
	used := false
	for _, r := range h.hops {
		if p, ok := d.onLink(r.hop.Addr); ok && p == r.onLink {
			r.hop.Origin = FromMemory
			d.NextHops = append(d.NextHops, r.hop)
			used = true
		}
	}
	if !used {
		*h = hopMemory{}
	}
}

// rememberable returns the next hops of the family that lie in a prefix of d's.
func (d *Domain) rememberable(is6 bool) []remembered {
	var out []remembered
	for _, h := range d.NextHops {
		if p, ok := d.onLink(h.Addr); ok && h.Is6 == is6 {
			out = append(out, remembered{h, p})
		}
	}
	return out
}

// onLink returns the longest prefix of d's addresses that a lies in.
func (d *Domain) onLink(a netip.Addr) (longest netip.Prefix, ok bool) {
	for _, have := range d.Addresses {
		p := have.Prefix.Masked()
		if p.Contains(a) && !p.IsSingleIP() && (!ok || p.Bits() > longest.Bits()) {
			longest, ok = p, true
		}
	}
	return longest, ok
}
