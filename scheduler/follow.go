package scheduler

import "mifvif/pvd"

// answerer returns the place of the domain that the flow must follow because its
// answer gave the destination, -1 if that instance is gone; false when the flow
// is free. It must follow when the address means something only there: the name
// is that domain's, the address is private, or some domain claims it, so that an
// answer of one network never leads into another (standards D.6, RFC 6418 4.1-4,
// 6-3). A public address of a domain that does not lead there is anybody's.
func (p *pick) answerer() (int, bool) {
	a := p.flow.Answer
	if !a.Known || p.flow.dst.IsUnspecified() {
		return 0, false
	}
	private := pvd.Private(p.flow.dst)
	owners, claimed := p.snap.claims.Lookup(p.flow.dst)
	if !a.Private && !private && (!claimed || p.required()) {
		return 0, false
	}
	for i, d := range p.snap.domains {
		if d.Key() != (pvd.Key{Slot: a.Slot, Attached: a.Attached}) {
			continue
		}
		lost := !p.snap.usable[p.flow.family].has(i)
		leads := private || p.snap.general[p.flow.family].has(i) || claimed && owners.has(i)
		return i, lost || leads
	}
	return -1, true
}

// follow keeps the domain at place i, or refuses the flow.
func (p *pick) follow(i int) bool {
	var in members
	if i >= 0 && p.left.has(i) {
		in.add(i)
	}
	p.narrow(in, "the name's answer came from another domain")
	if p.bound = !in.empty(); p.bound {
		return true
	}
	if i >= 0 && p.snap.usable[p.flow.family].has(i) {
		return p.refuse(Prohibited, reasonRefused)
	}
	return p.refuse(NoRoute, reasonAnswerGone)
}

// answered returns the candidate whose answer gave a public destination: its
// answer fits it best, but the flow is free.
func (p *pick) answered() *pvd.Domain {
	a := p.flow.Answer
	if !a.Known || p.flow.dst.IsUnspecified() {
		return nil
	}
	for i := p.left.next(0); i >= 0; i = p.left.next(i + 1) {
		if d := p.snap.domains[i]; d.Key() == (pvd.Key{Slot: a.Slot, Attached: a.Attached}) {
			return d
		}
	}
	return nil
}

// inZone keeps, for a question about a name, the domains that its zone belongs
// to. A dead owner means a refusal, not the next claimant (standards D.5); only a
// rule that requires another domain stands above.
func (p *pick) inZone(z *zone) bool {
	owned := p.left.meets(&z.owners)
	if !owned && p.required() {
		return true
	}
	p.dec.Zone = z.name
	p.narrow(p.left.and(&z.owners), "the name lies in another domain's zone")
	if p.zoned = owned; !owned {
		return p.refuseUnless(z.owners, reasonZoneOwner)
	}
	return true
}
