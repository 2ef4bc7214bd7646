package scheduler

import (
	"net/netip"
	"slices"
	"time"

	"github.com/gaissmai/bart"

	"mifvif/pvd"
)

// snapshot is all that one decision reads, compiled once. It never changes.
type snapshot struct {
	version uint64
	domains []*pvd.Domain
	hashes  []uint64 // of their names, for the weighted draw
	shares  []uint64 // what each is worth in it
	policy  *Policy
	order   []int // places of Policy.Order, -1 for one that is not there

	// What each domain is good for, by family.
	usable    [2]members // takes new flows
	general   [2]members // leads to destinations that nobody claims
	overrides [2]members // a VPN client routes everything into it
	inside    [2]members // has a private address: private networks may lie behind it
	// insideMatters: private destinations have other candidates than public ones.
	insideMatters [2]bool
	several       bool // a family has more than one domain

	claims *bart.Table[*owners] // who holds a destination to be its own
	// contested are prefixes that several domains claim, at most maxContested.
	contested []netip.Prefix
	rules     [actors][]rule
	*compiled
	absent []string
	back   []time.Time           // since when each domain is as good as it is
	newest time.Time             // of back
	zones  map[string]*zone      // by name, with the domains they belong to
	told   map[string][]pvd.Zone // by trusted domain, what it said of zones last
}

// rule is a Rule with the names of domains turned into places.
type rule struct {
	*Rule
	require members // of the domains that are there
	forbid  members
	prefer  []int // -1 for a domain that is not there
	order   []int // of require, which the priority algorithm follows
}

// newSnapshot compiles set and policy; both must not change any more. The index
// over rules is taken from the last snapshot where the policy is still the same.
func newSnapshot(set *pvd.Set, policy *Policy, last *snapshot, now time.Time) *snapshot {
	all := set.All()
	s := &snapshot{
		domains: all[:min(len(all), pvd.MaxDomains)], policy: policy, claims: new(bart.Table[*owners]),
	}
	if last != nil && last.policy == policy {
		s.compiled = last.compiled
	} else {
		s.compiled = compile(policy)
	}
	places := called(s.domains)
	for i, d := range s.domains {
		s.hashes = append(s.hashes, hashString(hashSeed, d.Name))
		s.classify(i, d)
		s.claimFor(i, d)
	}
	s.shares = sharesOf(s.domains)
	s.comeBack(last, now)
	for f := range s.general {
		reach := s.usable[f].and(&s.general[f])
		reach = reach.without(&s.inside[f])
		s.insideMatters[f] = !reach.empty()
		if one := s.usable[f].next(0); one >= 0 {
			s.several = s.several || s.usable[f].next(one+1) >= 0
		}
	}
	s.order = placesOf(policy.Order, places)
	s.place(places)
	s.told = tell(s.domains, last)
	s.zones = zonesOf(s.domains, s.told)
	return s
}

// sharesOf returns what each domain is worth: its weight; or, where all weights
// are alike and all domains with Internet declare their bandwidth, that.
func sharesOf(domains []*pvd.Domain) []uint64 {
	out := make([]uint64, len(domains))
	byBandwidth := len(domains) > 0
	for i, d := range domains {
		out[i] = uint64(max(d.Weight, 1))
		byBandwidth = byBandwidth && d.Weight == domains[0].Weight && (!d.Internet || d.Bandwidth.Down+d.Bandwidth.Up > 0)
	}
	if byBandwidth {
		for i, d := range domains {
			out[i] = max(d.Bandwidth.Down+d.Bandwidth.Up, 1)
		}
	}
	return out
}

// classify notes what a domain is good for.
func (s *snapshot) classify(i int, d *pvd.Domain) {
	for f := range s.usable {
		is6 := f == 1
		if d.Carries(is6) {
			s.usable[f].add(i)
		}
		if d.Leads(is6 || d.Carries(is6) && !d.Usable(is6)) { // IPv4 goes out as IPv6

			s.general[f].add(i)
		}
		if slices.ContainsFunc(d.NextHops, func(h pvd.NextHop) bool { return h.Is6 == is6 && h.Overrides }) {
			s.overrides[f].add(i)
		}
		if d.Inside(is6) {
			s.inside[f].add(i)
		}
	}
}

// place turns the names of domains in rules into places and notes which domains
// they miss.
func (s *snapshot) place(places map[string][]int) {
	missed := make(map[string]bool)
	for i := range s.policy.Rules {
		r := &s.policy.Rules[i]
		c := rule{Rule: r, prefer: placesOf(r.Prefer, places), order: placesOf(r.Require, places)}
		c.require, c.forbid = membersOf(r.Require, places), membersOf(r.Forbid, places)
		actor := min(r.Actor, Default)
		s.rules[actor] = append(s.rules[actor], c)
		for _, names := range [][]string{r.Require, r.Prefer, r.Forbid} {
			for _, name := range names {
				if _, ok := places[name]; !ok && !missed[name] {
					missed[name] = true
					s.absent = append(s.absent, name)
				}
			}
		}
	}
}

// speaks returns the first rule of an actor that is about f, or nil.
func (s *snapshot) speaks(actor Actor, f *subject) *rule {
	if i := s.actors[actor].first(f); i >= 0 {
		return &s.rules[actor][i]
	}
	return nil
}

// named reports whether the destination of f has decisions of its own, and not
// those of the whole app socket: a domain claims it, a rule names it, the answer
// that gave it holds in one domain only, or it is private and cannot go where
// public destinations go.
func (s *snapshot) named(f *subject) bool {
	return f.Answer.Known && (f.Answer.Private || pvd.Private(f.dst)) ||
		s.insideMatters[f.family] && pvd.Private(f.dst) || s.claims.Contains(f.dst) || s.naming.first(f) >= 0
}

// called returns the places of the domains by what rules call them: the name, and
// for all instances of one domain on several links (RFC 7556 2.3) its id too.
func called(domains []*pvd.Domain) map[string][]int {
	places := make(map[string][]int, len(domains))
	for i, d := range domains {
		places[d.Name] = append([]int{i}, places[d.Name]...)
		if d.Shared && d.ID != d.Name {
			places[d.ID] = append(places[d.ID], i)
		}
	}
	return places
}

func placesOf(names []string, places map[string][]int) []int {
	var out []int
	for _, name := range names {
		if at := places[name]; len(at) > 0 {
			out = append(out, at...)
		} else {
			out = append(out, -1)
		}
	}
	return out
}

func membersOf(names []string, places map[string][]int) members {
	var m members
	for _, name := range names {
		for _, i := range places[name] {
			m.add(i)
		}
	}
	return m
}
