package scheduler

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"

	"mifvif/flow"
	"mifvif/pvd"
)

// standing is where a candidate stands in the order: smaller is better, the
// first difference decides (standards D.1, rank and score stage).
type standing struct {
	rank

	stuck   bool          // earlier flows of the affinity are on it
	full    bool          // of the overflow algorithm
	answers time.Duration // the round trip to the destination, if flows were answered on the way there; not compared
	silent  bool          // the last connect there was not; not compared
	metric  int           // of the algorithms by order
	used    int           // of the least-used algorithm
	flows   float64       // likewise
	latency time.Duration // of the algorithms by latency; unknown paths come first, or they would never be known
	score   float64       // of the weighted algorithm; more is better
	place   int           // by name
}

// rank is what no score makes up for.
type rank struct {
	prefer   [actors]int // place in each actor's order
	advised  advice      // what its own network says of it: behind operators' rules
	degraded bool
	failing  bool // connects to the destination get no answer
	spent    bool // its data cap is used up
	metered  bool // last unless asked for
}

func (a *standing) compare(b *standing) int {
	return cmp.Or(
		a.rank.compare(&b.rank),
		compareBool(b.stuck, a.stuck),
		compareBool(a.full, b.full),
		cmp.Compare(a.metric, b.metric),
		cmp.Compare(a.used, b.used),
		cmp.Compare(a.flows, b.flows),
		cmp.Compare(a.latency, b.latency),
		cmp.Compare(b.score, a.score),
		cmp.Compare(a.place, b.place),
	)
}

func (a *rank) compare(b *rank) int {
	return cmp.Or(
		slices.Compare(a.prefer[:Default], b.prefer[:Default]),
		a.advised.compare(b.advised),
		cmp.Compare(a.prefer[Default], b.prefer[Default]),
		compareBool(a.degraded, b.degraded),
		compareBool(a.failing, b.failing),
		compareBool(a.spent, b.spent),
		compareBool(a.metered, b.metered),
	)
}

// compareBool puts false first.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// order ranks and scores what is left and names the best candidates.
func (p *pick) order() {
	p.by = p.algorithm()
	var stuck *pvd.Domain
	if p.by.sticks() {
		p.key = p.affinityKey(p.affinity(), &p.flow)
		stuck = p.stuck(p.key)
	}
	p.prefix = pathPrefix(p.flow.dst)
	var at [MaxCandidates]standing
	for i := p.left.next(0); i >= 0; i = p.left.next(i + 1) {
		d := p.snap.domains[i]
		src, to, ok := p.way(d)
		if !ok {
			p.trace.lost(d, "it has no source address for the destination")
			continue
		}
		p.insert(&at, p.standing(i, d, d == stuck), Candidate{d, src, to})
	}
	if p.dec.n == 0 {
		p.refuse(NoRoute, reasonNoSource)
		return
	}
	if p.by.byLatency() {
		p.hesitate(&at, stuck)
	}
	p.comeback.look(p, &at)
	p.race(&at)
	p.settle(stuck)
	p.multipath(&at)
	p.through(&at[0])
}

// way returns the source address for the destination in d, and where it is reached
// if not where it says: IPv4 of a domain that has none goes over its NAT64. Echo
// requests are not translated.
func (p *pick) way(d *pvd.Domain) (src, to netip.Addr, ok bool) {
	dst := p.flow.dst
	if src, ok = p.source(d, dst); ok || !dst.Is4() {
		return src, to, ok
	}
	if dst.IsUnspecified() {
		if d.Carries(false) {
			src, ok = p.source(d, netip.IPv6Unspecified())
		}
		return src, to, ok
	}
	if to, ok = d.Translated(dst); ok && p.flow.Proto != flow.ICMP {
		src, ok = p.source(d, to)
	}
	return src, to, ok && p.flow.Proto != flow.ICMP
}

// insert puts c where it belongs; the worst one falls out when there are more
// than MaxCandidates.
func (p *pick) insert(at *[MaxCandidates]standing, s standing, c Candidate) {
	i := p.dec.n
	for i > 0 && s.compare(&at[i-1]) < 0 {
		i--
	}
	if p.dec.n == MaxCandidates {
		worst := c
		if i < MaxCandidates {
			worst = p.dec.candidates[MaxCandidates-1]
		}
		p.trace.lost(worst.Domain, "there are enough better ones")
	}
	if i == MaxCandidates {
		return
	}
	p.dec.n = min(p.dec.n+1, MaxCandidates)
	copy(at[i+1:p.dec.n], at[i:])
	copy(p.dec.candidates[i+1:p.dec.n], p.dec.candidates[i:])
	at[i], p.dec.candidates[i] = s, c
}

// standing returns where a candidate stands under the algorithm.
func (p *pick) standing(i int, d *pvd.Domain, stuck bool) standing {
	load := p.loads.of(d)
	trail, age, known := p.paths.lookup(d.Key(), p.prefix)
	s := standing{place: i, answers: trail.answers(), silent: trail.failures > 0, rank: rank{
		degraded: d.State == pvd.Degraded, failing: known && trail.failing(age), spent: load.Spent, metered: d.Metered,
	}}
	for actor, r := range p.spoke {
		if r != nil {
			s.prefer[actor] = placeIn(r.prefer, i)
		}
	}
	s.advised = p.advised(i, d)
	s.stuck = stuck && !p.by.byLatency()
	switch p.by {
	case Overflow:
		s.full = load.full(d.Bandwidth)
	case LeastUsed:
		fresh := p.loads.chosen(d)
		s.used = load.used(d.Bandwidth) + fresh
		s.flows = float64(load.Flows+fresh) / float64(p.snap.shares[i])
	case LowestLatency, Fastest:
		s.latency = trail.cost()
	}
	if p.by.byOrder() {
		s.metric = p.priority(i, d)
	} else if !s.stuck {
		s.score = draw(p.key, p.snap.hashes[i], p.snap.shares[i])
	}
	return s
}

// placeIn returns where place i stands in a list, its length if it does not.
func placeIn(list []int, i int) int {
	if at := slices.Index(list, i); at >= 0 {
		return at
	}
	return len(list)
}

// listed is more than any route metric: it separates the domains that the
// declared order names from those it does not.
const listed = math.MinInt

// priority returns a candidate's place under the priority algorithm: in the order
// of what is required, else in the declared order, after that by the best metric
// of its next hops.
func (p *pick) priority(i int, d *pvd.Domain) int {
	for _, r := range p.spoke {
		if r != nil && len(r.order) > 0 {
			return listed + placeIn(r.order, i)
		}
	}
	if at := slices.Index(p.snap.order, i); at >= 0 {
		return listed + at
	}
	best := math.MaxInt
	for _, h := range d.NextHops {
		if h.Is6 == (p.flow.family == 1) {
			best = min(best, h.Metric)
		}
	}
	return best
}

// draw is a domain's lot for one key (weighted rendezvous hashing): the highest
// wins, in proportion to weights, and a domain that comes or goes moves only the
// keys that it wins or held.
func draw(key, domain, share uint64) float64 {
	u := (float64(finish(key^domain)>>11) + 0.5) / (1 << 53)
	return -float64(share) / math.Log(u)
}

// algorithm returns that of the strongest rule that names one.
func (p *pick) algorithm() Algorithm {
	for _, r := range p.spoke {
		if r != nil && r.Algorithm != Inherit {
			return r.Algorithm
		}
	}
	return cmp.Or(p.snap.policy.Algorithm, Weighted)
}

// affinity returns that of the strongest rule that names one.
func (p *pick) affinity() Affinity {
	for _, r := range p.spoke {
		if r != nil && r.Affinity != AffinityInherit {
			return r.Affinity
		}
	}
	if p.by == Persistent {
		return cmp.Or(p.snap.policy.Affinity, AffinitySource)
	}
	return cmp.Or(p.snap.policy.Affinity, AffinitySite)
}

// stuck returns the domain that the answer for the destination came from, else
// the one that earlier flows of the key are on, or nil. A flow for itself has no
// earlier ones.
func (p *pick) stuck(key uint64) *pvd.Domain {
	if d := p.answered(); d != nil {
		return d
	}
	if p.affinity() == AffinityNone {
		return nil
	}
	at, ok := p.sticky.lookup(key)
	if !ok {
		return nil
	}
	for i := p.left.next(0); i >= 0; i = p.left.next(i + 1) {
		if d := p.snap.domains[i]; d.Key() == at {
			return d
		}
	}
	return nil
}

// settle says why the first candidate is the first and what is to become of the
// flow, and keeps the key where it is unless the decision is only asked about. A
// flow that a rule puts elsewhere does not take the others of its key along.
func (p *pick) settle(stuck *pvd.Domain) {
	first := p.dec.candidates[0].Domain
	if p.dec.Reason == "" {
		p.dec.Reason = p.reason(first == stuck)
	}
	p.fates()
	if p.trace != nil {
		p.disputed()
	}
	if !p.noted() {
		return
	}
	if !p.flow.dst.IsUnspecified() { // else it is a question about a name, no flow
		p.loads.chose(first)
	}
	if p.by.sticks() && p.affinity() != AffinityNone {
		on := first
		if stuck != nil && !p.released {
			on = stuck
		}
		p.sticky.keep(p.key, on.Key(), p.by == Persistent)
	}
}

func (p *pick) reason(stuck bool) string {
	switch {
	case p.bound:
		return reasonAnswer
	case p.zoned:
		return reasonZone
	case p.owned:
		return reasonScope
	case p.strongest() != nil && len(p.strongest().Require) > 0:
		return reasonRequire
	case p.preferring() != nil:
		return reasonPrefer
	case p.required():
		return reasonRequire
	case p.dec.n == 1:
		return reasonOnly
	case stuck:
		return reasonSticky
	}
	switch p.by {
	case Priority, Persistent:
		return reasonPriority
	case Overflow:
		return reasonOverflow
	case LeastUsed:
		return reasonLeastUsed
	case LowestLatency, Fastest:
		return reasonLatency
	}
	return reasonWeighted
}

// fates fills in what becomes of the flow later, each as the strongest rule that
// speaks of it says.
func (p *pick) fates() {
	for _, r := range p.spoke {
		if r == nil {
			continue
		}
		p.dec.OnFailure = cmp.Or(p.dec.OnFailure, r.OnFailure)
		p.dec.MPTCP = cmp.Or(p.dec.MPTCP, r.MPTCP)
		p.dec.Path = cmp.Or(p.dec.Path, r.Path)
		p.recovery(r.OnRecovery, r.RecoveryDeadline)
	}
	policy := p.snap.policy
	p.dec.OnFailure = cmp.Or(p.dec.OnFailure, policy.OnFailure, FailAuto)
	p.dec.Path = cmp.Or(p.dec.Path, policy.Path, PathAuto)
	p.recovery(policy.OnRecovery, policy.RecoveryDeadline)
	p.recovery(RecoverStay, 0)
}

// recovery fills in what becomes of the flow when a better domain is back.
func (p *pick) recovery(what OnRecovery, deadline time.Duration) {
	if p.dec.OnRecovery == RecoverInherit && what != RecoverInherit {
		p.dec.OnRecovery, p.dec.RecoveryDeadline = what, deadline
	}
}
