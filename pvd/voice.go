package pvd

import (
	"net/netip"
	"slices"
	"time"
)

// How much of what one sender says is kept.
const (
	maxAdverts   = 32
	maxNamed     = 64 // zones, search names and routes, each
	maxServers   = 16 // resolvers, time servers, NAT64 prefixes and next hops, each
	maxSelection = 64
	maxLeases    = 4
)

// voice is one sender of a link, speaking of one domain: a router, a DHCP server,
// an additional-information object. It holds what it has said and is still true.
type voice struct {
	origin Origin
	sender netip.Addr
	id     string

	// seat is, of an implicit router, the one whose domain it belongs to; zero is
	// the link's first domain.
	seat   netip.Addr
	said   Report
	router time.Time // until when it is a default router; zero: it is none
	auto   []autoconfigured
}

// hear takes a report in. A router speaks only of what it names, every other
// sender of all there is.
func (v *voice) hear(r *Report) {
	at := r.Received
	old := v.said
	if v.origin != FromRA {
		old = Report{}
	}
	now := *r
	adverts := r.adverts()
	now.Adverts = merge(old.Adverts, adverts, at, maxAdverts)
	v.configure(adverts, at)
	now.Routes = merge(old.Routes, r.Routes, at, maxNamed)
	now.Resolvers = merge(old.Resolvers, r.Resolvers, at, maxServers)
	now.Designated = merge(old.Designated, r.Designated, at, maxServers)
	now.Zones = merge(old.Zones, r.Zones, at, maxNamed)
	now.Search = merge(old.Search, r.Search, at, maxNamed)
	now.NTP = merge(old.NTP, r.NTP, at, maxServers)
	now.PREF64 = merge(old.PREF64, r.PREF64, at, maxServers)
	now.NextHops = merge(old.NextHops, r.NextHops, at, maxServers)
	now.Addresses = r.Addresses[:min(len(r.Addresses), maxLeases)]
	now.Selection = r.Selection[:min(len(r.Selection), maxSelection)]
	if r.Portal == (PortalAPI{}) {
		now.Portal = old.Portal
	}
	if r.MTU == 0 {
		now.MTU = old.MTU
	}
	v.said = now
	if r.RA != nil {
		v.router = time.Time{}
		if r.RA.Lifetime > 0 {
			v.router = at.Add(r.RA.Lifetime)
		}
	}
	v.expire(at)
}

// adverts returns the prefixes of a report, with what the kernel did not read
// marked.
func (r *Report) adverts() []Advert {
	if r.RA == nil || len(r.RA.Nested.Prefixes) == 0 {
		return r.Adverts
	}
	out := slices.Clone(r.Adverts)
	for i := range out {
		out[i].Nested = out[i].Nested || slices.Contains(r.RA.Nested.Prefixes, out[i].Prefix)
	}
	return out
}

// yield takes out of v what another voice of the same router has just said: an
// object belongs to the domain that provisioned it last (RFC 8801 3.4).
func (v *voice) yield(r *Report) {
	for _, ad := range r.Adverts {
		v.leave(ad.Prefix)
	}
	v.said.Adverts = without(v.said.Adverts, r.Adverts)
	v.said.Routes = without(v.said.Routes, r.Routes)
	v.said.Resolvers = without(v.said.Resolvers, r.Resolvers)
	v.said.Designated = without(v.said.Designated, r.Designated)
	v.said.Zones = without(v.said.Zones, r.Zones)
	v.said.Search = without(v.said.Search, r.Search)
	v.said.NTP = without(v.said.NTP, r.NTP)
	v.said.PREF64 = without(v.said.PREF64, r.PREF64)
	if v.said.Portal.URI == r.Portal.URI {
		v.said.Portal = PortalAPI{}
	}
}

// expire forgets what is over.
func (v *voice) expire(now time.Time) {
	s := &v.said
	if ended(s.Until, now) {
		v.said = Report{Origin: s.Origin, Ifindex: s.Ifindex, Sender: s.Sender, ID: s.ID}
		return
	}
	s.Adverts, s.Routes, s.Resolvers = living(s.Adverts, now), living(s.Routes, now), living(s.Resolvers, now)
	s.Zones, s.Search, s.NTP = living(s.Zones, now), living(s.Search, now), living(s.NTP, now)
	s.Designated = living(s.Designated, now)
	s.PREF64, s.NextHops = living(s.PREF64, now), living(s.NextHops, now)
	if ended(s.Portal.Until, now) {
		s.Portal = PortalAPI{}
	}
	if ended(v.router, now) {
		v.router = time.Time{}
	}
	if slices.ContainsFunc(v.auto, func(a autoconfigured) bool { return ended(a.valid, now) }) {
		v.auto = slices.DeleteFunc(slices.Clone(v.auto), func(a autoconfigured) bool { return ended(a.valid, now) })
	}
}

// next returns when something of v is over, zero if nothing ever is.
func (v *voice) next() time.Time {
	s := &v.said
	at := soonest(soonest(soonest(v.router, s.Adverts), s.Routes), s.Resolvers)
	at = soonest(soonest(soonest(soonest(at, s.Zones), s.Search), s.NTP), s.PREF64)
	for _, a := range v.auto {
		at = earlier(at, a.valid)
	}
	return earlier(earlier(soonest(soonest(at, s.NextHops), s.Designated), s.Portal.Until), s.Until)
}

// holds reports whether anything is left of what v said, apart from being a
// router.
func (v *voice) holds() bool {
	s := &v.said
	return len(s.Adverts)+len(s.Routes)+len(s.Resolvers)+len(s.Zones)+len(s.Search)+len(s.NTP)+len(s.PREF64)+
		len(s.NextHops)+len(s.Selection)+len(s.Addresses)+len(v.auto)+len(s.Designated) > 0 || s.Portal.URI != "" || s.MTU != 0 || s.NoInternet
}

// silent reports whether v can be forgotten. What has neither an end nor content
// is kept while it says that a domain offers something (JSON without zones).
func (v *voice) silent() bool {
	return !v.holds() && v.router.IsZero() && (v.origin != FromJSON || v.said.Until.IsZero())
}

// advertises reports whether v and o name a prefix in common.
func (v *voice) advertises(o *voice) bool {
	return slices.ContainsFunc(v.said.Adverts, func(a Advert) bool {
		return slices.ContainsFunc(o.said.Adverts, func(b Advert) bool { return a.Prefix == b.Prefix })
	})
}
