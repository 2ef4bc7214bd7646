package pvd

import (
	"net/netip"
	"slices"
	"strconv"

	"mifvif/netwatch"
)

const dnsPort = 53

// addResolvers gives d the resolvers that its own sources did not name: those
// the host's resolver knows for its link, else those of the host's resolv.conf
// that can be d's.
func (w *building) addResolvers(d *Domain, hints Hints) {
	if len(d.Resolvers) > 0 || d.State == Offline {
		return
	}
	servers := hints.PerLink[d.Ifindex]
	if len(servers) == 0 {
		for _, s := range hints.Servers {
			if w.mayAsk(d, s) && !w.kernel.elsewhere(s, w.domains) {
				servers = append(servers, s)
			}
		}
	}
	for _, s := range servers {
		d.Resolvers = append(d.Resolvers, Resolver{Addr: netip.AddrPortFrom(s, dnsPort), Origin: FromKernel})
	}
	if len(d.Search) == 0 {
		d.Search = zones(hints.Search, FromKernel)
	}
}

// layDesignated adds what was found of the resolvers that a domain only names.
func (in *Inputs) layDesignated(d *Domain) {
	for _, x := range d.Designated {
		for _, r := range in.Designated[d.Key()] {
			if r.Name != x.Name || len(d.Resolvers) >= maxNamed {
				continue
			}
			r.Priority, r.Origin, r.Until = x.Priority, x.Origin, x.Until
			if !slices.ContainsFunc(d.Resolvers, func(o Resolver) bool { return o.names() == r.names() }) {
				d.Resolvers = append(d.Resolvers, r)
			}
		}
	}
}

// place remembers which servers of the host's resolv.conf lie behind some domain,
// as long as they are in it: what has been one domain's is not another's when the
// first is gone.
func (w *building) place(servers []netip.Addr) {
	placed := make(map[netip.Addr]struct{})
	for _, s := range servers {
		_, before := w.placed[s]
		if before || slices.ContainsFunc(w.domains, func(d *Domain) bool { return d.reaches(s) }) {
			placed[s] = struct{}{}
		}
	}
	w.placed = placed
}

// mayAsk reports whether a server of the host's resolv.conf can be meant for d.
// A server that lies behind some domain, or did, is that domain's alone (RFC 6418
// 4.1); any other is asked through every domain that leads to the Internet, a
// private one only where a private network may be.
func (w *building) mayAsk(d *Domain, server netip.Addr) bool {
	if zone := server.Zone(); zone != "" {
		return zone == d.Interface || zone == strconv.Itoa(d.Ifindex)
	}
	if server.IsLoopback() || server.IsUnspecified() || !d.HasSource(server.Is6()) {
		return false
	}
	if d.reaches(server) {
		return true
	}
	if _, placed := w.placed[server]; placed {
		return false
	}
	return d.Internet && d.HasDefault(server.Is6()) && (!Private(server) || d.Inside(server.Is6()))
}

// elsewhere reports whether a lies behind an interface that makes no domain, by
// more than a default route: on a LAN's, a container network's or an ignored
// one's. Nobody has it on an uplink.
func (v *view) elsewhere(a netip.Addr, all []*Domain) bool {
	for ifindex, routes := range v.routes {
		domain := slices.ContainsFunc(all, func(d *Domain) bool { return d.Ifindex == ifindex && d.State != Offline })
		behind := func(r netwatch.Route) bool { return r.Dst.Bits() > 1 && r.Dst.Contains(a) }
		if !domain && slices.ContainsFunc(routes, behind) {
			return true
		}
	}
	return false
}

// reaches reports whether a is on d's link or behind one of its routes or
// declared prefixes.
func (d *Domain) reaches(a netip.Addr) bool {
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
