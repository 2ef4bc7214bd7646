package pvd

import (
	"net/netip"
	"time"

	"mifvif/netwatch"
)

// memory is what of a domain outlives one Set.
type memory struct {
	slot     uint16
	attached uint64
	lost     time.Time // since when the domain has not been online
	last     *Domain   // as it was in the last Set, nil before the first
	hops     [2]hopMemory
}

// alive reports whether a domain was there in the last Set, with flows perhaps.
func (b *Builder) alive(id identity) bool {
	m := b.known[id]
	return m != nil && m.last != nil && m.last.Alive()
}

// recallable returns the memory of a domain, a new one if there is none. The
// next hops of an interface that was made anew are not those of the old one.
func (b *Builder) recallable(id identity, link netwatch.Link) *memory {
	m := b.known[id]
	if m == nil {
		return &memory{}
	}
	if m.last != nil && m.last.Ifindex != link.Index {
		m.hops = [2]hopMemory{}
	}
	return m
}

// settle gives d its slot and attachment; false when no slot is left.
func (b *Builder) settle(id identity, d *Domain) bool {
	m := b.known[id]
	if m.last == nil {
		slot, ok := b.slots.take()
		if !ok {
			delete(b.known, id)
			return false
		}
		m.slot, m.lost = slot, time.Now()
	}
	if d.Alive() && (m.last == nil || !m.last.Alive() || reattached(m.last, d)) {
		b.attached++
		m.attached = b.attached
	}
	if d.State == Offline && m.last != nil && m.last.State != Offline {
		m.lost = time.Now()
	}
	d.Slot, d.Attached = m.slot, m.attached
	return true
}

// note keeps d for the next time, or returns the last one where nothing differs.
func (m *memory) note(d *Domain) *Domain {
	if m.last == nil || !Equal(m.last, d) {
		m.last = d
	}
	return m.last
}

// reattached reports whether the domain lost all it stood on between two states
// although neither showed it down: another interface, or no address in common.
func reattached(old, now *Domain) bool {
	if old.Ifindex != now.Ifindex {
		return true
	}
	for _, a := range old.Addresses {
		if now.Owns(a.Prefix.Addr()) {
			return false
		}
	}
	return true
}

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
