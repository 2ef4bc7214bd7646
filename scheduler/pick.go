package scheduler

import (
	"net/netip"

	"mifvif/flow"
	"mifvif/pvd"
)

// SourceFunc chooses the source address for dst inside d (RFC 6724), or reports
// that d has none.
type SourceFunc func(d *pvd.Domain, dst netip.Addr) (netip.Addr, bool)

// Reasons of a decision.
const (
	reasonOnly      = "the only usable domain"
	reasonWeighted  = "weighted choice"
	reasonSticky    = "kept with earlier flows of the same site"
	reasonPriority  = "first in order of priority"
	reasonPrefer    = "preferred by rule"
	reasonRequire   = "required by rule"
	reasonScope     = "the destination is behind this domain"
	reasonNoRoute   = "no usable domain carries this destination"
	reasonRefused   = "the rules leave no domain"
	reasonPrivate   = "a private destination that no domain claims"
	reasonNoDomains = "no domain is usable"
)

// pick is one decision under way.
type pick struct {
	snap   *snapshot
	flow   *flow.Flow
	source SourceFunc
	rule   *Rule // the strongest rule that spoke
	dec    Decision
	trace  *trace // nil unless somebody asks for an explanation
}

// run goes through the stages.
func (p *pick) run() {
	p.dec.Actor = Default.String()
	p.dec.OnFailure = p.snap.policy.OnFailure
	p.candidates()
	if p.dec.n == 0 {
		p.refuse(NoRoute, reasonNoDomains)
		return
	}
	p.rules()
	if p.dec.n == 0 {
		if p.dec.Refusal == NotRefused {
			p.refuse(Prohibited, reasonRefused)
		}
		return
	}
	p.scope()
	if p.dec.n == 0 && p.dec.Refusal == NotRefused {
		p.refuse(NoRoute, reasonNoRoute)
	}
}

// refuse ends the decision without candidates.
func (p *pick) refuse(why Refusal, reason string) {
	p.dec.n, p.dec.Refusal, p.dec.Reason = 0, why, reason
}

// candidates are the attached, usable domains with a source for the destination.
func (p *pick) candidates() {
	is6 := p.flow.Is6()
	for _, d := range p.snap.set.All() {
		switch src, ok := p.source(d, p.flow.Dst.Addr()); {
		case !d.Usable(is6):
			p.trace.lost(d, unusable(d, is6))
		case !ok:
			p.trace.lost(d, "it has no source address for the destination")
		default:
			p.dec.add(Candidate{Domain: d, Source: src})
		}
	}
}

// unusable says why a domain takes no flows of the family.
func unusable(d *pvd.Domain, is6 bool) string {
	switch {
	case d.State != pvd.Online && d.State != pvd.Degraded:
		return "it is " + string(d.State)
	case !d.HasSource(is6):
		return "it has no address of this family"
	}
	return "it has no next hop of this family"
}

// rules is the hard stage, actor by actor. A lower actor only removes more; a
// rule that would empty what a higher actor left is dropped (standards D.1).
func (p *pick) rules() {
	for actor := Locked; actor < Default; actor++ {
		r := p.speaks(actor)
		if r == nil {
			continue
		}
		p.trace.spoke(r)
		if p.rule == nil {
			p.adopt(r)
		}
		p.apply(r)
		if p.dec.n == 0 {
			return
		}
	}
}

// speaks returns the first rule of an actor that matches, or nil.
func (p *pick) speaks(actor Actor) *Rule {
	for i := range p.snap.policy.Rules {
		if r := &p.snap.policy.Rules[i]; r.Actor == actor && r.Match.matches(p.flow) {
			return r
		}
	}
	return nil
}

// adopt makes r the rule the decision is attributed to.
func (p *pick) adopt(r *Rule) {
	p.rule = r
	p.dec.Rule, p.dec.Actor = r.Name, r.Actor.String()
	if r.OnFailure != FailAuto {
		p.dec.OnFailure = r.OnFailure
	}
	if r.Match.namesDestination() {
		p.dec.PerDestination = true
	}
}

// apply removes what r does not allow.
func (p *pick) apply(r *Rule) {
	kept := 0
	for i := range p.dec.n {
		c := p.dec.candidates[i]
		switch {
		case index(r.Forbid, c.Domain.Name) >= 0:
			p.trace.lost(c.Domain, "forbidden by rule "+quoted(p.trace, r))
		case len(r.Require) > 0 && index(r.Require, c.Domain.Name) < 0:
			p.trace.lost(c.Domain, "rule "+quoted(p.trace, r)+" requires another")
		default:
			p.dec.candidates[kept] = c
			kept++
		}
	}
	if kept == 0 && p.rule != r {
		p.trace.conflict(p.rule, r)
		return
	}
	p.dec.n = kept
}

// quoted names a rule where an explanation is wanted; it does not allocate on
// the way of a flow.
func quoted(t *trace, r *Rule) string {
	if t == nil {
		return ""
	}
	return `"` + r.Name + `"`
}

// index returns where name stands in list, or -1.
func index(list []string, name string) int {
	for i, have := range list {
		if have == name {
			return i
		}
	}
	return -1
}

// scope keeps the domains that claim the destination where there are any, and
// of the others those that lead to the Internet (or were required by name).
func (p *pick) scope() {
	dst := p.flow.Dst.Addr()
	owners := p.snap.owners(dst)
	if len(owners) > 0 {
		p.dec.PerDestination = true
	}
	if p.keep("another domain claims the destination", func(d *pvd.Domain) bool { return owns(owners, d) }) {
		p.dec.Reason = reasonScope
		return
	}
	if len(owners) > 0 && !p.required() {
		p.refuse(NoRoute, reasonNoRoute)
		return
	}
	required := p.required()
	if !p.keep("it does not lead to the Internet", func(d *pvd.Domain) bool { return d.Internet || required }) {
		p.refuse(NoRoute, reasonNoRoute)
		return
	}
	if private(dst) && !p.keep("it cannot lead to a private destination", plausible(dst)) {
		p.refuse(NoRoute, reasonPrivate)
	}
}

// required reports whether the rule that spoke names the domains itself.
func (p *pick) required() bool { return p.rule != nil && len(p.rule.Require) > 0 }

// keep drops the candidates that want denies, unless none would be left; it
// reports whether any is wanted.
func (p *pick) keep(why string, want func(*pvd.Domain) bool) bool {
	wanted := 0
	for i := range p.dec.n {
		if want(p.dec.candidates[i].Domain) {
			wanted++
		}
	}
	if wanted == 0 {
		return false
	}
	kept := 0
	for i := range p.dec.n {
		c := p.dec.candidates[i]
		if !want(c.Domain) {
			p.trace.lost(c.Domain, why)
			continue
		}
		p.dec.candidates[kept] = c
		kept++
	}
	p.dec.n = kept
	return true
}

func owns(owners []*pvd.Domain, d *pvd.Domain) bool {
	for _, o := range owners {
		if o == d {
			return true
		}
	}
	return false
}

// private reports whether a means something only inside some network (RFC 1918,
// RFC 4193, RFC 6598).
func private(a netip.Addr) bool {
	return a.IsPrivate() || netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10).Contains(a)
}

// plausible accepts domains in which a private destination may exist although
// none claims it: those whose own addresses of the family are private too. A
// domain with public addresses has nothing private behind its router, so the
// packet would only leak (standards D.6).
func plausible(dst netip.Addr) func(*pvd.Domain) bool {
	return func(d *pvd.Domain) bool {
		for _, a := range d.Addresses {
			if a.Prefix.Addr().Is6() == dst.Is6() && private(a.Prefix.Addr()) {
				return true
			}
		}
		return d.P2P
	}
}
