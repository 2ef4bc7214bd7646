package scheduler

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mifvif/flow"
	"mifvif/pvd"
)

// place is where a candidate stands: the first difference of its marks decides,
// less is better. Those whose marks are equal may come in any order: the draw is
// compared elsewhere.
type place struct {
	d       *pvd.Domain
	rank    []float64 // what no score makes up for
	score   []float64
	latency time.Duration
}

func (a place) compare(b place) int {
	return cmp.Or(slices.Compare(a.rank, b.rank), slices.Compare(a.score, b.score))
}

// company is what flows are kept together by: the affinity, the app and the rest.
type company struct{ affinity, app, rest string }

// home is where flows of one key are.
type home struct {
	at    pvd.Key
	until time.Time
	rival pvd.Key
	since time.Time
}

// walk is a way to a prefix in a domain instance.
type walk struct {
	key    pvd.Key
	prefix netip.Prefix
}

func walkTo(k pvd.Key, dst netip.Addr) walk {
	bits := 24
	if dst.Is6() {
		bits = 48
	}
	return walk{k, netip.PrefixFrom(dst, bits).Masked()}
}

// known is what was learnt of a way.
type known struct {
	rtt      float64
	loss     float64
	failures int
	at       time.Time
}

func (o *oracle) learn(k pvd.Key, dst netip.Addr, s Sample) {
	w := o.paths[walkTo(k, dst)]
	if w == nil || time.Since(w.at) >= 10*time.Minute {
		w = new(known)
		o.paths[walkTo(k, dst)] = w
	}
	w.at = time.Now()
	if s.Silent {
		w.failures++
		return
	}
	w.failures = 0
	if s.RTT > 0 && w.rtt == 0 {
		w.rtt = float64(s.RTT)
	} else if s.RTT > 0 {
		w.rtt += float64((s.RTT - time.Duration(w.rtt)) / 8)
	}
	if s.Sent > 0 {
		w.loss += (min(float64(s.Lost)/float64(s.Sent), 1) - w.loss) / 8
	}
}

func (s *stage) way(d *pvd.Domain) known {
	w := s.paths[walkTo(d.Key(), s.f.Dst.Addr())]
	if w == nil || time.Since(w.at) >= 10*time.Minute {
		return known{}
	}
	return *w
}

// algorithm and affinity are those of the strongest rule that names one.
func (s *stage) algorithm() Algorithm {
	for _, r := range s.spoke {
		if r.Algorithm != Inherit {
			return r.Algorithm
		}
	}
	return cmp.Or(s.policy.Algorithm, Weighted)
}

func (s *stage) affinity() Affinity {
	for _, r := range s.spoke {
		if r.Affinity != AffinityInherit {
			return r.Affinity
		}
	}
	usual := AffinitySite
	if s.v.by == Persistent {
		usual = AffinitySource
	}
	return cmp.Or(s.policy.Affinity, usual)
}

// keyOf says what a flow is kept together by.
func (s *stage) keyOf() company {
	app, o := "address "+s.f.Src.Addr().String(), s.f.Owner
	switch {
	case s.f.Ingress == "" && o.Cgroup != "" && o.Cgroup != "/":
		app = "group " + o.Cgroup
	case s.f.Ingress == "" && o.Known:
		app = fmt.Sprint("user ", o.UID)
	}
	dst := s.f.Dst.Addr().String()
	switch s.affinity() {
	case AffinityNone:
		return company{"none", app, fmt.Sprint(s.f.Proto, s.f.Src.Port(), s.f.Dst)}
	case AffinityDestination:
		return company{"destination", app, dst}
	case AffinitySite:
		if labels := strings.Split(s.f.Name, "."); s.f.Name != "" {
			return company{"site", app, strings.Join(labels[max(0, len(labels)-2):], ".")}
		}
		return company{"site", app, dst}
	}
	return company{"source", app, ""}
}

func (s *stage) rank() {
	s.v.by = s.algorithm()
	s.v.sticks = s.v.by != Priority && s.v.by != Overflow
	var stuck *pvd.Domain
	if s.v.sticks {
		s.v.key = s.keyOf()
		if stuck = s.stuck(); stuck != nil {
			s.v.held = stuck.Name
		}
	}
	shares := sharesAsDeclared(s.domains)
	for _, d := range s.left {
		if s.reachable(d) {
			s.v.places = append(s.v.places, s.place(d, d == stuck, shares[d]))
		}
	}
	if len(s.v.places) == 0 {
		s.refuse(NoRoute, reasonNoSource)
		return
	}
	slices.SortStableFunc(s.v.places, place.compare)
	s.v.places = s.v.places[:min(len(s.v.places), MaxCandidates)]
	s.hesitate(stuck)
	s.v.race = s.racers()
	if s.v.reason == "" {
		s.v.reason = s.reason(stuck)
	}
}

// stuck returns the candidate whose answer it was, or that earlier flows are on.
func (s *stage) stuck() *pvd.Domain {
	at := pvd.Key{Slot: s.f.Answer.Slot, Attached: s.f.Answer.Attached}
	if s.f.Answer.Known && !s.f.Dst.Addr().IsUnspecified() {
		if i := slices.IndexFunc(s.left, func(d *pvd.Domain) bool { return d.Key() == at }); i >= 0 {
			return s.left[i]
		}
	}
	h := s.home()
	if s.affinity() == AffinityNone || h == nil {
		return nil
	}
	if i := slices.IndexFunc(s.left, func(d *pvd.Domain) bool { return d.Key() == h.at }); i >= 0 {
		return s.left[i]
	}
	return nil
}

// reachable reports whether d has a source address for the destination, or for
// what its NAT64 makes of it.
func (s *stage) reachable(d *pvd.Domain) bool {
	dst := s.f.Dst.Addr()
	if _, ok := firstSource(d, dst); ok {
		return true
	}
	if !dst.Is4() {
		return false
	}
	_, six := firstSource(d, netip.IPv6Unspecified())
	_, translated := d.Translated(dst)
	return six && (dst.IsUnspecified() && d.Carries(false) || translated && !dst.IsUnspecified() && s.f.Proto.String() != "icmp")
}

func number01(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func at(list []string, name string) float64 {
	if i := slices.Index(list, name); i >= 0 {
		return float64(i)
	}
	return float64(len(list))
}

func (s *stage) place(d *pvd.Domain, stuck bool, share float64) place {
	load, way := s.load[d.Key()], s.way(d)
	p := place{d: d}
	var preferred [actors]float64
	for _, r := range s.spoke {
		preferred[r.Actor] = at(r.Prefer, d.Name)
	}
	p.rank = append(p.rank, preferred[Locked], preferred[User], preferred[Admin], preferred[Operator])
	p.rank = append(p.rank, s.advice(d)...)
	p.rank = append(p.rank, preferred[Default],
		number01(d.State == pvd.Degraded), number01(way.failures >= 2 && time.Since(way.at) < time.Minute),
		number01(load.Spent), number01(d.Metered))
	p.latency = time.Duration(way.rtt) + time.Duration(way.rtt*way.loss*10)
	used, full := 0.0, false
	for _, use := range []struct{ now, most uint64 }{{load.Down, d.Bandwidth.Down}, {load.Up, d.Bandwidth.Up}} {
		if use.most > 0 {
			used = max(used, min(float64(use.now*8/use.most), 7))
			full = full || float64(use.now) >= 0.9*float64(use.most)
		}
	}
	switch s.v.by {
	case Weighted:
		p.score = []float64{number01(!stuck)}
	case Priority:
		p.score = s.inOrder(d)
	case Overflow:
		p.score = append([]float64{number01(full)}, s.inOrder(d)...)
	case Persistent:
		p.score = append([]float64{number01(!stuck)}, s.inOrder(d)...)
	case LeastUsed:
		fresh := float64(s.fresh[d.Name])
		p.score = []float64{number01(!stuck), used + fresh, (float64(load.Flows) + fresh) / share}
	case LowestLatency, Fastest:
		p.score = []float64{float64(p.latency)}
	}
	return p
}

// advice is what networks say of themselves.
func (s *stage) advice(d *pvd.Domain) []float64 {
	if s.owned {
		firmest := 9
		for _, h := range claimed(s.domains, s.f.Dst.Addr()) {
			if h.d == d {
				firmest = min(firmest, h.stand)
			}
		}
		return []float64{float64(firmest), 0, 0}
	}
	if s.zoned || s.answered {
		return []float64{0, 0, 0}
	}
	resolvers, routers := []pvd.Preference{}, []pvd.Preference{}
	for _, r := range d.Resolvers {
		if !r.Only && d.Trust == pvd.Trusted && s.f.Dst.Addr().IsUnspecified() {
			resolvers = append(resolvers, r.Preference)
		}
	}
	for _, h := range d.NextHops {
		if h.Is6 == s.is6 {
			routers = append(routers, h.Preference)
		}
	}
	best := func(list []pvd.Preference) float64 {
		if len(list) == 0 {
			return 0
		}
		return -float64(slices.Max(list))
	}
	return []float64{0, best(resolvers), best(routers)}
}

// inOrder is where a domain stands in what a rule requires, else in the declared
// order, else by its route's metric, else by its name.
func (s *stage) inOrder(d *pvd.Domain) []float64 {
	name := float64(slices.Index(s.domains, d))
	for _, r := range s.spoke {
		if len(r.Require) > 0 {
			return []float64{0, at(r.Require, d.Name), name}
		}
	}
	if i := slices.Index(s.policy.Order, d.Name); i >= 0 {
		return []float64{0, float64(i), name}
	}
	metric := 1e18
	for _, h := range d.NextHops {
		if h.Is6 == s.is6 {
			metric = min(metric, float64(h.Metric))
		}
	}
	return []float64{1, metric, name}
}

// hesitate leaves flows where they are, unless another has been better by a fifth
// for ten seconds, or nobody knows how good it is.
func (s *stage) hesitate(stuck *pvd.Domain) {
	if s.v.by != LowestLatency && s.v.by != Fastest || stuck == nil {
		return
	}
	i := slices.IndexFunc(s.v.places, func(p place) bool { return p.d == stuck })
	if i < 0 {
		return
	}
	best, mine := s.v.places[0], s.v.places[i]
	switch {
	case slices.Compare(best.rank, mine.rank) != 0:
		return
	case best.latency == 0 && mine.latency > 0:
		s.v.released = true
		return
	case best.latency < mine.latency && best.latency+best.latency/5 <= mine.latency:
		rival := best.d.Key()
		s.v.rival = &rival
		if h := s.home(); h != nil && h.rival == rival && time.Since(h.since) >= 10*time.Second {
			s.v.released = true
			return
		}
	default:
		s.v.rival = &pvd.Key{}
	}
	s.v.places = slices.Insert(slices.Delete(s.v.places, i, i+1), 0, mine)
}

// home returns where flows of the key are, nil if none was lately.
func (s *stage) home() *home {
	if h := s.kept[s.v.key]; h != nil && time.Now().Before(h.until) {
		return h
	}
	return nil
}

// racers is how many candidates race.
func (s *stage) racers() int {
	n := min(len(s.v.places), 4)
	if s.owned || s.zoned || s.answered || s.required() || n < 2 {
		return 0
	}
	if s.v.by == Fastest || someOf(s.spoke, func(r *Rule) bool { return r.Race }) {
		return n
	}
	equal := 1
	for equal < n && slices.Equal(s.v.places[equal].rank, s.v.places[0].rank) {
		equal++
	}
	if equal < 2 || s.v.by == Priority || s.v.by == Overflow || s.v.by == Persistent {
		return 0
	}
	return equal
}

// reason is "" where the draw decides about it.
func (s *stage) reason(stuck *pvd.Domain) string {
	first := s.v.places[0].d
	tied := len(s.v.places) > 1 && s.v.places[0].compare(s.v.places[1]) == 0
	switch {
	case s.answered:
		return reasonAnswer
	case s.zoned:
		return reasonZone
	case s.owned:
		return reasonScope
	case len(s.spoke) > 0 && len(s.spoke[0].Require) > 0:
		return reasonRequire
	case tied:
		return ""
	case someOf(s.spoke, func(r *Rule) bool { return slices.Contains(r.Prefer, first.Name) }):
		return reasonPrefer
	case s.required():
		return reasonRequire
	case len(s.v.places) == 1:
		return reasonOnly
	case first == stuck:
		return reasonSticky
	}
	return map[Algorithm]string{
		Weighted: reasonWeighted, Priority: reasonPriority, Persistent: reasonPriority, Overflow: reasonOverflow,
		LeastUsed: reasonLeastUsed, LowestLatency: reasonLatency, Fastest: reasonLatency,
	}[s.v.by]
}

func sharesAsDeclared(domains []*pvd.Domain) map[*pvd.Domain]float64 {
	alike := !someOf(domains, func(d *pvd.Domain) bool {
		return d.Weight != domains[0].Weight || d.Internet && d.Bandwidth.Down+d.Bandwidth.Up == 0
	})
	out := make(map[*pvd.Domain]float64)
	for _, d := range domains {
		if out[d] = float64(max(d.Weight, 1)); alike {
			out[d] = float64(max(d.Bandwidth.Down+d.Bandwidth.Up, 1))
		}
	}
	return out
}

// note remembers what was decided: got is the domain that came first.
func (o *oracle) note(f flow.Flow, v verdict, got *pvd.Domain) {
	if !f.Dst.Addr().IsUnspecified() {
		o.fresh[got.Name]++
	}
	h := o.kept[v.key]
	if v.rival != nil && h != nil && time.Now().Before(h.until) && h.rival != *v.rival {
		h.rival, h.since = *v.rival, time.Now()
	}
	if !v.sticks || v.key.affinity == "none" {
		return
	}
	on := got
	if i := slices.IndexFunc(o.domains, func(d *pvd.Domain) bool { return d.Name == v.held }); i >= 0 && !v.released {
		on = o.domains[i]
	}
	if h == nil || h.at != on.Key() {
		h = &home{at: on.Key()}
		o.kept[v.key] = h
	}
	h.until = time.Now().Add(10 * time.Minute)
	if v.by == Persistent {
		h.until = time.Now().Add(24 * time.Hour)
	}
}
