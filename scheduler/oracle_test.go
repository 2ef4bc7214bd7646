package scheduler

import (
	"net/netip"
	"slices"

	"mifvif/flow"
	"mifvif/pvd"
)

// oracle decides slowly and obviously: on names instead of places, by scanning
// instead of indexes, and with what is remembered in plain maps.
type oracle struct {
	policy  *Policy
	domains []*pvd.Domain // by name
	told    map[string][]pvd.Zone
	load    map[pvd.Key]Load
	fresh   map[string]int // flows put on each domain since the last measurement
	paths   map[walk]*known
	kept    map[company]*home

	translates bool // this host can
}

// verdict is what the oracle says of a flow.
type verdict struct {
	refusal Refusal
	rule    string
	reason  string
	named   bool
	zone    string
	places  []place // best first, all of them; those with equal marks in any order
	by      Algorithm
	key     company
	sticks  bool
	held    string // the domain of earlier flows, "" if none
	// released: earlier flows' domain is given up; rival: who is better now, the
	// zero Key for nobody, nil where it is not asked.
	released bool
	rival    *pvd.Key
	race     int
	// path says what becomes of the flow here where that domain comes first.
	path func(first *pvd.Domain) (Path, string)
}

// stage is a decision under way.
type stage struct {
	*oracle
	f        flow.Flow
	is6      bool
	left     []*pvd.Domain
	spoke    []*Rule
	owners   []*pvd.Domain
	owned    bool
	zoned    bool
	answered bool // it follows its answer
	v        verdict
}

func (o *oracle) decide(f flow.Flow) verdict {
	s := &stage{oracle: o, f: f, is6: f.Is6()}
	s.owners = claimants(o.domains, f.Dst.Addr())
	s.v.named, s.v.path = s.hasOwnDecision(), s.path
	if s.start() && s.hard() && s.scope() {
		s.rank()
	}
	return s.v
}

func (s *stage) refuse(r Refusal, reason string) bool {
	s.v.refusal, s.v.reason = r, reason
	return false
}

func (s *stage) usable(d *pvd.Domain) bool { return d.Carries(s.is6) }

func (s *stage) leads(d *pvd.Domain) bool {
	if !s.is6 && !d.HasSource(false) && len(d.PREF64) > 0 {
		return d.Leads(true)
	}
	return d.Leads(s.is6)
}

// hasOwnDecision reports whether the destination has decisions that are not those
// of the whole app socket.
func (s *stage) hasOwnDecision() bool {
	dst := s.f.Dst.Addr()
	private := pvd.Private(dst)
	apart := len(filter(s.domains, func(d *pvd.Domain) bool { return s.usable(d) && s.leads(d) && !d.Inside(s.is6) })) > 0
	return s.f.Answer.Known && (s.f.Answer.Private || private) || private && apart || len(s.owners) > 0 || s.namedByRule()
}

func (s *stage) start() bool {
	s.left = filter(s.domains, func(d *pvd.Domain) bool {
		return s.usable(d) && (!d.Cap.Stop || !s.load[d.Key()].Spent)
	})
	return len(s.left) > 0 || s.refuse(NoRoute, reasonUnusable)
}

func (s *stage) hard() bool {
	for _, actor := range []Actor{Locked, User, Admin, Operator, Default} {
		r := s.firstMatch(actor)
		if r == nil {
			continue
		}
		next := filter(s.left, func(d *pvd.Domain) bool { return r.allows(d.Name) })
		if len(next) == 0 && s.irreconcilable(r) {
			continue
		}
		s.spoke = append(s.spoke, r)
		s.v.rule = s.spoke[0].Name
		if s.left = next; len(next) == 0 {
			s.v.rule = r.Name
			return s.refuse(Prohibited, reasonRefused)
		}
	}
	if s.f.Bound == "" {
		return true
	}
	s.left = filter(s.left, func(d *pvd.Domain) bool { return d.Name == s.f.Bound })
	gone := reasonUnbound
	if s.v.reason = reasonHandle; s.f.Confined {
		s.v.reason, gone = reasonConfined, reasonElsewhere
	}
	return len(s.left) > 0 || s.refuse(Prohibited, gone)
}

// irreconcilable reports whether higher rules with hard parts stand, and no
// domain whatsoever, there or not, is allowed by all of them and r.
func (s *stage) irreconcilable(r *Rule) bool {
	hard := false
	everybody := slices.Clone(r.Require)
	for _, h := range s.spoke {
		hard = hard || len(h.Require)+len(h.Forbid) > 0
		everybody = append(everybody, h.Require...)
	}
	for _, d := range s.domains {
		everybody = append(everybody, d.Name)
	}
	for _, name := range everybody {
		all := r.allows(name)
		for _, h := range s.spoke {
			all = all && h.allows(name)
		}
		if all {
			return false
		}
	}
	return hard
}

func (s *stage) required() bool {
	return s.f.Bound != "" || slices.ContainsFunc(s.spoke, func(r *Rule) bool { return len(r.Require) > 0 })
}

func (s *stage) scope() bool {
	if s.f.Answer.Known && !s.f.Dst.Addr().IsUnspecified() {
		if done, ok := s.follow(); done {
			return ok
		}
	}
	if z := s.zoneOf(s.f.Name); z != nil && s.f.Dst.Addr().IsUnspecified() {
		if in := both(s.left, z.owners); len(in) > 0 || !s.required() {
			s.v.zone, s.zoned = z.name, len(in) > 0
			return s.keep(z.owners, reasonZoneOwner)
		}
		return true
	}
	s.owned = len(both(s.left, s.owners)) > 0
	switch {
	case s.owned || len(s.owners) > 0 && !s.required():
		return s.keep(s.owners, reasonOwner)
	case s.required():
		return true
	}
	general := filter(s.domains, s.leads)
	if !s.keep(general, reasonNoInternet) {
		return false
	}
	inside := filter(general, func(d *pvd.Domain) bool { return d.Inside(s.is6) })
	if pvd.Private(s.f.Dst.Addr()) && !s.keep(inside, reasonPrivate) {
		return false
	}
	s.override()
	return true
}

// keep keeps those of left that would serve, or refuses: by a rule where others
// would have served.
func (s *stage) keep(serving []*pvd.Domain, reason string) bool {
	if s.left = both(s.left, serving); len(s.left) > 0 {
		return true
	}
	if slices.ContainsFunc(serving, s.usable) {
		return s.refuse(Prohibited, reasonRefused)
	}
	return s.refuse(NoRoute, reason)
}

// follow puts a flow where its answer came from, if it must be there.
func (s *stage) follow() (done, ok bool) {
	dst, a := s.f.Dst.Addr(), s.f.Answer
	private := pvd.Private(dst)
	if !a.Private && !private && (len(s.owners) == 0 || s.required()) {
		return false, false
	}
	i := slices.IndexFunc(s.domains, func(d *pvd.Domain) bool { return d.Slot == a.Slot && d.Attached == a.Attached })
	if i < 0 {
		return true, s.refuse(NoRoute, reasonAnswerGone)
	}
	d := s.domains[i]
	if s.usable(d) && !private && !s.leads(d) && !slices.Contains(s.owners, d) {
		return false, false
	}
	if s.answered = slices.Contains(s.left, d); s.answered {
		s.left = []*pvd.Domain{d}
		return true, true
	}
	if s.usable(d) {
		return true, s.refuse(Prohibited, reasonRefused)
	}
	return true, s.refuse(NoRoute, reasonAnswerGone)
}

func (s *stage) override() {
	in := filter(s.left, func(d *pvd.Domain) bool {
		return slices.ContainsFunc(d.NextHops, func(h pvd.NextHop) bool { return h.Is6 == s.is6 && h.Overrides })
	})
	if len(in) == 0 || len(in) == len(s.left) || slices.ContainsFunc(s.spoke, func(r *Rule) bool { return len(r.Prefer) > 0 }) {
		return
	}
	s.left, s.v.reason = in, reasonOverrides
}

func filter(list []*pvd.Domain, keep func(*pvd.Domain) bool) []*pvd.Domain {
	var out []*pvd.Domain
	for _, d := range list {
		if keep(d) {
			out = append(out, d)
		}
	}
	return out
}

func both(a, b []*pvd.Domain) []*pvd.Domain {
	return filter(a, func(d *pvd.Domain) bool { return slices.Contains(b, d) })
}

// held is one prefix that a domain claims, and how firmly.
type held struct {
	d      *pvd.Domain
	prefix netip.Prefix
	stand  int
}

// claimed lists the longest prefixes around dst that domains claim.
func claimed(domains []*pvd.Domain, dst netip.Addr) []held {
	var all []held
	for _, d := range domains {
		for _, p := range d.Prefixes {
			all = append(all, held{d, p, 0})
		}
		for _, a := range d.Addresses {
			if !a.Prefix.IsSingleIP() {
				all = append(all, held{d, a.Prefix, 0})
			}
		}
		for _, r := range d.Routes {
			if r.Origin == pvd.FromKernel || d.Trust == pvd.Trusted || !d.Internet && pvd.Private(r.Dst.Addr()) {
				all = append(all, held{d, r.Dst, 2 - int(r.Preference)})
			}
		}
		for _, p := range d.PREF64 {
			if p.Prefix.Addr() == netip.MustParseAddr("64:ff9b::") {
				all = append(all, held{d, p.Prefix, 0})
			}
		}
	}
	longest := 0
	for _, h := range all {
		if h.prefix.Contains(dst) {
			longest = max(longest, h.prefix.Bits())
		}
	}
	return slices.DeleteFunc(all, func(h held) bool {
		return !h.prefix.Contains(dst) || h.prefix.Bits() == 0 || h.prefix.Bits() < longest
	})
}

// claimants are the domains with the longest prefix around dst.
func claimants(domains []*pvd.Domain, dst netip.Addr) []*pvd.Domain {
	list := claimed(domains, dst)
	return filter(domains, func(d *pvd.Domain) bool {
		return slices.ContainsFunc(list, func(h held) bool { return h.d == d })
	})
}
