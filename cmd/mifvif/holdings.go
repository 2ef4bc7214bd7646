package main

import (
	"fmt"
	"net/netip"
	"time"

	"mifvif/control"
	"mifvif/netwatch"
	"mifvif/pvd"
)

// holdings lists all a domain holds, each with its origin and what is left of its
// lifetime at a moment.
func holdings(p *pvd.Domain, now time.Time) []control.Object {
	h := &list{now: now}
	for _, a := range p.Addresses {
		h.add("address", a.Prefix.String(), a.Origin, time.Time{}, word(a.Deprecated, "deprecated"), word(a.Temporary, "temporary"), word(a.Ours, "ours"))
		h.out[len(h.out)-1].Lifetime = seconds(a.Valid)
	}
	for _, n := range p.NextHops {
		h.add("next_hop", hop(n), n.Origin, n.Until, preferred(n.Preference))
	}
	for _, a := range p.Adverts {
		h.add("advert", a.Prefix.String()+" by "+a.Router.String(), pvd.FromRA, a.Until,
			word(a.OnLink, "on-link"), word(a.Auto, "autonomous"), word(!a.Preferred.IsZero() && !a.Preferred.After(now), "deprecated"))
	}
	for _, r := range p.Routes {
		h.add("route", r.Dst.String()+by(r.Via), r.Origin, r.Until, preferred(r.Preference))
	}
	for _, x := range p.Prefixes {
		h.add("prefix", x.String(), pvd.FromConfig, time.Time{})
	}
	h.names(p)
	h.services(p)
	return h.out
}

// names lists what has to do with DNS.
func (h *list) names(p *pvd.Domain) {
	for _, r := range p.Resolvers {
		transport := [...]string{pvd.Plain: "", pvd.DoT: "dot", pvd.DoH: "doh"}[r.Transport]
		h.add("resolver", r.Addr.String(), r.Origin, r.Until, transport, r.Name, preferred(r.Preference), word(r.Only, "zones-only"))
	}
	for _, x := range p.Designated {
		h.add("resolver", x.Name, x.Origin, x.Until, "named")
	}
	for _, z := range p.Zones {
		server := ""
		if z.Server.IsValid() {
			server = "by " + z.Server.String()
		}
		h.add("zone", z.Name, z.Origin, z.Until, server, preferred(z.Preference))
	}
	for _, z := range p.Search {
		h.add("search", z.Name, z.Origin, z.Until)
	}
}

// services lists what else networks offer.
func (h *list) services(p *pvd.Domain) {
	for _, s := range p.NTP {
		value := s.Name
		if s.Addr.IsValid() {
			value = s.Addr.String()
		}
		h.add("ntp", value, s.Origin, s.Until)
	}
	for _, x := range p.PREF64 {
		h.add("pref64", x.Prefix.String(), x.Origin, x.Until)
	}
	if p.Portal.URI != "" {
		h.add("portal", p.Portal.URI, p.Portal.Origin, p.Portal.Until)
	}
	for _, r := range p.Selection {
		h.add("selection", fmt.Sprintf("%v precedence %d label %d", r.Prefix, r.Precedence, r.Label), r.Origin, time.Time{})
	}
}

// list is what has been listed so far.
type list struct {
	now time.Time
	out []control.Object
}

// add adds an object; until is zero for one without an end. Empty flags are left
// out.
func (h *list) add(kind, value string, origin pvd.Origin, until time.Time, flags ...string) {
	o := control.Object{Kind: kind, Value: value, Origin: string(origin)}
	if !until.IsZero() {
		o.Lifetime = seconds(max(until.Sub(h.now), 0).Round(time.Second))
	}
	for _, f := range flags {
		if f != "" {
			o.Flags = append(o.Flags, f)
		}
	}
	h.out = append(h.out, o)
}

func word(is bool, text string) string {
	if is {
		return text
	}
	return ""
}

func by(via netip.Addr) string {
	if !via.IsValid() {
		return ""
	}
	return " by " + via.String()
}

// preferred names a preference other than the usual one.
func preferred(p pvd.Preference) string {
	switch p {
	case pvd.High:
		return "high"
	case pvd.Low:
		return "low"
	}
	return ""
}

func seconds(d time.Duration) *float64 {
	if d == netwatch.Forever {
		return nil
	}
	s := d.Seconds()
	return &s
}
