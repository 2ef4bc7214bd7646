package scheduler

import (
	"net/netip"

	"github.com/gaissmai/bart"

	"mifvif/flow"
	"mifvif/pvd"
)

// snapshot is all that one decision reads. It never changes.
type snapshot struct {
	set    *pvd.Set
	policy *Policy
	// claims says which domains a destination belongs to by declared prefix or
	// route: scope narrows the candidates to them.
	claims *bart.Table[*claim]
	// named is set when some rule or claim tells destinations apart.
	named bool
}

// claim is the domains that hold one prefix to be theirs. Exclusive claims are
// made by declared prefixes and by the routes of domains without Internet; the
// route of a domain with Internet steers only what is on it already.
type claim struct{ domains []*pvd.Domain }

// newSnapshot indexes set and policy; both must not change any more.
func newSnapshot(set *pvd.Set, policy *Policy) *snapshot {
	s := &snapshot{set: set, policy: policy, claims: new(bart.Table[*claim])}
	for _, d := range set.All() {
		for _, p := range d.Prefixes {
			s.claim(p, d)
		}
		if !d.Internet || d.Trusted {
			for _, r := range d.Routes {
				s.claim(r.Dst, d)
			}
		}
	}
	for i := range policy.Rules {
		s.named = s.named || policy.Rules[i].Match.namesDestination()
	}
	return s
}

// claim notes that d holds p to be its own.
func (s *snapshot) claim(p netip.Prefix, d *pvd.Domain) {
	if p.Bits() == 0 {
		return // "everything" is what Internet says
	}
	s.named = true
	c, ok := s.claims.Get(p.Masked())
	if !ok {
		c = new(claim)
		s.claims.Insert(p.Masked(), c)
	}
	for _, have := range c.domains {
		if have == d {
			return
		}
	}
	c.domains = append(c.domains, d)
}

// owners returns the domains that claim dst by the longest prefix, or nil.
func (s *snapshot) owners(dst netip.Addr) []*pvd.Domain {
	if c, ok := s.claims.Lookup(dst); ok {
		return c.domains
	}
	return nil
}

// distinguishes reports whether a rule or claim names the destination of f.
func (s *snapshot) distinguishes(f *flow.Flow) bool {
	if !s.named {
		return false
	}
	if len(s.owners(f.Dst.Addr())) > 0 {
		return true
	}
	for i := range s.policy.Rules {
		if m := &s.policy.Rules[i].Match; m.namesDestination() && m.matches(f) {
			return true
		}
	}
	return false
}
