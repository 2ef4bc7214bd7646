package scheduler

import (
	"mifvif/pvd"
)

// Reasons of a decision.
const (
	reasonOnly       = "the only domain that carries it"
	reasonWeighted   = "weighted choice"
	reasonSticky     = "kept with earlier flows of the same affinity"
	reasonPriority   = "first in order of priority"
	reasonOverflow   = "first in order of priority that is not full"
	reasonLeastUsed  = "the least used"
	reasonLatency    = "the shortest round trip"
	reasonPrefer     = "preferred by rule"
	reasonRequire    = "required by rule"
	reasonScope      = "the destination is behind this domain"
	reasonOverrides  = "a VPN client routes everything into this domain"
	reasonUnusable   = "no domain is usable for this family"
	reasonNoInternet = "no usable domain leads to this destination"
	reasonOwner      = "the domain that claims the destination is not usable"
	reasonPrivate    = "a private destination that no usable domain can lead to"
	reasonNoSource   = "no domain has a source address for the destination"
	reasonHandle     = "the app has bound its socket to this domain"
	reasonConfined   = "the command was started for this domain"
	reasonElsewhere  = "the domain that the command was started for is not usable for it"
	reasonUnbound    = "the domain that the app has bound its socket to is not usable for it"
	reasonSpent      = "its data cap is used up"
	reasonRefused    = "the rule leaves no usable domain"
	reasonAnswer     = "the name's answer came from this domain"
	reasonAnswerGone = "the domain that the name's answer came from is not usable any more"
	reasonZone       = "the name lies in a zone of this domain"
	reasonZoneOwner  = "the domain that the name's zone belongs to is not usable"
)

// pick is one decision under way. It lives on the stack of Pick.
type pick struct {
	*Scheduler
	snap     *snapshot
	flow     subject
	left     members       // candidates still in
	spoke    [actors]*rule // the rule of each actor, without those dropped
	by       Algorithm
	key      uint64  // of the affinity, where the algorithm sticks
	prefix   uint64  // of the path to the destination
	released bool    // the domain of earlier flows of the key is not kept
	owned    bool    // left are the domains that claim the destination
	owners   *owners // who claims the destination, nil if nobody does
	zoned    bool    // left are the domains that the name belongs to
	bound    bool    // left is the domain that the answer came from
	dec      Decision
	trace    *trace // nil unless somebody asks for an explanation

	comeback comeback // of a flow that has been decided
}

// noted reports whether the decision is to be remembered, and is not only asked
// about.
func (p *pick) noted() bool { return p.trace == nil && !p.comeback.asked }

// decide goes through the stages of standards D.1: candidates, hard, scope, rank
// and score.
func (p *pick) decide() {
	p.dec.Actor = Default.String()
	p.dec.PerDestination = p.snap.named(&p.flow)
	if p.candidates() && p.hard() && p.scope() {
		p.order()
	}
}

// refuse ends the decision without candidates; it returns false so that the
// stages end too.
func (p *pick) refuse(why Refusal, reason string) bool {
	p.dec.n, p.dec.Refusal, p.dec.Reason, p.dec.Path = 0, why, reason, PathTerminate
	return false
}

// refuseUnless ends the decision where a stage left nothing: prohibited if a
// rule took away domains that would have served, else without route.
func (p *pick) refuseUnless(serving members, reason string) bool {
	serving = serving.and(&p.snap.usable[p.flow.family])
	if !serving.empty() {
		return p.refuse(Prohibited, reasonRefused)
	}
	return p.refuse(NoRoute, reason)
}

// candidates are the domains that take new flows of the family.
func (p *pick) candidates() bool {
	p.left = p.snap.usable[p.flow.family]
	p.trace.unusable(p)
	p.capped()
	if p.left.empty() {
		return p.refuse(NoRoute, reasonUnusable)
	}
	return true
}

// capped takes away the domains whose data cap is used up and says stop.
func (p *pick) capped() {
	if !p.loads.anySpent() {
		return
	}
	for i := p.left.next(0); i >= 0; i = p.left.next(i + 1) {
		if d := p.snap.domains[i]; d.Cap.Stop && p.loads.of(d).Spent {
			p.left.remove(i)
			p.trace.lost(d, reasonSpent)
		}
	}
}

// hard applies what rules require and forbid, actor by actor: a lower actor only
// removes more.
func (p *pick) hard() bool {
	for actor := range actors {
		r := p.snap.speaks(actor, &p.flow)
		if r == nil {
			continue
		}
		left := p.left.without(&r.forbid)
		if len(r.Require) > 0 {
			left = left.and(&r.require)
		}
		if left.empty() {
			if winner := p.contradicted(r); winner != nil {
				p.trace.conflict(winner, r)
				if p.noted() {
					p.dropped.note(winner, r)
				}
				continue
			}
		}
		p.adopt(r)
		p.trace.spoke(r)
		p.trace.removed(p, left, r)
		if p.left = left; left.empty() {
			p.dec.Rule, p.dec.Actor = r.Name, r.Actor.String()
			return p.refuse(Prohibited, reasonRefused)
		}
	}
	return p.flow.Bound == "" || p.handle()
}

// handle keeps the domain that the app has bound its socket to (RFC 6418 5.4-C), or
// that its command was started for.
func (p *pick) handle() bool {
	why, gone := reasonHandle, reasonUnbound
	if p.flow.Confined {
		why, gone = reasonConfined, reasonElsewhere
	}
	var in members
	for i, d := range p.snap.domains {
		if d.Name == p.flow.Bound && p.left.has(i) {
			in.add(i)
		}
	}
	p.narrow(in, "the app is bound to another domain")
	if p.left.empty() {
		return p.refuse(Prohibited, gone)
	}
	p.dec.Reason = why
	return true
}

// adopt notes that r speaks. The decision carries the name of the strongest rule.
func (p *pick) adopt(r *rule) {
	if p.strongest() == nil {
		p.dec.Rule, p.dec.Actor = r.Name, r.Actor.String()
	}
	p.spoke[min(r.Actor, Default)] = r
}

// strongest returns the rule of the highest actor that spoke, or nil.
func (p *pick) strongest() *rule {
	for _, r := range p.spoke {
		if r != nil {
			return r
		}
	}
	return nil
}

// contradicted returns the higher rule that r cannot be reconciled with: no
// domain there is or may be would satisfy both. Such a lower rule is dropped. A
// rule that is only unlucky, because the domains it leaves are away, is not: it
// would let flows out that it wants refused.
func (p *pick) contradicted(r *rule) *rule {
	var winner *rule
	for _, higher := range p.spoke {
		if higher == nil || !higher.hard() {
			continue
		}
		if winner == nil {
			winner = higher
		}
		for _, name := range higher.Require {
			if p.allowedWith(r, name) {
				return nil
			}
		}
	}
	for _, name := range r.Require {
		if p.allowedWith(r, name) {
			return nil
		}
	}
	for _, d := range p.snap.domains {
		if p.allowedWith(r, d.Name) {
			return nil
		}
	}
	return winner
}

// allowedWith reports whether r and all rules that spoke allow a domain.
func (p *pick) allowedWith(r *rule, name string) bool {
	for _, higher := range p.spoke {
		if higher != nil && !higher.allows(name) {
			return false
		}
	}
	return r.allows(name)
}

// scope keeps the domains that claim the destination where there are any. A
// domain without Internet survives only so, or because a rule requires it.
func (p *pick) scope() bool {
	if i, ok := p.answerer(); ok {
		return p.follow(i)
	}
	if owners := p.snap.zoneOwners(&p.flow); owners != nil {
		return p.inZone(owners)
	}
	if owners, ok := p.snap.claims.Lookup(p.flow.dst); ok {
		p.owners, p.owned = owners, p.left.meets(&owners.members)
		if p.owned || !p.required() {
			p.narrow(p.left.and(&owners.members), "another domain claims the destination")
		}
		switch {
		case p.owned:
			return true
		case p.left.empty():
			return p.refuseUnless(owners.members, reasonOwner)
		}
	}
	if p.required() {
		return true
	}
	if !p.public() || !p.private() {
		return false
	}
	p.overridden()
	return true
}

// public keeps the domains that lead to destinations nobody claims.
func (p *pick) public() bool {
	general := p.snap.general[p.flow.family]
	if p.narrow(p.left.and(&general), "it does not lead to the Internet"); p.left.empty() {
		return p.refuseUnless(general, reasonNoInternet)
	}
	return true
}

// private keeps, for a private destination that nobody claims, the domains in
// which it may exist: those with private addresses of their own, as behind a
// home's or a company's router. A domain with public addresses only has nothing
// private behind its router: the packet would leak (standards D.6).
func (p *pick) private() bool {
	if !pvd.Private(p.flow.dst) {
		return true
	}
	general := p.snap.general[p.flow.family]
	serving := general.and(&p.snap.inside[p.flow.family])
	if p.narrow(p.left.and(&serving), "no private network can be behind its public address"); p.left.empty() {
		return p.refuseUnless(serving, reasonPrivate)
	}
	return true
}

// overridden keeps the domain that a VPN client routes everything into, as the
// kernel would, unless a rule prefers otherwise.
func (p *pick) overridden() {
	in := p.left.and(&p.snap.overrides[p.flow.family])
	if in.empty() || in == p.left || p.preferred() {
		return
	}
	p.dec.Reason = reasonOverrides
	p.narrow(in, "a VPN client routes everything into another domain")
}

// required reports whether a rule named the domains that are left.
func (p *pick) required() bool {
	if p.flow.Bound != "" {
		return true
	}
	for _, r := range p.spoke {
		if r != nil && len(r.Require) > 0 {
			return true
		}
	}
	return false
}

func (p *pick) preferred() bool {
	for _, r := range p.spoke {
		if r != nil && len(r.Prefer) > 0 {
			return true
		}
	}
	return false
}

// narrow replaces what is left by a part of it.
func (p *pick) narrow(in members, why string) {
	p.trace.narrowed(p, in, why)
	p.left = in
}
