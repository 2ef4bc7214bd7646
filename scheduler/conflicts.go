package scheduler

import (
	"net/netip"

	"mifvif/flow"
	"mifvif/pvd"
)

// maxContested bounds the prefixes that are looked at because several domains
// claim them, and the rules that are compared with what networks say.
const maxContested = 64

// Contested returns prefixes that several domains claim, each once, at most 64.
func (s *Scheduler) Contested() []netip.Prefix { return s.snapshot.Load().contested }

// Dispute returns who has a contested prefix and who does not, as a flow to its
// first address would be decided.
func (s *Scheduler) Dispute(p netip.Prefix) []Conflict {
	return s.Explain(flow.Flow{Proto: flow.TCP, Dst: netip.AddrPortFrom(p.Addr(), httpsPort)}).Conflicts
}

// httpsPort is what most flows go to.
const httpsPort = 443

// Overridden returns the rules of users and administrators that put a network
// elsewhere than it puts itself, of both families.
func (s *Scheduler) Overridden() []Conflict {
	snap := s.snapshot.Load()
	var out []Conflict
	seen := make(map[Conflict]bool)
	for actor := range Operator {
		for i := range snap.rules[actor] {
			r := &snap.rules[actor][i]
			for family := range snap.general {
				c, ok := snap.ranksOtherwise(r, family)
				if ok && !seen[c] && len(out) < maxContested {
					seen[c] = true
					out = append(out, c)
				}
			}
		}
	}
	return out
}

// ranksOtherwise returns how a rule that prefers a domain disputes what networks say of
// themselves in one family.
func (s *snapshot) ranksOtherwise(r *rule, family int) (c Conflict, ok bool) {
	first := -1
	for _, i := range r.prefer {
		if i >= 0 && s.general[family].has(i) && s.usable[family].has(i) {
			first = i
			break
		}
	}
	if first < 0 {
		return c, false
	}
	mine := routerPreference(s.domains[first], family == 1)
	if mine == pvd.High {
		return c, false
	}
	rest := s.general[family].and(&s.usable[family])
	for i := rest.next(0); i >= 0; i = rest.next(i + 1) {
		if theirs := routerPreference(s.domains[i], family == 1); theirs > mine {
			if mine == pvd.Low {
				return aboveRouter(r, s.domains[first], "last"), true
			}
			return aboveRouter(r, s.domains[i], "first"), true
		}
	}
	return c, false
}

// aboveRouter says that a rule stands above the preference of a domain's routers.
func aboveRouter(r *rule, d *pvd.Domain, when string) Conflict {
	return Conflict{
		r.Name, "router preference of " + d.Name, "its network asks to be used " + when + ", and the " + r.Actor.String() + "'s rule stands above",
	}
}
