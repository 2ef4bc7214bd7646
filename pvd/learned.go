package pvd

import (
	"cmp"
	"slices"
	"time"

	"golang.org/x/net/publicsuffix"
)

// metricRA is the metric of a default router that the kernel has no route by, the
// one it would have given it.
const metricRA = 1024

// learn adds what networks said to a domain that has the kernel's objects.
func (d *Domain) learn(p *part, div *division, now time.Time) {
	d.routersOf(p, now)
	d.Additional = p.additional()
	for _, v := range append(div.stateless(p), p.voices...) {
		d.take(v)
	}
	if v := div.settings(p); v != nil {
		d.take(v)
		d.prefer(v.said.Resolvers)
	}
	if p.closing(now) && !d.HasHop(true) {
		d.Addresses = slices.DeleteFunc(d.Addresses, func(a Address) bool { return a.Prefix.Addr().Is6() })
	}
	slices.SortStableFunc(d.NextHops, func(a, b NextHop) int {
		return cmp.Or(cmp.Compare(b.Preference, a.Preference), cmp.Compare(a.Metric, b.Metric))
	})
}

// routersOf makes d's IPv6 next hops what its routers say, with what is known of
// the kernel's routes by them.
func (d *Domain) routersOf(p *part, now time.Time) {
	for _, v := range p.voices {
		if v.origin != FromRA {
			continue
		}
		hop := NextHop{Addr: v.sender, Is6: true, Metric: metricRA, Origin: FromRA, Preference: v.said.RA.Preference, Until: v.router}
		def := false
		for _, r := range v.said.Routes {
			if r.Dst.Bits() == 0 && r.Dst.Addr().Is6() { // overrides lifetime and preference (RFC 4191 3.1)
				hop.Preference, hop.Until, def = r.Preference, r.Until, true
			}
		}
		alive := def || !v.router.IsZero() && v.router.After(now)
		i := slices.IndexFunc(d.NextHops, func(h NextHop) bool { return h.Is6 && h.Addr == v.sender })
		switch {
		case i >= 0 && alive:
			d.NextHops[i].Preference, d.NextHops[i].Until = hop.Preference, hop.Until
		case i >= 0 && d.NextHops[i].Origin == FromRA:
			d.NextHops = slices.Delete(d.NextHops, i, i+1)
		case i < 0 && alive:
			d.NextHops = append(d.NextHops, hop)
		}
	}
}

// take adds what one voice says.
func (d *Domain) take(v *voice) {
	s := &v.said
	d.Adverts = append(d.Adverts, s.Adverts...)
	for _, r := range s.Routes {
		if r.Dst.Bits() > 0 {
			d.offer(r)
		}
	}
	for _, r := range s.Resolvers {
		if !slices.ContainsFunc(d.Resolvers, func(o Resolver) bool { return o.names() == r.names() }) {
			d.Resolvers = append(d.Resolvers, r)
		}
	}
	d.Designated = append(d.Designated, s.Designated...)
	d.Zones = append(d.Zones, s.Zones...)
	for _, z := range s.Search {
		if !slices.ContainsFunc(d.Search, func(o Zone) bool { return o.Name == z.Name }) {
			d.Search = append(d.Search, z)
		}
	}
	d.NTP = append(d.NTP, s.NTP...)
	d.PREF64 = append(d.PREF64, s.PREF64...)
	if d.Portal.URI == "" {
		d.Portal = s.Portal
	}
	if len(d.Selection) == 0 {
		d.Selection, d.PreferPublic = s.Selection, d.PreferPublic || s.PreferPublic
	}
	if s.MTU > 0 && (d.MTU == 0 || s.MTU < d.MTU) {
		d.MTU = s.MTU
	}
	d.hopsOf(s.NextHops)
	if v.origin == FromJSON {
		d.Trust = max(d.Trust, Authenticated)
	}
}

// prefer puts the resolvers that the host's manager has the link use before those
// that only the network named, after those that the network wants to be spoken to in
// secret.
func (d *Domain) prefer(used []Resolver) {
	rank := func(r Resolver) int {
		if r.Transport != Plain {
			return -1
		}
		if i := slices.IndexFunc(used, func(u Resolver) bool { return u.Addr == r.Addr }); i >= 0 {
			return i
		}
		return len(used)
	}
	slices.SortStableFunc(d.Resolvers, func(a, b Resolver) int { return cmp.Compare(rank(a), rank(b)) })
}

// additional returns what the last advertisement of p's id says of its additional
// information.
func (p *part) additional() Additional {
	var last *Report
	for _, v := range p.voices {
		if p.kind == explicit && v.said.RA != nil && (last == nil || v.said.Received.After(last.Received)) {
			last = &v.said
		}
	}
	if last == nil || !last.RA.HTTP {
		return Additional{}
	}
	return Additional{HTTP: true, Delay: last.RA.Delay, Sequence: last.RA.Sequence}
}

// inner reports whether the network says that it does not lead to the Internet
// (RFC 8801 4.3).
func (p *part) inner() bool {
	return slices.ContainsFunc(p.voices, func(v *voice) bool { return v.origin == FromJSON && v.said.NoInternet })
}

// hopsOf adds the next hops that a DHCP server named where the kernel has none of
// their family: its client may have been told to set no default route. Those outside
// of d's prefixes are on the link without any address saying so (providers lease
// single addresses), unless others are inside.
func (d *Domain) hopsOf(said []NextHop) {
	for _, is6 := range []bool{false, true} {
		if d.HasHop(is6) || !d.HasAddress(is6) {
			continue
		}
		inside := slices.ContainsFunc(said, func(h NextHop) bool { return h.Is6 == is6 && d.OnLink(h.Addr) })
		for _, h := range said {
			if h.Is6 == is6 && (!inside || d.OnLink(h.Addr)) && !d.Owns(h.Addr) {
				d.addHop(h)
			}
		}
	}
}

// offer adds a route, or betters one to the same destination: the higher
// preference wins (RFC 4191 3.2), the kernel's own copy of it yields.
func (d *Domain) offer(r Route) {
	i := slices.IndexFunc(d.Routes, func(o Route) bool { return o.Dst == r.Dst })
	switch {
	case i < 0 && len(d.Routes) < maxRoutes:
		d.Routes = append(d.Routes, r)
	case i >= 0 && (d.Routes[i].Until.IsZero() && d.Routes[i].Origin == r.Origin || d.Routes[i].Origin != FromKernel && r.Preference > d.Routes[i].Preference):
		d.Routes[i] = r
	}
}

// claims drops the zones that d has no right to (standards D.5): without trust
// in d a zone is accepted within the registrable domain of an id that was proven,
// and below a suffix that is nobody's in public, if no other domain claims it.
func (d *Domain) claims(others []*Domain) {
	d.Zones = slices.DeleteFunc(d.Zones, func(z Zone) bool {
		return z.Origin == FromJSON && !d.mayClaim(z.Name, others)
	})
}

func (d *Domain) mayClaim(zone string, others []*Domain) bool {
	if d.Trust == Trusted {
		return zone != ""
	}
	suffix, icann := publicsuffix.PublicSuffix(zone)
	if zone == "" || icann && suffix == zone {
		return false
	}
	if owner, err := publicsuffix.EffectiveTLDPlusOne(d.ID); err == nil {
		if own, err := publicsuffix.EffectiveTLDPlusOne(zone); err == nil && own == owner {
			return !taken(zone, d, others, Trusted)
		}
	}
	return !icann && suffix == zone[lastLabel(zone):] && !taken(zone, d, others, Untrusted)
}

// lastLabel returns where the last label of a name starts.
func lastLabel(name string) int {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			return i + 1
		}
	}
	return 0
}

// taken reports whether another domain of at least that trust, and another id,
// claims a zone.
func taken(zone string, d *Domain, others []*Domain, trust Trust) bool {
	return slices.ContainsFunc(others, func(o *Domain) bool {
		return o != d && o.Trust >= trust && (o.ID == "" || o.ID != d.ID) &&
			slices.ContainsFunc(o.Zones, func(z Zone) bool { return z.Name == zone })
	})
}

// hinted reports whether hints about the whole link may be meant for a part: the
// host's resolver does not tell the domains of a link apart.
func (id identity) hinted() bool { return id.kind == whole || id.kind == declared }
