package scheduler

import (
	"slices"
	"strings"

	"mifvif/pvd"
)

// operators adds to an explanation what networks said and what became of it: each
// as a rule of its operator, behind those of users and administrators.
func (p *pick) operators() {
	var said []Spoken
	note := func(name, effect, reason string) {
		said = append(said, Spoken{Name: name, Actor: Operator.String(), Effect: effect, Reason: reason})
	}
	for i, d := range p.snap.domains {
		if !p.snap.usable[p.flow.family].has(i) {
			continue
		}
		p.saidOfReach(d, note)
		p.saidOfRoute(i, d, note)
		p.saidOfZone(i, d, note)
	}
	for _, c := range p.dec.Candidates() {
		p.saidOfItself(c.Domain, note)
	}
	p.saidOfAddresses(note)
	rules := p.trace.out.Rules
	at := slices.IndexFunc(rules, func(r Spoken) bool { return r.Actor == Default.String() })
	if at < 0 {
		at = len(rules)
	}
	p.trace.out.Rules = slices.Insert(rules, at, said...)
}

// noting takes one thing a network said, its effect and why it has it.
type noting func(name, effect, reason string)

// saidOfReach notes a network that calls itself closed.
func (p *pick) saidOfReach(d *pvd.Domain, note noting) {
	if d.NoInternet && !d.Internet {
		note("noInternet of "+d.Name, "restrict", "its network leads to its own zones and prefixes only (RFC 8801)")
	}
}

// saidOfRoute notes the longest route to the destination that a network announced.
func (p *pick) saidOfRoute(i int, d *pvd.Domain, note noting) {
	var best *pvd.Route
	for j := range d.Routes {
		r := &d.Routes[j]
		if announced(r.Origin) && r.Dst.Bits() > 0 && r.Dst.Contains(p.flow.dst) && (best == nil || r.Dst.Bits() > best.Dst.Bits()) {
			best = r
		}
	}
	if best == nil {
		return
	}
	name := "route " + best.Dst.String() + " of " + d.Name
	switch {
	case !credible(d, *best):
		note(name, "dropped", "it steers only flows that are in its network already: the network is not trusted")
	case p.owners == nil || !p.owners.has(i):
		note(name, "dropped", "another domain claims a smaller prefix around the destination")
	default:
		note(name, "claim", "what lies behind a network is the network's to say"+p.owners.standOf(i).words())
	}
}

// words say what a claim's own preference does.
func (s stand) words() string {
	switch s {
	case routedHigh:
		return ", and it asks to be used first (RFC 4191)"
	case routedLow:
		return ", and it asks to be used last (RFC 4191)"
	}
	return ""
}

// saidOfZone notes the longest zone around the name in question that a network
// claims.
func (p *pick) saidOfZone(i int, d *pvd.Domain, note noting) {
	if p.flow.Name == "" || !p.flow.dst.IsUnspecified() {
		return
	}
	var best *pvd.Zone
	for _, z := range slices.Concat(d.Zones, p.snap.told[d.Name]) {
		if announced(z.Origin) && within(p.flow.Name, z.Name) && (best == nil || len(z.Name) > len(best.Name)) {
			best = &z
		}
	}
	if best == nil {
		return
	}
	name := "zone " + best.Name + " of " + d.Name
	owner := p.snap.zones[best.Name]
	switch {
	case !believed(d, *best, classOf(d, *best)):
		note(name, "dropped", "a network cannot give itself this zone (RFC 6731 4.1)")
	case owner == nil || !owner.owners.has(i):
		note(name, "dropped", "another domain claims it too, and is believed as much or more")
	case p.dec.Zone != best.Name:
		note(name, "dropped", "another domain's zone is believed more, or is nearer to the name")
	default:
		note(name, "claim", "names of a network's zone are its resolvers' to answer")
	}
}

// within reports whether a name is a zone's or below it.
func within(name, zone string) bool {
	return zone == "" || name == zone || strings.HasSuffix(name, "."+zone)
}

// saidOfItself notes how a network ranks itself, where that counted.
func (p *pick) saidOfItself(d *pvd.Domain, note noting) {
	if p.owned || p.zoned || p.bound {
		return
	}
	if p.flow.dst.IsUnspecified() {
		note.preference("resolver preference of "+d.Name, resolverPreference(d), "its resolvers ask to be asked", "RFC 6731")
	}
	note.preference("router preference of "+d.Name, routerPreference(d, p.flow.family == 1), "its routers ask to be used", "RFC 4191")
}

// preference notes one that is not the usual one.
func (n noting) preference(name string, preference pvd.Preference, what, source string) {
	switch preference {
	case pvd.High:
		n(name, "prefer", what+" first ("+source+")")
	case pvd.Low:
		n(name, "avoid", what+" last ("+source+")")
	}
}

// saidOfAddresses notes the chosen domain's own table for addresses.
func (p *pick) saidOfAddresses(note noting) {
	if p.dec.n == 0 {
		return
	}
	if d := p.dec.candidates[0].Domain; len(d.Selection) > 0 {
		note("address selection table of "+d.Name, "choose", "it orders sources and families inside its network, and nothing elsewhere (RFC 7078)")
	}
}

// disputed notes the networks that a rule ranks other than they rank themselves.
func (p *pick) disputed() {
	if p.owned {
		p.contested()
		return
	}
	r := p.preferring()
	if p.zoned || p.bound || r == nil || r.Actor >= Operator {
		return
	}
	is6, first := p.flow.family == 1, p.dec.candidates[0].Domain
	add := func(d *pvd.Domain, when string) {
		p.trace.out.Conflicts = append(p.trace.out.Conflicts, aboveRouter(r, d, when))
	}
	for _, c := range p.dec.Candidates()[1:] {
		switch a, b := routerPreference(first, is6), routerPreference(c.Domain, is6); {
		case a < b && a == pvd.Low:
			add(first, "last")
			return
		case a < b:
			add(c.Domain, "first")
		}
	}
}

// contested notes the networks that claim the destination too and were not chosen.
func (p *pick) contested() {
	first := p.dec.candidates[0].Domain
	for _, c := range p.dec.Candidates()[1:] {
		why := "policy ranks " + first.Name + " first"
		if p.preferring() == nil && p.claimOf(first) < p.claimOf(c.Domain) {
			why = "the claim of " + first.Name + " is the firmer one"
		}
		p.trace.out.Conflicts = append(p.trace.out.Conflicts, Conflict{first.Name, c.Domain.Name, "both claim the destination, and " + why})
	}
}

// claimOf returns how firmly a candidate claims the destination.
func (p *pick) claimOf(d *pvd.Domain) stand { return p.owners.standOf(slices.Index(p.snap.domains, d)) }
