package pvd

import (
	"net/netip"
	"slices"
	"time"

	"mifvif/netwatch"
)

// How long, and how many of them, domains that are lost are still shown.
const (
	forgetAfter = 10 * time.Minute
	maxLost     = 64
)

// Builder turns states of the kernel and reports of networks into Sets. It
// remembers what a domain's slot, attachment and last next hops were. Learn is for
// any goroutine, the rest belongs to one.
type Builder struct {
	discovery Discovery
	ledger    *ledger
	known     map[identity]*memory
	slots     slots
	attached  uint64                  // the last attachment generation given
	placed    map[netip.Addr]struct{} // servers of the host's resolv.conf that lay behind some domain
}

// NewBuilder returns a Builder that knows no domain yet.
func NewBuilder(d Discovery) *Builder {
	return &Builder{discovery: d, ledger: newLedger(), known: make(map[identity]*memory)}
}

// Configure replaces what is ignored and declared; the next Build follows it. A
// domain that only gets another name stays the instance it was.
func (b *Builder) Configure(d Discovery) { b.discovery = d }

// Learn notes what a network said; the next Build shows it. It is false when the
// network has said more than is remembered of one. Safe for concurrent use.
func (b *Builder) Learn(r Report) bool { return b.ledger.learn(&r) }

// Refused counts the reports that Learn had no room for.
func (b *Builder) Refused() uint64 {
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	return b.ledger.refused
}

// building is a Set under way.
type building struct {
	*Builder
	kernel  *view
	now     time.Time
	parts   map[*Domain]*part
	domains []*Domain
	matched map[*Declaration]bool
}

// Build returns the domains of st. Domains that did not change are the same
// pointers as in the last Set. Domains that were lost stay in it, offline and
// without addresses, until they are forgotten; Deadline says when that is.
func (b *Builder) Build(st netwatch.State, in Inputs) *Set {
	b.forget()
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	w := &building{
		Builder: b, kernel: newView(st), now: time.Now(),
		parts: make(map[*Domain]*part), matched: make(map[*Declaration]bool),
	}
	b.ledger.sweep(w.now, attachedLinks(st))
	for _, link := range st.Links {
		if link.Loopback || b.discovery.Ignores(link.Name) {
			b.dropLink(link.Name)
			continue
		}
		w.link(link)
	}
	w.absent()
	w.name(st)
	for _, d := range w.domains {
		d.claims(w.domains)
	}
	w.place(in.Hints.Servers)
	for _, d := range w.domains {
		if w.parts[d].hinted() {
			w.addResolvers(d, in.Hints)
		}
	}
	settled := w.domains[:0]
	for _, d := range w.domains {
		if b.settle(w.parts[d].identity, d) {
			in.judge(d)
			in.lay64(d)
			in.layDesignated(d)
			settled = append(settled, d)
		}
	}
	isolate(settled)
	share(settled)
	for i, d := range settled {
		settled[i] = b.known[w.parts[d].identity].note(d)
	}
	return NewSet(settled)
}

// attachedLinks returns the links that are up.
func attachedLinks(st netwatch.State) map[int]bool {
	up := make(map[int]bool)
	for _, l := range st.Links {
		up[l.Index] = l.Up && l.Carrier
	}
	return up
}

func (w *building) keep(p *part, d *Domain) {
	w.parts[d] = p
	w.domains = append(w.domains, d)
}

// link builds the domains of one link.
func (w *building) link(link netwatch.Link) {
	div := divide(link, w.ledger.on(link.Index), &w.discovery)
	up := link.Up && link.Carrier
	domains := make([]*Domain, len(div.parts))
	for i, p := range div.parts {
		if p.decl != nil {
			w.matched[p.decl] = true
		}
		domains[i] = &Domain{
			ID: p.pvdID(), Explicit: p.kind == explicit, Interface: link.Name, Ifindex: link.Index, P2P: link.PointToPoint,
			MTU: link.MTU, Weight: 1, Connectivity: Unknown,
		}
		if up {
			w.kernel.fill(domains[i], p, div)
			domains[i].learn(p, div, w.now)
			domains[i].Wanted = p.wanted(w.kernel.identifier(link.Index))
			domains[i].lease(div.leases(p))
		}
	}
	if up {
		w.pass(div, domains)
	}
	for i, p := range div.parts {
		if w.finish(p, domains[i], link, up) {
			w.keep(p, domains[i])
		}
	}
}

// pvdID returns the explicit id of p, "" for an implicit domain.
func (p *part) pvdID() string {
	if p.kind == explicit {
		return p.what
	}
	return ""
}

// pass hands what is remembered of a domain that has lost all its addresses to
// the new one on the same link that has them now: a network that begins to name
// itself is the same attachment, and its flows stay; so is one whose router is heard
// again after the link was down for a moment. Where they went to one that was there
// already, the empty one is forgotten.
func (w *building) pass(div *division, domains []*Domain) {
	for id, m := range w.known {
		if id.ifname != div.link.Name || m.last == nil || len(m.last.Addresses) == 0 {
			continue
		}
		from := div.find(id)
		if from != nil && len(domains[slices.Index(div.parts, from)].Addresses) > 0 {
			continue
		}
		heir := slices.IndexFunc(domains, func(d *Domain) bool {
			return slices.ContainsFunc(m.last.Addresses, func(a Address) bool { return d.Owns(a.Prefix.Addr()) })
		})
		switch {
		case heir < 0 || id.kind == explicit && div.parts[heir].kind == explicit: // another network
		case !w.alive(div.parts[heir].identity):
			w.drop(div.parts[heir].identity)
			w.known[div.parts[heir].identity] = m
			delete(w.known, id)
		case from == nil || from.decl == nil:
			w.drop(id)
		}
	}
}

// finish lays the configuration over what was learned and says what the domain is
// good for; it is false where there is none.
func (w *building) finish(p *part, d *Domain, link netwatch.Link, up bool) bool {
	m := w.recallable(p.identity, link)
	if up {
		m.recall(d)
	} else {
		m.linkLost()
	}
	p.decl.lay(d)
	if d.NoInternet = p.inner(); d.NoInternet && (p.decl == nil || p.decl.Internet == nil) {
		d.Internet = false
	}
	judge(d, link, p.decl)
	if d.State != Online && p.decl == nil && m.last == nil && len(d.Wanted) == 0 {
		return false
	}
	if d.State == Offline && p.decl == nil && m.last != nil {
		d.Internet = d.Internet || m.last.Internet // what it is good for when it is back
	}
	w.known[p.identity] = m
	return true
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
	case len(d.Addresses) == 0 && len(d.Wanted) > 0:
		d.Reason = "its address is not there yet"
	case len(d.Addresses) == 0:
		d.Reason = "no usable address"
	case !leads(d, decl):
		d.Reason = "no next hop"
	case len(d.NextHops) == 0: // a tunnel, or neighbours are all there is
		d.State, d.Reason = Online, "link and address are there"
	default:
		d.State, d.Reason = Online, "link, address and next hop are there"
	}
}

// leads reports whether an address leads anywhere: by a next hop, by routes of a
// point-to-point link (a VPN without default route) or of a network that names
// itself, or, where the configuration declares the domain, by any route or to its
// neighbours.
func leads(d *Domain, decl *Declaration) bool {
	if decl != nil {
		return d.HasSource(false) && d.HasNextHop(false) || d.HasSource(true) && d.HasNextHop(true)
	}
	return len(d.NextHops) > 0 || (d.P2P || d.Explicit) && len(d.Routes) > 0
}

// absent adds the domains whose interface is not there: declared ones always,
// others until they are forgotten.
func (w *building) absent() {
	seen := make(map[identity]bool)
	for _, p := range w.parts {
		seen[p.identity] = true
	}
	for i := range w.discovery.Declarations {
		decl := &w.discovery.Declarations[i]
		if w.matched[decl] {
			continue
		}
		id, reason := w.discovery.away(decl, seen)
		if w.known[id] == nil {
			w.known[id] = &memory{}
		}
		seen[id] = true
		d := &Domain{Name: decl.Name, Interface: decl.Interface, Weight: 1}
		decl.lay(d)
		w.keep(&part{identity: id, decl: decl}, gone(d, reason))
	}
	for id, m := range w.known {
		if seen[id] {
			continue
		}
		if m.last == nil || m.attached == 0 {
			w.drop(id)
			continue
		}
		m.hops = [2]hopMemory{}
		w.keep(&part{identity: id}, gone(&Domain{
			Name: m.last.Name, ID: m.last.ID, Explicit: m.last.Explicit, Interface: m.last.Interface, Weight: m.last.Weight, Internet: m.last.Internet,
		}, w.lost(id)))
	}
}

// lost says why a domain is not there.
func (w *building) lost(id identity) string {
	if id.kind == whole || id.kind == declared || !w.kernel.has(id.ifname) {
		return "the interface is not there"
	}
	return "no router speaks of it any more"
}

// away returns the identity of a declared domain that no part of a link is, and
// why that is so.
func (d *Discovery) away(decl *Declaration, seen map[identity]bool) (identity, string) {
	id := identity{ifname: decl.ifname()}
	if d.declared(decl.ifname()) == decl && !seen[id] {
		return id, "the interface is not there"
	}
	return identity{decl.ifname(), declared, decl.Name}, "its interface is another domain's"
}

func gone(d *Domain, reason string) *Domain {
	d.State, d.Reason, d.Connectivity, d.Addresses, d.NextHops = Offline, reason, Unknown, nil, nil
	return d
}
