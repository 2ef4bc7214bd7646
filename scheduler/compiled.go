package scheduler

import "cmp"

// compiled is what of a policy does not depend on the domains there are.
type compiled struct {
	actors [actors]*index // places as in snapshot.rules
	naming *index         // over what tells destinations apart, of any actor
	needs  Needs
}

// Needs says what a policy has to know of a flow besides its packet, so that
// nobody looks for what no rule asks.
type Needs struct {
	Name    bool // Flow.Name, for Named
	Ingress bool // Flow.Ingress, for Named
	// Of Flow.Owner: anything at all, the group, the process.
	Owner, Cgroup, Process bool
	Recovery               bool // Recover may want something of a flow
	Multipath              bool // a rule asks for Multipath TCP
	time                   bool
	// App: whose the flow is and its group, because the flows of an app are kept
	// together.
	App bool
}

// add notes what a match asks for.
func (n *Needs) add(m *Match) {
	n.Name = n.Name || len(m.Names) > 0
	n.Ingress = n.Ingress || len(m.Ingress) > 0
	n.Cgroup, n.Process = n.Cgroup || len(m.Cgroups) > 0, n.Process || len(m.Processes) > 0
	n.Owner = n.Owner || n.Cgroup || n.Process || len(m.Users) > 0
	n.time = n.time || len(m.When) > 0
}

// compile makes the indexes over the rules of a policy.
func compile(policy *Policy) *compiled {
	c := new(compiled)
	c.needs.Recovery = policy.OnRecovery > RecoverStay
	var by [actors][]*Match
	var naming []*Match
	for i := range policy.Rules {
		r := &policy.Rules[i]
		m := r.Match.canonical()
		by[min(r.Actor, Default)] = append(by[min(r.Actor, Default)], &m)
		if m.tellsApart(0) || m.tellsApart(1) {
			naming = append(naming, &m)
		}
		c.needs.add(&m)
		c.needs.Recovery = c.needs.Recovery || r.OnRecovery > RecoverStay
		c.needs.Multipath = c.needs.Multipath || r.MPTCP.tries()
	}
	for actor := range by {
		c.actors[actor] = newIndex(by[actor], false)
	}
	c.naming = newIndex(naming, true)
	c.needs.App = together(policy)
	return c
}

// together reports whether a policy may keep the flows of an app together.
func together(policy *Policy) bool {
	sticks := cmp.Or(policy.Algorithm, Weighted).sticks()
	kept := policy.Affinity != AffinityNone
	for i := range policy.Rules {
		r := &policy.Rules[i]
		sticks = sticks || r.Algorithm != Inherit && r.Algorithm.sticks()
		kept = kept || r.Affinity != AffinityInherit && r.Affinity != AffinityNone
	}
	return sticks && kept
}
