package scheduler

import (
	"net/netip"

	"mifvif/pvd"
)

// owners are the domains that hold a prefix to be their own, and how firmly.
type owners struct {
	members
	// by holds, for each stand but routed, those of that stand; nil where there are
	// none.
	by [stands]*members
}

// stand is how firmly a domain claims a prefix, the firmest first: what is on its
// link or declared goes before what routes lead to (standards D.6), and among
// routes their own preference decides (RFC 4191 2.1).
type stand int

const (
	firm stand = iota
	routedHigh
	routed
	routedLow
	stands // how many there are
)

// standOf returns how firmly a domain that owns the prefix claims it.
func (o *owners) standOf(i int) stand {
	for s := range stands {
		if in := o.by[s]; in != nil && in.has(i) {
			return s
		}
	}
	return routed
}

// add notes that the domain at place i claims the prefix. The firmest claim of a
// domain counts.
func (o *owners) add(i int, s stand) {
	if o.has(i) {
		if o.standOf(i) <= s {
			return
		}
		if in := o.by[o.standOf(i)]; in != nil {
			in.remove(i)
		}
	}
	o.members.add(i)
	if s == routed {
		return
	}
	if o.by[s] == nil {
		o.by[s] = new(members)
	}
	o.by[s].add(i)
}

// claimFor notes what d holds to be its own: what the configuration declares to
// be behind it, what is on its links, and those of its routes that it may speak
// for. "Everything" is no claim, but what Internet says.
func (s *snapshot) claimFor(i int, d *pvd.Domain) {
	for _, p := range d.Prefixes {
		s.claim(p, i, firm)
	}
	for _, a := range d.Addresses {
		if !a.Prefix.IsSingleIP() {
			s.claim(a.Prefix, i, firm)
		}
	}
	for _, p := range d.PREF64 {
		if pvd.Reserved64(p.Prefix) { // of others a network could take what is not its own
			s.claim(p.Prefix, i, firm)
		}
	}
	for _, r := range d.Routes {
		if credible(d, r) {
			s.claim(r.Dst, i, routed-stand(r.Preference))
		}
	}
}

// credible reports whether a route of d may draw flows to d. The host's own
// routes may, and all routes of a trusted domain. What a network announces by
// itself steers only what is on it already, or a rogue DHCP server would take
// traffic from a VPN (standards D.6); a domain that has nothing but such routes
// may claim private destinations by them.
func credible(d *pvd.Domain, r pvd.Route) bool {
	return !announced(r.Origin) || d.Trust == pvd.Trusted || !d.Internet && pvd.Private(r.Dst.Addr())
}

// announced reports whether a network said something by itself: neither the
// host's own configuration nor ours did.
func announced(o pvd.Origin) bool { return o != pvd.FromKernel && o != pvd.FromConfig }

func (s *snapshot) claim(p netip.Prefix, i int, firmness stand) {
	if p.Bits() == 0 {
		return
	}
	o, ok := s.claims.Get(p.Masked())
	if !ok {
		o = new(owners)
		s.claims.Insert(p.Masked(), o)
	}
	if o.add(i, firmness); len(s.contested) < maxContested && o.next(i+1) < 0 {
		if one := o.next(0); one < i && o.next(one+1) == i { // the second one
			s.contested = append(s.contested, p.Masked())
		}
	}
}
