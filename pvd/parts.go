package pvd

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"mifvif/netwatch"
)

// identity is what makes a domain the same one in two states: its interface and,
// where it is not all there is on it, what sets it apart (RFC 7556 2.3): an
// explicit id, a next hop of its own, or the name it is declared by.
type identity struct {
	ifname string
	kind   kind
	what   string
}

type kind uint8

const (
	whole    kind = iota // the first implicit domain of an interface
	explicit             // what is the id (RFC 8801)
	byHop                // what is the next hop
	declared             // what is the declared name
)

// part is one domain of a link while it is put together.
type part struct {
	identity
	voices []*voice // routers and additional information
	decl   *Declaration
	fixed  bool // made by its declaration: it owns the next hops named there
}

// division is how a link is divided into domains.
type division struct {
	link  netwatch.Link
	parts []*part // the first implicit one is first
	v4    *part   // the one that IPv4 belongs to
	dhcp  []*voice
	host  *voice // the manager of the link, nil if there is none
}

// divide says which domains a link has: one implicit domain, one for each
// explicit id and for each further implicit router that was heard, and one for
// each declaration with next hops of its own.
func divide(link netwatch.Link, voices []*voice, discovery *Discovery) *division {
	d := &division{link: link, parts: []*part{{identity: identity{ifname: link.Name}}}}
	for _, v := range voices {
		switch v.origin {
		case FromRA:
			p := d.part(v.identity(link.Name))
			p.voices = append(p.voices, v)
		case FromJSON: // speaks of a domain that a router has named
			if p := d.find(v.identity(link.Name)); p != nil {
				p.voices = append(p.voices, v)
			}
		case FromManager:
			d.host = v
		default:
			d.dhcp = append(d.dhcp, v)
		}
	}
	d.v4 = d.legacy()
	d.declare(discovery)
	return d
}

// identity returns that of the domain a router or its additional information
// speaks of.
func (v *voice) identity(ifname string) identity {
	switch {
	case v.id != "":
		return identity{ifname, explicit, v.id}
	case v.seat.IsValid():
		return identity{ifname, byHop, v.seat.String()}
	}
	return identity{ifname: ifname}
}

func (d *division) find(id identity) *part {
	for _, p := range d.parts {
		if p.identity == id {
			return p
		}
	}
	return nil
}

func (d *division) part(id identity) *part {
	p := d.find(id)
	if p == nil {
		p = &part{identity: id}
		d.parts = append(d.parts, p)
	}
	return p
}

// legacy returns the part that IPv4 and DHCPv4 belong to: the explicit domain
// that claims them, if exactly one does, else the implicit ones of the link (RFC
// 8801 3.4.2), of which the first stands for all: it is one exit.
func (d *division) legacy() *part {
	var claimed []*part
	for _, p := range d.parts {
		if p.kind == explicit && slices.ContainsFunc(p.voices, func(v *voice) bool { return v.said.RA != nil && v.said.RA.Legacy }) {
			claimed = append(claimed, p)
		}
	}
	if len(claimed) == 1 {
		return claimed[0]
	}
	return d.parts[0]
}

// declare finds the part that each declaration of the link is about: by its
// explicit id, by a router among its next hops, else the first one that is not
// taken; a further declaration with next hops makes a domain.
func (d *division) declare(discovery *Discovery) {
	for i := range discovery.Declarations {
		decl := &discovery.Declarations[i]
		if decl.ifname() != d.link.Name {
			continue
		}
		p := d.meant(decl, discovery)
		if p == nil && len(decl.NextHops) > 0 {
			p = d.part(identity{d.link.Name, declared, decl.Name})
			p.fixed = true
		}
		if p != nil {
			p.decl = decl
		}
	}
}

func (d *division) meant(decl *Declaration, discovery *Discovery) *part {
	for _, p := range d.parts {
		if p.decl == nil && (p.kind == explicit && p.what == CanonicalName(decl.Name) || p.routes(decl.NextHops)) {
			return p
		}
	}
	first := d.parts[0]
	if first.decl != nil || len(decl.NextHops) > 0 && discovery.plain(d) {
		return nil
	}
	if d.v4 != first && len(first.voices) == 0 { // everything of the link is the explicit domain's
		if d.v4.decl == nil {
			return d.v4
		}
		return nil
	}
	return first
}

// plain reports whether a declaration without next hops is about the first domain
// of a link, which then is not another's.
func (d *Discovery) plain(div *division) bool {
	return slices.ContainsFunc(d.Declarations, func(decl Declaration) bool {
		return decl.ifname() == div.link.Name && len(decl.NextHops) == 0 &&
			div.find(identity{div.link.Name, explicit, CanonicalName(decl.Name)}) == nil
	})
}

// routes reports whether one of the addresses is a router of p's.
func (p *part) routes(hops []netip.Addr) bool {
	return slices.ContainsFunc(p.voices, func(v *voice) bool {
		return v.origin == FromRA && slices.Contains(hops, v.sender)
	})
}

// names returns what p may be called, best first.
func (p *part) names(discovery *Discovery, link netwatch.Link) []string {
	number := "#" + strconv.Itoa(link.Index)
	switch {
	case p.decl != nil:
		return []string{p.decl.Name}
	case p.kind == explicit:
		return []string{p.what, p.what + number}
	case p.kind == byHop:
		return []string{p.ifname + "@" + p.what, p.ifname + number + "@" + p.what}
	}
	for i := range discovery.Declarations {
		if discovery.Declarations[i].Name == link.Name {
			return []string{link.Name + number}
		}
	}
	return []string{link.Name, link.Name + number}
}

// ownerOf returns the part that an address of the link belongs to, and the
// fixed ones that share it.
func (d *division) owns(p *part, a netip.Prefix) bool {
	addr := a.Addr()
	if p.fixed {
		return p.decl.uses(a)
	}
	if addr.Is4() {
		return p == d.v4
	}
	return d.advertiser(addr) == p
}

// uses reports whether a domain that only its declaration makes uses an address:
// one that it names, else one that has a next hop of its on the link.
func (d *Declaration) uses(a netip.Prefix) bool {
	if len(d.Addresses) > 0 {
		return slices.Contains(d.Addresses, a.Addr())
	}
	return slices.ContainsFunc(d.NextHops, func(hop netip.Addr) bool {
		return a.Masked().Contains(hop) || hop.Is6() && a.Addr().Is6() && hop.IsLinkLocalUnicast()
	})
}

// advertiser returns the part whose routers advertised the longest prefix that a
// is in (RFC 8028 2.1), the first part if none did.
func (d *division) advertiser(a netip.Addr) *part {
	owner, longest := d.parts[0], -1
	for _, p := range d.parts {
		for _, v := range p.voices {
			for _, ad := range v.said.Adverts {
				if ad.Prefix.Bits() > longest && ad.Prefix.Contains(a) {
					owner, longest = p, ad.Prefix.Bits()
				}
			}
			for _, was := range v.auto { // a prefix that is withdrawn keeps its address
				if was.prefix.Bits() > longest && was.prefix.Contains(a) {
					owner, longest = p, was.prefix.Bits()
				}
			}
		}
	}
	return owner
}

// leads reports whether a kernel route by a gateway is p's: those by a router
// are its domain's, all others the first's.
func (d *division) leads(p *part, gateway netip.Addr, dst netip.Prefix) bool {
	switch {
	case p.fixed:
		return false
	case dst.Addr().Is4():
		return p == d.v4 && !d.fixed(gateway)
	case !gateway.IsValid() && dst.Bits() > 0:
		return d.advertiser(dst.Addr()) == p
	}
	known := false
	for _, o := range d.parts {
		if o.routes([]netip.Addr{gateway}) {
			if o == p {
				return true
			}
			known = true
		}
	}
	return !known && p == d.parts[0] && !d.fixed(gateway)
}

// fixed reports whether a next hop is that of a domain made by its declaration.
func (d *division) fixed(hop netip.Addr) bool {
	return slices.ContainsFunc(d.parts, func(p *part) bool { return p.fixed && slices.Contains(p.decl.NextHops, hop) })
}

// closing reports whether p has routers, all of which have said that they are no
// default router (any more), and no route that they announce.
func (p *part) closing(now time.Time) bool {
	heard := false
	for _, v := range p.voices {
		if v.origin != FromRA {
			continue
		}
		if !ended(v.router, now) && !v.router.IsZero() || len(v.said.Routes) > 0 {
			return false
		}
		heard = true
	}
	return heard
}
