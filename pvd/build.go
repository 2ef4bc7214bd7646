package pvd

import (
	"net/netip"
	"time"

	"mifvif/netwatch"
)

// forgetAfter is how long a domain whose interface has left is still shown.
const forgetAfter = 10 * time.Minute

// Builder turns states of the kernel into Sets. It remembers what a name's slot,
// attachment and last next hops were. One goroutine uses it.
type Builder struct {
	discovery Discovery
	now       func() time.Time
	known     map[string]*memory // by domain name
	slots     slots
	attached  uint64
}

// memory is what outlives one Set.
type memory struct {
	slot     uint16
	attached uint64
	up       bool
	lost     time.Time // since when the domain has been down
	last     *Domain
	hops     []remembered
}

// NewBuilder returns a Builder that knows no domain yet.
func NewBuilder(d Discovery) *Builder {
	return &Builder{discovery: d, now: time.Now, known: make(map[string]*memory)}
}

// Configure replaces what is ignored and declared; the next Build follows it.
func (b *Builder) Configure(d Discovery) { b.discovery = d }

// Build returns the domains of st. Domains that did not change are the same
// pointers as in the last Set.
func (b *Builder) Build(st netwatch.State, hints Hints) *Set {
	view := newView(st)
	seen := make(map[string]bool)
	var domains []*Domain
	for _, link := range st.Links {
		if link.Loopback || b.discovery.ignored(link.Name) {
			continue
		}
		if d := b.domain(link, view); d != nil {
			seen[d.Name] = true
			domains = append(domains, d)
		}
	}
	domains = append(domains, b.absent(seen)...)
	for i, d := range domains {
		if d.State == Online {
			addResolvers(d, domains, hints)
		}
		domains[i] = b.settle(d)
	}
	return NewSet(domains)
}

// domain returns the domain of a link as it stands, nil if it makes none.
func (b *Builder) domain(link netwatch.Link, v *view) *Domain {
	decl := b.discovery.declared(link.Name)
	d := &Domain{
		Name: link.Name, Interface: link.Name, Ifindex: link.Index, P2P: link.PointToPoint,
		MTU: link.MTU, Weight: 1, Connectivity: Unknown,
	}
	if decl != nil {
		d.Name = decl.Name
	}
	m := b.known[d.Name]
	up := link.Up && link.Carrier
	if up {
		v.fill(d)
		d.recall(m)
		declare(d, decl)
		d.Internet = internet(d, decl)
	}
	switch {
	case m == nil && !b.uplink(d, decl, up):
		return nil
	case !up:
		d.State, d.Reason = Offline, "the link is down"
	case len(d.Addresses) == 0:
		d.State, d.Reason = Offline, "no address"
	case !d.HasNextHop(false) && !d.HasNextHop(true):
		d.State, d.Reason = Offline, "no next hop"
	default:
		d.State, d.Reason, d.Connectivity = Online, "link, address and next hop are there", Unknown
	}
	return d
}

// uplink reports whether a link that was none before is one now: it has an
// address and leads somewhere, or the configuration says it is one.
func (b *Builder) uplink(d *Domain, decl *Declaration, up bool) bool {
	if decl != nil {
		return true
	}
	if !up || len(d.Addresses) == 0 {
		return false
	}
	return len(d.NextHops) > 0 || d.P2P && (d.Internet || len(d.Routes) > 0)
}

// absent returns domains whose interface is gone: declared ones always, others
// for a while.
func (b *Builder) absent(seen map[string]bool) []*Domain {
	var out []*Domain
	for i := range b.discovery.Declarations {
		decl := &b.discovery.Declarations[i]
		if !seen[decl.Name] {
			seen[decl.Name] = true
			d := &Domain{Name: decl.Name, Interface: decl.Interface, Weight: 1}
			declare(d, decl)
			out = append(out, gone(d))
		}
	}
	for name, m := range b.known {
		if seen[name] || m.last == nil {
			continue
		}
		if !m.up && b.now().Sub(m.lost) > forgetAfter {
			b.slots.release(m.slot)
			delete(b.known, name)
			continue
		}
		out = append(out, gone(&Domain{Name: name, Interface: m.last.Interface, Weight: m.last.Weight}))
	}
	return out
}

func gone(d *Domain) *Domain {
	d.State, d.Reason, d.Connectivity = Offline, "the interface is gone", Unknown
	return d
}

// settle gives d its slot and attachment and notes it for the next time.
func (b *Builder) settle(d *Domain) *Domain {
	m := b.known[d.Name]
	if m == nil {
		slot, ok := b.slots.take()
		if !ok {
			d.State, d.Reason = Disabled, "more domains than mifvif keeps tables for"
			return d
		}
		m = &memory{slot: slot, lost: b.now()}
		b.known[d.Name] = m
	}
	up := d.State == Online
	if up && (!m.up || m.last != nil && reattached(m.last, d)) {
		b.attached++
		m.attached = b.attached
	}
	if m.up && !up {
		m.lost = b.now()
	}
	d.Slot, d.Attached = m.slot, m.attached
	m.remember(d, up)
	m.up = up
	if m.last != nil && Equal(m.last, d) {
		return m.last
	}
	m.last = d
	return d
}

// reattached reports whether the domain lost all it stood on between two
// states although neither showed it down: another interface, or no address in
// common.
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

// internet reports whether the domain leads to the Internet: what the
// configuration says, else whether it has a default route.
func internet(d *Domain, decl *Declaration) bool {
	if decl != nil && decl.Internet != nil {
		return *decl.Internet
	}
	return len(d.NextHops) > 0
}

// declare lays what the configuration says over what was discovered.
func declare(d *Domain, decl *Declaration) {
	if decl == nil {
		return
	}
	if len(decl.Addresses) > 0 {
		d.Addresses = only(d.Addresses, decl.Addresses)
	}
	if len(decl.NextHops) > 0 {
		d.NextHops = nil
		for _, hop := range decl.NextHops {
			d.NextHops = append(d.NextHops, NextHop{Addr: hop, Is6: hop.Is6(), Origin: FromConfig})
		}
	}
	d.Prefixes, d.Zones, d.Search = decl.Prefixes, decl.Zones, decl.Search
	for _, s := range decl.Servers {
		d.Resolvers = append(d.Resolvers, Resolver{Addr: s, Origin: FromConfig})
	}
	d.Metered = decl.Metered
	if decl.Trusted != nil {
		d.Trusted = *decl.Trusted
	}
	if decl.Weight > 0 {
		d.Weight = decl.Weight
	}
}

// only keeps the addresses that are wanted.
func only(have []Address, want []netip.Addr) []Address {
	var out []Address
	for _, a := range have {
		for _, w := range want {
			if a.Prefix.Addr() == w {
				out = append(out, a)
			}
		}
	}
	return out
}
