package pvd

import (
	"net/netip"
	"slices"
)

// stateless returns the DHCP answers that are p's: DHCPv4's where IPv4 is,
// DHCPv6's in all domains whose routers sent the host to DHCPv6 (RFC 8801 3.4.1),
// in the first one if none did. An answer that tells itself whose it is, because
// its server or the router that it names is one domain's, is that one's only.
func (d *division) stateless(p *part) []*voice {
	sent := slices.ContainsFunc(d.parts, (*part).sends)
	var out []*voice
	var server *voice
	for _, v := range d.dhcp {
		told := slices.ContainsFunc(d.parts, func(o *part) bool { return o.answers(v) })
		switch {
		case told:
			if p.answers(v) {
				out = append(out, v)
			}
		case p.fixed:
		case v.origin == FromDHCPv6:
			if p.sends() || !sent && p == d.parts[0] {
				out = append(out, v)
			}
		case p == d.v4 && v.sender.IsValid() && server != nil: // one network's configuration, whole
		case p == d.v4:
			if v.sender.IsValid() {
				server = v
			}
			out = append(out, v)
		}
	}
	return out
}

// settings returns what the manager of the link has it use, as far as it is p's,
// nil if nothing is. The manager does not tell the domains of a link apart: where
// there are several, its IPv4 resolvers and its names are those of IPv4's domain,
// and IPv6 resolvers are known from the routers that named them.
func (d *division) settings(p *part) *voice {
	if d.host == nil || p != d.v4 || p.fixed {
		return nil
	}
	if len(d.parts) == 1 {
		return d.host
	}
	own := *d.host
	own.said.Resolvers = slices.DeleteFunc(slices.Clone(own.said.Resolvers), func(r Resolver) bool { return r.Addr.Addr().Is6() })
	return &own
}

// answers reports whether a DHCP answer says itself that it is p's: the server of
// DHCPv6 is one of p's routers that sent the host there, that of DHCPv4, or the
// router that it names, a next hop that p is declared with.
func (p *part) answers(v *voice) bool {
	if v.origin == FromDHCPv6 {
		return p.sends() && p.routes([]netip.Addr{v.sender})
	}
	if !p.fixed {
		return false
	}
	return slices.Contains(p.decl.NextHops, v.sender) ||
		slices.ContainsFunc(v.said.NextHops, func(h NextHop) bool { return slices.Contains(p.decl.NextHops, h.Addr) })
}

// sends reports whether a router of p says that DHCPv6 knows more.
func (p *part) sends() bool {
	return slices.ContainsFunc(p.voices, (*voice).sends)
}

// sends is the same of one router.
func (v *voice) sends() bool { return v.said.RA != nil && (v.said.RA.Other || v.said.RA.Managed) }
