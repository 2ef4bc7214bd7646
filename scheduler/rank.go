package scheduler

import (
	"cmp"
	"hash/maphash"
	"math"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/publicsuffix"

	"mifvif/flow"
	"mifvif/pvd"
)

// rank puts the candidates in order: by the rule's preference first, ties by
// the algorithm. sticky is the domain that earlier flows of the same affinity
// are on, or nil.
func (p *pick) order(seed maphash.Seed, sticky *pvd.Domain) {
	list := p.dec.Candidates()
	if len(list) == 0 {
		return
	}
	alg := p.algorithm()
	key := p.affinityKey()
	var score [MaxCandidates]float64
	for i, c := range list {
		switch {
		case alg == Priority:
			score[i] = -float64(metric(c.Domain, p.flow.Is6()))
		case c.Domain == sticky:
			score[i] = math.Inf(1)
		default:
			score[i] = weightedScore(seed, key, c.Domain)
		}
	}
	p.sort(list, &score)
	p.explainOrder(alg, list[0].Domain == sticky && alg == Weighted)
}

// sort orders list by preference rank, score and name. The lists are short:
// insertion sort, no allocation, stable.
func (p *pick) sort(list []Candidate, score *[MaxCandidates]float64) {
	for i := 1; i < len(list); i++ {
		for j := i; j > 0 && p.before(list[j], score[j], list[j-1], score[j-1]); j-- {
			list[j], list[j-1] = list[j-1], list[j]
			score[j], score[j-1] = score[j-1], score[j]
		}
	}
}

// before reports whether candidate a comes before b.
func (p *pick) before(a Candidate, scoreA float64, b Candidate, scoreB float64) bool {
	return cmp.Or(
		cmp.Compare(p.preference(a.Domain), p.preference(b.Domain)),
		cmp.Compare(metered(a.Domain), metered(b.Domain)),
		cmp.Compare(scoreB, scoreA),
		cmp.Compare(a.Domain.Name, b.Domain.Name),
	) < 0
}

// preference returns the rank a rule gives a domain; without one all are equal,
// except that with the priority algorithm the order of require counts too.
func (p *pick) preference(d *pvd.Domain) int {
	if p.rule == nil {
		return 0
	}
	if len(p.rule.Prefer) > 0 {
		if i := index(p.rule.Prefer, d.Name); i >= 0 {
			return i
		}
		return len(p.rule.Prefer)
	}
	if p.algorithm() == Priority && len(p.rule.Require) > 0 {
		return index(p.rule.Require, d.Name)
	}
	return 0
}

// metered domains come last unless asked for.
func metered(d *pvd.Domain) int {
	if d.Metered {
		return 1
	}
	return 0
}

// metric is the lowest kernel metric of the domain's next hops for the family.
func metric(d *pvd.Domain, is6 bool) int {
	best := math.MaxInt32
	for _, n := range d.NextHops {
		if n.Is6 == is6 {
			best = min(best, n.Metric)
		}
	}
	return best
}

// weightedScore is the domain's draw for one key (weighted rendezvous hashing):
// the highest wins, in proportion to weights, and a domain that comes or goes
// moves only the keys it wins or held.
func weightedScore(seed maphash.Seed, key affinityKey, d *pvd.Domain) float64 {
	var h maphash.Hash
	h.SetSeed(seed)
	maphash.WriteComparable(&h, key)
	_, _ = h.WriteString(d.Name)
	u := (float64(h.Sum64()>>11) + 0.5) / (1 << 53)
	return -float64(max(d.Weight, 1)) / math.Log(u)
}

func (p *pick) algorithm() Algorithm {
	if p.rule != nil && p.rule.Algorithm != Inherit {
		return p.rule.Algorithm
	}
	if p.snap.policy.Algorithm != Inherit {
		return p.snap.policy.Algorithm
	}
	return Weighted
}

func (p *pick) affinity() Affinity {
	if p.rule != nil && p.rule.Affinity != AffinityInherit {
		return p.rule.Affinity
	}
	if p.snap.policy.Affinity != AffinityInherit {
		return p.snap.policy.Affinity
	}
	return AffinitySite
}

// affinityKey names what is kept together on one domain.
type affinityKey struct {
	kind     Affinity
	src, dst netip.Addr
	site     string
	proto    flow.Proto
	sport    uint16
	dport    uint16
	rule     string
}

// affinityKey returns the key of the flow under the affinity in force.
func (p *pick) affinityKey() affinityKey {
	f := p.flow
	k := affinityKey{kind: p.affinity(), src: f.Src.Addr()}
	if p.rule != nil {
		k.rule = p.rule.Name
	}
	switch k.kind {
	case AffinityNone:
		k.dst, k.proto, k.sport, k.dport = f.Dst.Addr(), f.Proto, f.Src.Port(), f.Dst.Port()
	case AffinityDestination:
		k.dst = f.Dst.Addr()
	case AffinitySite:
		if k.site = site(f.Name); k.site == "" {
			k.dst = f.Dst.Addr()
		}
	}
	return k
}

// site returns the registrable domain of a name, "" if there is no name.
func site(name string) string {
	if name == "" {
		return ""
	}
	for name[len(name)-1] == '.' && len(name) > 1 {
		name = name[:len(name)-1]
	}
	if s, err := publicsuffix.EffectiveTLDPlusOne(name); err == nil {
		return s
	}
	return name
}

// explainOrder says why the first candidate is the first.
func (p *pick) explainOrder(alg Algorithm, sticky bool) {
	switch {
	case p.dec.Reason != "":
	case p.rule != nil && len(p.rule.Prefer) > 0 && index(p.rule.Prefer, p.dec.candidates[0].Domain.Name) >= 0:
		p.dec.Reason = reasonPrefer
	case p.rule != nil && len(p.rule.Require) > 0:
		p.dec.Reason = reasonRequire
	case p.dec.n == 1:
		p.dec.Reason = reasonOnly
	case alg == Priority:
		p.dec.Reason = reasonPriority
	case sticky:
		p.dec.Reason = reasonSticky
	default:
		p.dec.Reason = reasonWeighted
	}
}

// stickyFor is how long after its last flow a key stays where it was.
const stickyFor = 10 * time.Minute

// names returns the names a rule mentions.
func (r *Rule) names() []string { return slices.Concat(r.Require, r.Prefer, r.Forbid) }
