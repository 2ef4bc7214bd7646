package pvd

import "net/netip"

const dnsPort = 53

// addResolvers gives d the resolvers that its own sources did not name: those
// the host's resolver knows for its link, else those of the host's resolv.conf
// that can be d's. A server that lies behind one domain is that domain's alone;
// any other is asked through every domain that leads to the Internet.
func addResolvers(d *Domain, all []*Domain, hints Hints) {
	if len(d.Resolvers) > 0 {
		return
	}
	if servers := hints.PerLink[d.Ifindex]; len(servers) > 0 {
		for _, s := range servers {
			d.Resolvers = append(d.Resolvers, Resolver{Addr: netip.AddrPortFrom(s, dnsPort), Origin: FromKernel})
		}
		return
	}
	for _, s := range hints.Servers {
		if s.IsLoopback() || !d.hasAddress(s.Is6()) {
			continue
		}
		owned := false
		for _, other := range all {
			owned = owned || other.claims(s)
		}
		if d.claims(s) || !owned && d.Internet && d.HasNextHop(s.Is6()) {
			d.Resolvers = append(d.Resolvers, Resolver{Addr: netip.AddrPortFrom(s, dnsPort), Origin: FromKernel})
		}
	}
	if len(d.Search) == 0 {
		d.Search = hints.Search
	}
}

// claims reports whether a is on d's link or behind one of its routes.
func (d *Domain) claims(a netip.Addr) bool {
	if _, ok := d.onLink(a); ok {
		return true
	}
	for _, r := range d.Routes {
		if r.Dst.Contains(a) {
			return true
		}
	}
	for _, p := range d.Prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// hasAddress reports whether d has any address of the family.
func (d *Domain) hasAddress(is6 bool) bool {
	for _, a := range d.Addresses {
		if a.Prefix.Addr().Is6() == is6 {
			return true
		}
	}
	return false
}
