package scheduler

import (
	"cmp"

	"mifvif/pvd"
)

// advice is how far back a domain stands by what networks say, in the order in
// which it counts. A network ranks nothing but itself: it is compared behind what
// users and administrators say, and never takes a candidate away or adds one
// (standards D.1).
type advice struct {
	claim    stand // of those that claim the destination
	resolver int   // of questions about names that are nobody's (RFC 6731 4.1)
	router   int   // of destinations that are nobody's (RFC 4191 2.1)
}

func (a advice) compare(b advice) int {
	return cmp.Or(cmp.Compare(a.claim, b.claim), cmp.Compare(a.resolver, b.resolver), cmp.Compare(a.router, b.router))
}

// advised returns what the network of the domain at place i says of it, as far as
// it is about the flow. A name's zone and an answer have said all there is.
func (p *pick) advised(i int, d *pvd.Domain) (a advice) {
	switch {
	case p.owned:
		a.claim = p.owners.standOf(i)
	case p.zoned, p.bound:
	default:
		if p.flow.dst.IsUnspecified() {
			a.resolver = int(pvd.High - resolverPreference(d))
		}
		a.router = int(pvd.High - routerPreference(d, p.flow.family == 1))
	}
	return a
}

// routerPreference returns the best one of a domain's default routers.
func routerPreference(d *pvd.Domain, is6 bool) pvd.Preference {
	best, found := pvd.Low, false
	for _, h := range d.NextHops {
		if h.Is6 == is6 {
			best, found = max(best, h.Preference), true
		}
	}
	if !found {
		return pvd.Medium
	}
	return best
}

// resolverPreference returns the best one of the resolvers that a domain has for
// every name. Only trusted domains are asked for it, so that nobody else comes
// before them; one that calls its own resolvers the worse ones is believed.
func resolverPreference(d *pvd.Domain) pvd.Preference {
	if d.Trust != pvd.Trusted {
		return pvd.Medium
	}
	best, found := pvd.Low, false
	for _, r := range d.Resolvers {
		if !r.Only {
			best, found = max(best, r.Preference), true
		}
	}
	if !found {
		return pvd.Medium
	}
	return best
}
