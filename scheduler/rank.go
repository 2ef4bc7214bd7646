package scheduler

import (
	"cmp"
	"math"
	"slices"
	"time"

	"mifvif/pvd"
)

// standing is where a candidate stands in the order: smaller is better, the
// first difference decides (standards D.1, rank and score stage).
type standing struct {
	prefer   [actors]int // place in each actor's order
	degraded bool
	metered  bool    // last unless asked for
	metric   int     // of the priority algorithm
	score    float64 // of the weighted algorithm; more is better
	place    int     // by name
}

func (a *standing) compare(b *standing) int {
	return cmp.Or(
		slices.Compare(a.prefer[:], b.prefer[:]),
		compareBool(a.degraded, b.degraded),
		compareBool(a.metered, b.metered),
		cmp.Compare(a.metric, b.metric),
		cmp.Compare(b.score, a.score),
		cmp.Compare(a.place, b.place),
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
	algorithm, key := p.algorithm(), uint64(0)
	var stuck *pvd.Domain
	if algorithm == Weighted {
		key = p.affinityKey(p.affinity(), p.app(p.flow.src), &p.flow)
		stuck = p.stuck(key)
	}
	var at [MaxCandidates]standing
	for i := p.left.next(0); i >= 0; i = p.left.next(i + 1) {
		d := p.snap.domains[i]
		src, ok := p.source(d, p.flow.dst)
		if !ok {
			p.trace.lost(d, "it has no source address for the destination")
			continue
		}
		s := p.standing(i, d)
		switch {
		case algorithm == Priority:
			s.metric = p.priority(i, d)
		case d == stuck:
			s.score = math.Inf(1)
		default:
			s.score = draw(key, p.snap.hashes[i], d.Weight)
		}
		p.insert(&at, s, Candidate{d, src})
	}
	if p.dec.n == 0 {
		p.refuse(NoRoute, reasonNoSource)
		return
	}
	p.settle(algorithm, key, stuck)
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

// standing returns what is known of a candidate before its score.
func (p *pick) standing(i int, d *pvd.Domain) standing {
	s := standing{degraded: d.State == pvd.Degraded, metered: d.Metered, place: i}
	for actor, r := range p.spoke {
		if r != nil {
			s.prefer[actor] = placeIn(r.prefer, i)
		}
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
func draw(key, domain uint64, weight int) float64 {
	u := (float64(finish(key^domain)>>11) + 0.5) / (1 << 53)
	return -float64(max(weight, 1)) / math.Log(u)
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
func (p *pick) settle(algorithm Algorithm, key uint64, stuck *pvd.Domain) {
	first := p.dec.candidates[0].Domain
	if p.dec.Reason == "" {
		p.dec.Reason = p.reason(algorithm, first == stuck)
	}
	p.fates()
	if algorithm == Weighted && p.affinity() != AffinityNone && p.trace == nil {
		on := first
		if stuck != nil {
			on = stuck
		}
		p.sticky.keep(key, on.Key())
	}
}

func (p *pick) reason(algorithm Algorithm, stuck bool) string {
	switch {
	case p.bound:
		return reasonAnswer
	case p.zoned:
		return reasonZone
	case p.owned:
		return reasonScope
	case p.preferred() && p.favoured():
		return reasonPrefer
	case p.required():
		return reasonRequire
	case p.dec.n == 1:
		return reasonOnly
	case algorithm == Priority:
		return reasonPriority
	case stuck:
		return reasonSticky
	}
	return reasonWeighted
}

// favoured reports whether a rule prefers the first candidate.
func (p *pick) favoured() bool {
	for _, r := range p.spoke {
		if r != nil && slices.Contains(r.Prefer, p.dec.candidates[0].Domain.Name) {
			return true
		}
	}
	return false
}

// fates fills in what becomes of the flow later, each as the strongest rule that
// speaks of it says.
func (p *pick) fates() {
	for _, r := range p.spoke {
		if r == nil {
			continue
		}
		p.dec.OnFailure = cmp.Or(p.dec.OnFailure, r.OnFailure)
		p.recovery(r.OnRecovery, r.RecoveryDeadline)
	}
	policy := p.snap.policy
	p.dec.OnFailure = cmp.Or(p.dec.OnFailure, policy.OnFailure, FailAuto)
	p.recovery(policy.OnRecovery, policy.RecoveryDeadline)
	p.recovery(RecoverStay, 0)
}

// recovery fills in what becomes of the flow when a better domain is back.
func (p *pick) recovery(what OnRecovery, deadline time.Duration) {
	if p.dec.OnRecovery == RecoverInherit && what != RecoverInherit {
		p.dec.OnRecovery, p.dec.RecoveryDeadline = what, deadline
	}
}
