package pvd

import (
	"time"

	"mifvif/netwatch"
)

// How long, and how many of them, domains that are lost are still shown.
const (
	forgetAfter = 10 * time.Minute
	maxLost     = 64
)

// Builder turns states of the kernel into Sets. It remembers what a domain's
// slot, attachment and last next hops were. One goroutine uses it.
type Builder struct {
	discovery Discovery
	known     map[string]*memory // by identity
	slots     slots
	attached  uint64 // the last attachment generation given
}

// memory is what of a domain outlives one Set.
type memory struct {
	slot     uint16
	attached uint64
	lost     time.Time // since when the domain has not been online
	last     *Domain   // as it was in the last Set, nil before the first
	hops     [2]hopMemory
}

// NewBuilder returns a Builder that knows no domain yet.
func NewBuilder(d Discovery) *Builder {
	return &Builder{discovery: d, known: make(map[string]*memory)}
}

// Configure replaces what is ignored and declared; the next Build follows it. A
// domain that only gets another name stays the instance it was.
func (b *Builder) Configure(d Discovery) { b.discovery = d }

// identity is what makes a domain the same one in two states: the interface, as
// long as each interface is one domain with both families (RFC 7556 2.3). Ids of
// explicit domains and next hops that are domains of their own go in here.
func identity(ifname string) string { return ifname }

// Build returns the domains of st. Domains that did not change are the same
// pointers as in the last Set. Domains that were lost stay in it, offline and
// without addresses, until they are forgotten; Deadline says when that is.
func (b *Builder) Build(st netwatch.State, in Inputs) *Set {
	b.forget()
	kernel := newView(st)
	seen := make(map[string]bool)
	built := make(map[*Domain]string) // with identities
	var domains []*Domain
	keep := func(id string, d *Domain) {
		seen[id], built[d] = true, id
		domains = append(domains, d)
	}
	for _, link := range st.Links {
		id := identity(link.Name)
		switch {
		case link.Loopback || b.discovery.ignored(link.Name):
			b.drop(id)
		default:
			if d := b.present(id, link, kernel); d != nil {
				keep(id, d)
			}
		}
	}
	b.absent(seen, keep)
	for _, d := range domains {
		addResolvers(d, domains, in.Hints)
	}
	settled := domains[:0]
	for _, d := range domains {
		if b.settle(built[d], d) {
			in.judge(d)
			settled = append(settled, d)
		}
	}
	isolate(settled)
	for i, d := range settled {
		settled[i] = b.known[built[d]].note(d)
	}
	return NewSet(settled)
}

// present returns the domain of a link as it stands, nil if it makes none.
func (b *Builder) present(id string, link netwatch.Link, kernel *view) *Domain {
	decl, m := b.discovery.declared(link.Name), b.recallable(id, link)
	d := &Domain{
		Name: b.discovery.nameOf(link), Interface: link.Name, Ifindex: link.Index, P2P: link.PointToPoint,
		MTU: link.MTU, Weight: 1, Connectivity: Unknown,
	}
	up := link.Up && link.Carrier
	if up {
		kernel.fill(d)
		m.recall(d)
	} else {
		m.linkLost()
	}
	decl.lay(d)
	judge(d, link, decl)
	if d.State != Online && decl == nil && m.last == nil {
		return nil
	}
	if d.State == Offline && decl == nil {
		d.Internet = d.Internet || m.last.Internet // what it is good for when it is back
	}
	b.known[id] = m
	return d
}

// recallable returns the memory of a domain, a new one if there is none. The
// next hops of an interface that was made anew are not those of the old one.
func (b *Builder) recallable(id string, link netwatch.Link) *memory {
	m := b.known[id]
	if m == nil {
		return &memory{}
	}
	if m.last != nil && m.last.Ifindex != link.Index {
		m.hops = [2]hopMemory{}
	}
	return m
}

// judge says whether the domain can be used, and if not why.
func judge(d *Domain, link netwatch.Link, decl *Declaration) {
	d.State = Offline
	switch {
	case !link.Up:
		d.Reason = "the link is down"
	case !link.Carrier:
		d.Reason = "the link has no carrier"
	case len(d.Addresses) == 0 && decl != nil && len(decl.Addresses) > 0:
		d.Reason = "none of its declared addresses is on the interface"
	case len(d.Addresses) == 0:
		d.Reason = "no usable address"
	case !leads(d, decl):
		d.Reason = "no next hop"
	default:
		d.State, d.Reason = Online, "link, address and next hop are there"
	}
}

// leads reports whether an address leads anywhere: by a next hop, by routes of a
// point-to-point link (a VPN without default route), or, where the configuration
// declares the domain, by any route or to its neighbours.
func leads(d *Domain, decl *Declaration) bool {
	if decl != nil {
		return d.HasSource(false) && d.HasNextHop(false) || d.HasSource(true) && d.HasNextHop(true)
	}
	return len(d.NextHops) > 0 || d.P2P && len(d.Routes) > 0
}

// absent hands over the domains whose interface is not there: declared ones
// always, others until they are forgotten.
func (b *Builder) absent(seen map[string]bool, keep func(string, *Domain)) {
	for i := range b.discovery.Declarations {
		decl := &b.discovery.Declarations[i]
		id, reason := identity(decl.ifname()), "the interface is gone"
		if seen[id] {
			if b.discovery.declared(decl.ifname()) == decl {
				continue
			}
			id, reason = id+"@"+decl.Name, "its interface is another domain's"
		}
		if b.known[id] == nil {
			b.known[id] = &memory{}
		}
		d := &Domain{Name: decl.Name, Interface: decl.Interface, Weight: 1}
		decl.lay(d)
		keep(id, gone(d, reason))
	}
	for id, m := range b.known {
		if seen[id] {
			continue
		}
		if m.last == nil || m.attached == 0 {
			b.drop(id)
			continue
		}
		m.hops = [2]hopMemory{}
		keep(id, gone(&Domain{
			Name: m.last.Name, Interface: m.last.Interface, Weight: m.last.Weight, Internet: m.last.Internet,
		}, "the interface is gone"))
	}
}

func gone(d *Domain, reason string) *Domain {
	d.State, d.Reason, d.Connectivity, d.Addresses, d.NextHops = Offline, reason, Unknown, nil, nil
	return d
}

// settle gives d its slot and attachment; false when no slot is left.
func (b *Builder) settle(id string, d *Domain) bool {
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
