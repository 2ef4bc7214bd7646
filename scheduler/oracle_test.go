package scheduler

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"mifvif/flow"
	"mifvif/pvd"
)

// verdict is what the oracle says of a flow.
type verdict struct {
	refusal Refusal
	rule    string
	order   []string // best first, all of them
	ties    []int    // equal numbers: the weighted draw decides between these
	named   bool
	general bool // nobody claims the destination
}

// oracle decides slowly and obviously, on names instead of places and by
// scanning instead of indexes.
func oracle(policy *Policy, domains []*pvd.Domain, f flow.Flow) verdict {
	dst, is6 := f.Dst.Addr(), f.Is6()
	usable := filter(domains, func(d *pvd.Domain) bool { return d.Usable(is6) })
	owners := claimants(domains, dst)
	inside := filter(domains, func(d *pvd.Domain) bool { return d.Internet && d.HasDefault(is6) && d.Inside(is6) })
	general := filter(domains, func(d *pvd.Domain) bool { return d.Internet && d.HasDefault(is6) })
	var v verdict
	v.named = len(owners) > 0 || namedByRule(policy, f) ||
		pvd.Private(dst) && len(filter(usable, func(d *pvd.Domain) bool { return slices.Contains(general, d) && !slices.Contains(inside, d) })) > 0
	if len(usable) == 0 {
		v.refusal = NoRoute
		return v
	}
	left := usable
	var spoke []*Rule
	for _, actor := range []Actor{Locked, User, Admin, Operator, Default} {
		r := firstMatch(policy, actor, f)
		if r == nil {
			continue
		}
		next := filter(left, func(d *pvd.Domain) bool { return r.allows(d.Name) })
		if len(next) == 0 && irreconcilable(r, spoke, domains) {
			continue
		}
		spoke = append(spoke, r)
		v.rule = spoke[0].Name
		if left = next; len(left) == 0 {
			v.refusal, v.rule = Prohibited, r.Name
			return v
		}
	}
	required := slices.ContainsFunc(spoke, func(r *Rule) bool { return len(r.Require) > 0 })
	scope := func(serving []*pvd.Domain) bool {
		in := filter(left, func(d *pvd.Domain) bool { return slices.Contains(serving, d) })
		if len(in) > 0 {
			left = in
			return true
		}
		v.refusal = NoRoute
		if len(filter(serving, func(d *pvd.Domain) bool { return d.Usable(is6) })) > 0 {
			v.refusal = Prohibited
		}
		return false
	}
	owned := len(filter(left, func(d *pvd.Domain) bool { return slices.Contains(owners, d) })) > 0
	v.general = !owned
	switch {
	case owned || len(owners) > 0 && !required:
		if !scope(owners) {
			return v
		}
	case required:
	case pvd.Private(dst):
		if !scope(general) || !scope(inside) {
			return v
		}
		left = override(left, spoke, is6)
	default:
		if !scope(general) {
			return v
		}
		left = override(left, spoke, is6)
	}
	left = filter(left, func(d *pvd.Domain) bool { _, ok := firstSource(d, dst); return ok })
	if len(left) == 0 {
		v.refusal = NoRoute
		return v
	}
	rankOf(&v, policy, spoke, left, is6)
	return v
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

// claimants are the domains with the longest prefix around dst.
func claimants(domains []*pvd.Domain, dst netip.Addr) []*pvd.Domain {
	longest := 0
	var out []*pvd.Domain
	claim := func(d *pvd.Domain, p netip.Prefix) {
		if !p.Contains(dst) || p.Bits() == 0 || p.Bits() < longest {
			return
		}
		if p.Bits() > longest {
			longest, out = p.Bits(), nil
		}
		out = append(out, d)
	}
	for _, d := range domains {
		for _, p := range d.Prefixes {
			claim(d, p)
		}
		for _, a := range d.Addresses {
			if !a.Prefix.IsSingleIP() {
				claim(d, a.Prefix)
			}
		}
		for _, r := range d.Routes {
			if r.Origin == pvd.FromKernel || d.Trust == pvd.Trusted || !d.Internet && pvd.Private(r.Dst.Addr()) {
				claim(d, r.Dst)
			}
		}
	}
	return out
}

func firstMatch(policy *Policy, actor Actor, f flow.Flow) *Rule {
	about := newSubject(f)
	for i := range policy.Rules {
		if r := &policy.Rules[i]; r.Actor == actor && r.Match.matches(&about) {
			return r
		}
	}
	return nil
}

func namedByRule(policy *Policy, f flow.Flow) bool {
	about := newSubject(f)
	for _, r := range policy.Rules {
		family := slices.ContainsFunc(r.Match.Dst, func(p netip.Prefix) bool { return p.Bits() == 0 && p.Addr().Is6() == f.Is6() })
		if r.Match.concerns(&about) && (len(r.Match.Ports) > 0 || len(r.Match.Names) > 0 || len(r.Match.Dst) > 0 && !family) {
			return true
		}
	}
	return false
}

// irreconcilable reports whether higher rules with hard parts stand, and no
// domain whatsoever, there or not, is allowed by all of them and r.
func irreconcilable(r *Rule, spoke []*Rule, domains []*pvd.Domain) bool {
	hard := false
	everybody := slices.Clone(r.Require)
	for _, h := range spoke {
		hard = hard || len(h.Require)+len(h.Forbid) > 0
		everybody = append(everybody, h.Require...)
	}
	for _, d := range domains {
		everybody = append(everybody, d.Name)
	}
	for _, name := range everybody {
		all := r.allows(name)
		for _, h := range spoke {
			all = all && h.allows(name)
		}
		if all {
			return false
		}
	}
	return hard
}

func override(left []*pvd.Domain, spoke []*Rule, is6 bool) []*pvd.Domain {
	in := filter(left, func(d *pvd.Domain) bool {
		return slices.ContainsFunc(d.NextHops, func(h pvd.NextHop) bool { return h.Is6 == is6 && h.Overrides })
	})
	if len(in) == 0 || slices.ContainsFunc(spoke, func(r *Rule) bool { return len(r.Prefer) > 0 }) {
		return left
	}
	return in
}

// routersSay is what the routers of a domain say of it.
func routersSay(d *pvd.Domain, is6 bool) pvd.Preference {
	var all []pvd.Preference
	for _, h := range d.NextHops {
		if h.Is6 == is6 {
			all = append(all, h.Preference)
		}
	}
	if len(all) == 0 {
		return pvd.Medium
	}
	return slices.Max(all)
}

// rankOf sorts left. With the weighted algorithm it numbers what is equal but for
// the draw.
func rankOf(v *verdict, policy *Policy, spoke []*Rule, left []*pvd.Domain, is6 bool) {
	algorithm := policy.Algorithm
	for _, r := range slices.Backward(spoke) {
		algorithm = cmp.Or(r.Algorithm, algorithm)
	}
	order := policy.Order
	for _, r := range slices.Backward(spoke) {
		if len(r.Require) > 0 {
			order = r.Require
		}
	}
	place := func(list []string, name string) int {
		if i := slices.Index(list, name); i >= 0 {
			return i
		}
		return len(list)
	}
	equalButDraw := func(a, b *pvd.Domain) int {
		byRules := func(r *Rule) bool { return r.Actor != Default }
		for _, r := range slices.DeleteFunc(slices.Clone(spoke), func(r *Rule) bool { return !byRules(r) }) {
			if c := cmp.Compare(place(r.Prefer, a.Name), place(r.Prefer, b.Name)); c != 0 {
				return c
			}
		}
		if c := cmp.Compare(routersSay(b, is6), routersSay(a, is6)); c != 0 && v.general {
			return c
		}
		for _, r := range slices.DeleteFunc(slices.Clone(spoke), byRules) {
			if c := cmp.Compare(place(r.Prefer, a.Name), place(r.Prefer, b.Name)); c != 0 {
				return c
			}
		}
		if a.State != b.State {
			return map[pvd.State]int{pvd.Online: -1, pvd.Degraded: 1}[a.State]
		}
		if a.Metered != b.Metered {
			if a.Metered {
				return 1
			}
			return -1
		}
		return 0
	}
	metric := func(d *pvd.Domain) int {
		for _, h := range d.NextHops {
			if h.Is6 == is6 {
				return h.Metric
			}
		}
		return 1 << 40
	}
	slices.SortStableFunc(left, func(a, b *pvd.Domain) int {
		if c := equalButDraw(a, b); c != 0 || !algorithm.byOrder() || algorithm == Persistent {
			return c
		}
		if c := cmp.Compare(place(order, a.Name), place(order, b.Name)); c != 0 {
			return c
		}
		if slices.Contains(order, a.Name) {
			return 0
		}
		return cmp.Or(cmp.Compare(metric(a), metric(b)), cmp.Compare(a.Name, b.Name))
	})
	tie := 0
	for i, d := range left {
		if i > 0 && (algorithm == Priority || algorithm == Overflow || equalButDraw(left[i-1], d) != 0) {
			tie++
		}
		v.order, v.ties = append(v.order, d.Name), append(v.ties, tie)
	}
}

// TestPickAgainstOracle compares decisions over random policies, domains and
// flows with the oracle's.
func TestPickAgainstOracle(t *testing.T) {
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 7))
		domains, policy := randomDomains(r), randomPolicy(r)
		s := New(Config{Source: firstSource})
		s.Publish(pvd.NewSet(domains), policy)
		slices.SortFunc(domains, func(a, b *pvd.Domain) int { return cmp.Compare(a.Name, b.Name) })
		for range 20 {
			f := randomFlow(r)
			want, e, got := oracle(policy, domains, f), s.Explain(f), s.Pick(f)
			if why := differs(want, got); why != "" {
				for _, d := range domains {
					t.Logf("%+v", *d)
				}
				for _, r := range policy.Rules {
					t.Logf("%+v", r)
				}
				t.Fatalf("seed %d, %v: %s\ngot  %q rule %q refusal %d: %s\nwant %q rule %q refusal %d",
					seed, f, why, names(got), got.Rule, got.Refusal, got.Reason, want.order, want.rule, want.refusal)
			}
			if s.Named(f) != got.PerDestination || got.PerDestination != want.named {
				t.Fatalf("seed %d, %v: named %v, per destination %v, want %v", seed, f, s.Named(f), got.PerDestination, want.named)
			}
			if names(e.Decision) != names(got) || len(e.Candidates) != len(domains) {
				t.Fatalf("seed %d, %v: explained %q with %d of %d domains, decided %q",
					seed, f, names(e.Decision), len(e.Candidates), len(domains), names(got))
			}
		}
	}
}

// differs compares a decision with the oracle's: the order must be the same but
// inside a tie, and no more than MaxCandidates are named.
func differs(want verdict, got Decision) string {
	list := got.Candidates()
	switch {
	case want.refusal != got.Refusal:
		return "another refusal"
	case want.rule != got.Rule:
		return "another rule"
	case len(list) != min(len(want.order), MaxCandidates):
		return "another number of candidates"
	}
	seen := make(map[string]bool)
	for i, c := range list {
		at := slices.Index(want.order, c.Domain.Name)
		if at < 0 || want.ties[at] != want.ties[i] || seen[c.Domain.Name] {
			return fmt.Sprintf("candidate %d is not due there", i)
		}
		seen[c.Domain.Name] = true
		if !c.Domain.Owns(c.Source) {
			return "a source that is not the domain's"
		}
	}
	return ""
}

func some(r *rand.Rand, list []string, most int) []string {
	var out []string
	for range r.IntN(most + 1) {
		if w := list[r.IntN(len(list))]; !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

func randomDomains(r *rand.Rand) []*pvd.Domain {
	var out []*pvd.Domain
	for i := range r.IntN(12) {
		words := some(r, []string{
			"internet", "internet", "internet", "metered", "degraded", "offline", "trusted", "overrides",
			"10.1.0.2/24", "10.1.0.3/24", "192.168.1.2/24", "203.0.113.5/24", "203.0.113.9/32", "2001:db8:1::2/64", "fd00:8::2/64",
			"behind=10.0.0.0/8", "behind=198.51.100.0/24", "behind=fd00::/8", "route=198.51.100.0/25", "route=0.0.0.0/0",
			"dhcp=198.51.100.0/26", "dhcp=10.9.0.0/16", "metric=10", "metric=20", "weight=3", "low", "high",
		}, 14)
		out = append(out, domain(i, string(rune('a'+i)), words...))
	}
	return out
}

func randomPolicy(r *rand.Rand) *Policy {
	all := []string{"a", "b", "c", "d", "e", "f", "absent"}
	p := &Policy{Algorithm: Algorithm(r.IntN(int(algorithms))), Affinity: Affinity(r.IntN(5)), Order: some(r, all, 2)}
	for i := range r.IntN(8) {
		rule := Rule{Name: fmt.Sprint("rule ", i), Actor: Actor(r.IntN(5)), Algorithm: Algorithm(r.IntN(int(algorithms))), Affinity: Affinity(r.IntN(5))}
		switch r.IntN(4) {
		case 0:
			rule.Require = some(r, all, 4)
		case 1:
			rule.Forbid = some(r, all, 4)
		case 2:
			rule.Prefer = some(r, all, 4)
		case 3:
			rule.Require, rule.Prefer, rule.Forbid = some(r, all, 5), some(r, all, 2), some(r, all, 1)
		}
		m := &rule.Match
		switch r.IntN(5) {
		case 0:
			m.Dst = nets(some(r, []string{"10.0.0.0/8", "10.9.0.0/16", "198.51.100.0/24", "0.0.0.0/0", "fd00::/8", "::/0"}, 2)...)
		case 1:
			m.Ports = []PortRange{{uint16(r.IntN(500)), 500}}
		case 2:
			m.Protos = []flow.Proto{flow.UDP}
		case 3:
			m.Names = some(r, []string{"*.example.com", "www.example.com"}, 1)
		}
		p.Rules = append(p.Rules, rule)
	}
	return p
}

func randomFlow(r *rand.Rand) flow.Flow {
	dsts := []string{
		"10.1.0.9:443", "10.9.0.9:443", "172.16.0.1:53", "198.51.100.9:443", "198.51.100.200:80", "203.0.113.77:443",
		"192.0.2.80:443", "192.0.2.200:443", "[2001:db8:1::9]:443", "[fd00:8::9]:22", "[fd77::1]:443", "[2001:db8:9::1]:600", "0.0.0.0:0",
	}
	f := to(dsts[r.IntN(len(dsts))], []string{"", "www.example.com", "example.com"}[r.IntN(3)])
	if r.IntN(2) == 0 {
		f.Proto = flow.UDP
	}
	return f
}
