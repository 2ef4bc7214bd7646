package scheduler

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mifvif/flow"
	"mifvif/pvd"
)

// TestPickAgainstOracle compares decisions over random policies, domains, loads,
// paths and flows with the oracle's, while time goes by and domains come and go.
func TestPickAgainstOracle(t *testing.T) {
	seen := make(map[string]int)
	for seed := range uint64(400) {
		synctest.Test(t, func(t *testing.T) {
			w := newRandomWorld(t, seed)
			for range 120 {
				w.step(seen)
			}
		})
	}
	for _, what := range []string{
		reasonOnly, reasonWeighted, reasonSticky, reasonPriority, reasonOverflow, reasonLeastUsed, reasonLatency, reasonPrefer, reasonRequire,
		reasonScope, reasonOverrides, reasonUnusable, reasonNoInternet, reasonOwner, reasonPrivate, reasonNoSource, reasonHandle, reasonUnbound, reasonConfined, reasonElsewhere,
		reasonRefused, reasonAnswer, reasonAnswerGone, reasonZone, reasonZoneOwner, "race", "released", "rule of whose flow it is", "held",
		pathAsked, pathUnable, pathMultipath, pathNAT64, pathHeld, pathConfined, pathRace, pathUnknown, pathSilent, pathIdle, "translated because it was asked",
	} {
		if seen[what] < 20 {
			t.Errorf("%q was compared %d times: the test compares too little", what, seen[what])
		}
	}
}

// randomWorld is a scheduler and the oracle, told the same.
type randomWorld struct {
	t      *testing.T
	seed   uint64
	r      *rand.Rand
	s      *Scheduler
	o      *oracle
	all    []*pvd.Domain // those that may be there
	plain  bool          // all domains are alike, and few destinations are asked for: what is measured decides
	attach uint64
}

func newRandomWorld(t *testing.T, seed uint64) *randomWorld {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	w := &randomWorld{t: t, seed: seed, r: r, s: New(Config{Source: firstSource}), all: randomDomains(r), attach: 1}
	w.plain = seed%3 == 0
	if w.plain {
		w.all = alike(2 + r.IntN(3))
	}
	w.o = &oracle{
		policy: w.newPolicy(), load: make(map[pvd.Key]Load), fresh: make(map[string]int), paths: make(map[walk]*known), kept: make(map[company]*home),
		told: make(map[string][]pvd.Zone),
	}
	w.publish()
	return w
}

// newPolicy makes a policy up: without rules where all is alike.
func (w *randomWorld) newPolicy() *Policy {
	p := randomPolicy(w.r)
	if w.plain {
		p.Rules = nil
		if w.r.IntN(2) == 0 {
			p.Algorithm = LowestLatency
		}
	}
	return p
}

// alike are domains without anything to tell them apart.
func alike(n int) []*pvd.Domain {
	var out []*pvd.Domain
	for i := range n {
		d := domain(i, string(rune('a'+i)), "internet", fmt.Sprintf("203.0.113.%d/32", i+1), fmt.Sprintf("2001:db8:%d::2/64", i))
		d.Bandwidth = pvd.Bandwidth{Down: 100e6, Up: 10e6}
		out = append(out, d)
	}
	return out
}

// destination draws one.
func (w *randomWorld) destination() string {
	if w.plain {
		return []string{"192.0.2.80:443", "[2001:db8:9::1]:600"}[w.r.IntN(2)]
	}
	return destinations()[w.r.IntN(len(destinations()))]
}

// publish puts the domains and the policy in force.
func (w *randomWorld) publish() {
	w.o.domains = slices.Clone(w.all)
	told := make(map[string][]pvd.Zone)
	for _, d := range w.o.domains {
		zones := slices.Concat(d.Zones, d.Search)
		if len(zones) == 0 && d.State == pvd.Offline {
			zones = w.o.told[d.Name]
		}
		if d.Trust == pvd.Trusted && len(zones) > 0 {
			told[d.Name] = zones
		}
	}
	w.o.told = told
	slices.SortFunc(w.o.domains, func(a, b *pvd.Domain) int { return cmp.Compare(a.Name, b.Name) })
	w.s.Publish(pvd.NewSet(w.all), w.o.policy)
}

// step lets something happen.
func (w *randomWorld) step(seen map[string]int) {
	switch w.r.IntN(20) {
	case 0:
		w.change()
	case 1:
		w.o.policy = w.newPolicy()
		w.publish()
		w.o.translates = w.r.IntN(4) > 0
		w.s.Translates(w.o.translates)
	case 2:
		w.measure()
	case 3, 4:
		time.Sleep([]time.Duration{time.Second, 5 * time.Second, 10 * time.Second, 11 * time.Second, time.Minute, 5 * time.Minute, 11 * time.Minute, 7 * time.Hour}[w.r.IntN(8)])
	case 5, 6, 7:
		w.walk()
	default:
		for range 1 + w.r.IntN(3) {
			w.compare(w.flow(), seen)
		}
	}
}

// change makes a domain another: gone, away, back as a new instance.
func (w *randomWorld) change() {
	if len(w.all) == 0 {
		return
	}
	i := w.r.IntN(len(w.all))
	d := *w.all[i]
	switch w.r.IntN(4) {
	case 0:
		d.State = pvd.Offline
		d.Zones, d.Search = nil, nil
	case 1:
		d.State = pvd.Online
	case 2:
		w.attach++
		d.Attached, d.State = w.attach, pvd.Online
	case 3:
		d.State = pvd.Degraded
	}
	w.all[i] = &d
	w.publish()
}

func (w *randomWorld) measure() {
	by := make(map[pvd.Key]Load)
	for _, d := range w.all {
		if w.r.IntN(3) > 0 {
			by[d.Key()] = Load{
				Down: uint64(w.r.IntN(12)) * 10e6, Up: uint64(w.r.IntN(12)) * 1e6, Flows: w.r.IntN(5), Spent: d.Cap.Bytes > 0 && w.r.IntN(2) == 0,
			}
		}
	}
	w.o.load = by
	clear(w.o.fresh)
	w.s.Measure(by)
}

// walk lets a flow show what a path is like.
func (w *randomWorld) walk() {
	if len(w.all) == 0 {
		return
	}
	d, dst := w.all[w.r.IntN(len(w.all))], netip.MustParseAddrPort(w.destination()).Addr()
	s := Sample{RTT: time.Duration(w.r.IntN(200e6))}
	if w.plain {
		s.RTT = 100*time.Millisecond + time.Duration(w.r.IntN(40e6)) // about as much as is too little, or enough
	}
	switch w.r.IntN(4) {
	case 0:
		s = Sample{Silent: true}
	case 1:
		s.Sent, s.Lost = 100, uint64(w.r.IntN(40))
	}
	w.s.Learn(d.Key(), dst, s)
	w.o.learn(d.Key(), dst, s)
}

// compare has both decide, and the scheduler explain.
func (w *randomWorld) compare(f flow.Flow, seen map[string]int) {
	w.t.Helper()
	want, e, got := w.o.decide(f), w.s.Explain(f), w.s.Pick(f)
	why := differs(want, got)
	switch {
	case why != "":
	case got.PerDestination != want.named || w.s.Named(f) != want.named:
		why = fmt.Sprintf("per destination %v, named %v, want %v", got.PerDestination, w.s.Named(f), want.named)
	case names(e.Decision) != names(got) || e.Decision.Reason != got.Reason || e.Decision.Path != got.Path || len(e.Candidates) != len(w.all):
		why = fmt.Sprintf("explained %q for %q with %d of %d domains", names(e.Decision), e.Decision.Reason, len(e.Candidates), len(w.all))
	}
	if why != "" {
		for _, d := range w.o.domains {
			w.t.Logf("%s %s internet %v isolated %v trust %d addresses %v hops %+v prefixes %v routes %+v zones %+v search %+v told %+v resolvers %+v bandwidth %v cap %v nat64 %v", d.Name, d.State, d.Internet, d.Isolated, d.Trust, d.Addresses, d.NextHops, d.Prefixes, d.Routes, d.Zones, d.Search, w.o.told[d.Name], d.Resolvers, d.Bandwidth, d.Cap, d.PREF64)
		}
		for _, r := range w.o.policy.Rules {
			w.t.Logf("%+v", r)
		}
		var places []string
		for _, p := range want.places {
			places = append(places, fmt.Sprint(p.d.Name, p.rank, p.score))
		}
		w.t.Fatalf("seed %d at %v, %+v: %s\ngot  %q rule %q refusal %d: %s\nwant %v rule %q refusal %d: %s",
			w.seed, time.Now(), f, why, names(got), got.Rule, got.Refusal, got.Reason, places, want.rule, want.refusal, want.reason)
	}
	seen[got.Reason]++
	seen[got.PathWhy]++
	if got.Path == PathTranslate && got.PathWhy == pathAsked {
		seen["translated because it was asked"]++
	}
	if got.Race > 0 {
		seen["race"]++
	}
	if want.released {
		seen["released"]++
	}
	if want.held != "" {
		seen["held"]++
	}
	if someOf(w.o.policy.Rules, func(r Rule) bool {
		return r.Name == got.Rule && len(r.Match.Users)+len(r.Match.Cgroups)+len(r.Match.Processes)+len(r.Match.Ingress) > 0
	}) {
		seen["rule of whose flow it is"]++
	}
	if c := got.Candidates(); len(c) > 0 {
		w.o.note(f, want, c[0].Domain)
	}
}

// differs compares a decision with the oracle's: the order must be the same but
// between those whose marks are equal.
func differs(want verdict, got Decision) string {
	list := got.Candidates()
	switch {
	case want.refusal != got.Refusal:
		return "another refusal"
	case want.rule != got.Rule:
		return "another rule"
	case len(list) != len(want.places):
		return "another number of candidates"
	case want.reason != "" && want.reason != got.Reason:
		return "another reason"
	case want.zone != got.Zone:
		return "another zone: " + got.Zone + ", want " + want.zone
	case want.race != got.Race:
		return fmt.Sprintf("%d race, want %d", got.Race, want.race)
	case len(list) == 0 && (got.Path != PathTerminate || got.PathWhy != ""):
		return fmt.Sprintf("what is refused goes on: %v, %s", got.Path, got.PathWhy)
	}
	if len(list) > 0 {
		if path, why := want.path(list[0].Domain); got.Path != path || got.PathWhy != why {
			return fmt.Sprintf("%v, because %s; want %v, because %s", got.Path, got.PathWhy, path, why)
		}
	}
	seen := make(map[string]bool)
	for i, c := range list {
		at := slices.IndexFunc(want.places, func(p place) bool { return p.d.Name == c.Domain.Name })
		if at < 0 && len(list) == MaxCandidates {
			continue // the last of many equal ones
		}
		if at < 0 || want.places[at].compare(want.places[i]) != 0 || seen[c.Domain.Name] {
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
	for i := range r.IntN(9) {
		words := some(r, []string{
			"internet", "internet", "internet", "internet", "metered", "degraded", "offline", "trusted", "overrides",
			"10.1.0.2/24", "10.1.0.3/24", "192.168.1.2/24", "203.0.113.5/24", "203.0.113.9/32", "2001:db8:1::2/64", "fd00:8::2/64",
			"behind=10.0.0.0/8", "behind=198.51.100.0/24", "behind=fd00::/8", "route=198.51.100.0/25", "route=0.0.0.0/0",
			"dhcp=198.51.100.0/26", "dhcp=10.9.0.0/16", "metric=10", "metric=20", "weight=3", "low", "high",
		}, 16)
		d := domain(i, string(rune('a'+i)), words...)
		furnish(r, d)
		out = append(out, d)
	}
	return out
}

// furnish gives d what randomDomains has no words for.
func furnish(r *rand.Rand, d *pvd.Domain) {
	once := func(in int) bool { return r.IntN(in) == 0 }
	preference := func() pvd.Preference { return pvd.Preference(r.IntN(3) - 1) }
	origins := []pvd.Origin{pvd.FromConfig, pvd.FromDHCPv4, pvd.FromJSON, pvd.FromRA}
	zone := func(names ...string) pvd.Zone {
		z := pvd.Zone{Name: names[r.IntN(len(names))], Origin: origins[r.IntN(len(origins))], Preference: preference()}
		if once(4) {
			z.Server = netip.MustParseAddrPort("10.0.0.53:53")
		}
		return z
	}
	if once(3) {
		d.Zones = append(d.Zones, zone("example.com", "corp.example.com", "www.example.com", "com", "", "example.org"))
	}
	if once(6) {
		d.Search = append(d.Search, zone("corp.example.com", "example.org"))
	}
	if d.Trust == pvd.Untrusted && once(4) {
		d.Trust, d.ID = pvd.Authenticated, []string{"pvd.example.com", "pvd.example.org"}[r.IntN(2)]
	}
	if once(2) {
		d.Resolvers = append(d.Resolvers, pvd.Resolver{Preference: preference(), Only: once(3)})
	}
	for i := range d.Routes {
		d.Routes[i].Preference = preference()
	}
	if once(2) {
		d.Bandwidth = pvd.Bandwidth{Down: 100e6, Up: uint64(r.IntN(2)) * 10e6}
	}
	if once(3) {
		d.Cap = pvd.Cap{Bytes: 1, Stop: once(2)}
	}
	if once(6) {
		d.PREF64 = append(d.PREF64, pvd.PREF64{Prefix: netip.MustParsePrefix([]string{"64:ff9b::/96", "2001:db8:64::/96"}[r.IntN(2)])})
	}
	d.Isolated = once(10)
}

func randomPolicy(r *rand.Rand) *Policy {
	all := []string{"a", "b", "c", "d", "e", "f", "absent"}
	algorithm := func() Algorithm { return Algorithm(max(0, r.IntN(2*int(algorithms))-int(algorithms))) }
	p := &Policy{Algorithm: Algorithm(r.IntN(int(algorithms))), Affinity: Affinity(r.IntN(5)), Order: some(r, all, 2), Path: Path(r.IntN(4)), OnFailure: OnFailure(r.IntN(20) / 4)}
	for i := range r.IntN(8) {
		rule := Rule{
			Name: fmt.Sprint("rule ", i), Actor: Actor(r.IntN(5)), Algorithm: algorithm(), Affinity: Affinity(max(0, r.IntN(10)-5)),
			Race: r.IntN(6) == 0, Path: Path(max(0, r.IntN(8)-4)),
		}
		switch r.IntN(20) {
		case 0, 1:
			rule.MPTCP = MPTCP(r.IntN(4))
		case 2, 3:
			rule.OnFailure = OnFailure(r.IntN(5))
		}
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
		for range r.IntN(3) {
			limitAtRandom(r, &rule.Match)
		}
		p.Rules = append(p.Rules, rule)
	}
	return p
}

// limitAtRandom limits a match by one property.
func limitAtRandom(r *rand.Rand, m *Match) {
	switch r.IntN(11) {
	case 0:
		m.Dst = nets(some(r, []string{"10.0.0.0/8", "10.9.0.0/16", "198.51.100.0/24", "192.0.2.0/24", "0.0.0.0/0", "fd00::/8", "::/0"}, 2)...)
	case 1:
		m.Ports = []PortRange{{uint16(r.IntN(500)), 500}}
	case 2:
		m.Protos = []flow.Proto{[]flow.Proto{flow.UDP, flow.TCP, flow.ICMP}[r.IntN(3)]}
	case 3:
		m.Names = some(r, []string{"*.example.com", "www.example.com", "*.example.org"}, 2)
	case 4:
		m.Users = []uint32{1000, 1001}[:1+r.IntN(2)]
	case 5:
		m.Processes = some(r, []string{"curl", "ssh"}, 1)
	case 6:
		m.Cgroups = some(r, []string{"/apps", "/apps/web"}, 1)
	case 7:
		m.Ingress = some(r, []string{"lan", "guest"}, 1)
	case 8:
		m.DSCP = []uint8{46, 8}[:1+r.IntN(2)]
	case 9:
		w := Window{First: r.IntN(24 * 60), Last: r.IntN(24 * 60)}
		for i := range w.Days {
			w.Days[i] = r.IntN(3) > 0
		}
		m.When = []Window{w}
	case 10:
		m.Src = nets(some(r, []string{"192.168.0.0/16", "198.18.0.0/15", "2001:2::/48"}, 2)...)
	}
}

func destinations() []string {
	return []string{
		"10.1.0.9:443", "10.9.0.9:443", "172.16.0.1:53", "198.51.100.9:443", "198.51.100.200:80", "203.0.113.77:443",
		"192.0.2.80:443", "192.0.2.80:80", "192.0.2.200:443", "[2001:db8:1::9]:443", "[fd00:8::9]:22", "[fd77::1]:443", "[2001:db8:9::1]:600",
		"[64:ff9b::1]:443",
	}
}

// flow makes one up: of this host or of a LAN, perhaps with an answer of a domain
// or bound to one, or the question about a name.
func (w *randomWorld) flow() flow.Flow {
	r := w.r
	dst := w.destination()
	if r.IntN(6) == 0 {
		dst = []string{"0.0.0.0:0", "[::]:0"}[r.IntN(2)]
	}
	f := to(dst, []string{"", "www.example.com", "corp.example.com", "a.corp.example.com", "www.example.org", "host"}[r.IntN(6)])
	switch r.IntN(4) {
	case 0:
		f.Proto = flow.UDP
	case 1:
		if f.Proto = flow.ICMP; f.Is6() {
			f.Proto = flow.ICMPv6
		}
	}
	f.DSCP, f.Multipath = []uint8{0, 0, 46, 8}[r.IntN(4)], r.IntN(8) == 0
	f.Src = netip.AddrPortFrom(f.Src.Addr(), uint16(40000+r.IntN(2)))
	switch r.IntN(4) {
	case 0:
		if !f.Is6() {
			f.Ingress, f.Src = []string{"lan", "guest"}[r.IntN(2)], netip.MustParseAddrPort("192.168.7.7:5000")
		}
	case 1, 2:
		f.Owner = flow.Owner{Known: true, UID: 1000 + uint32(r.IntN(2)), Process: []string{"", "curl", "ssh"}[r.IntN(3)], Cgroup: []string{"", "/", "/apps", "/apps/web", "/appstore"}[r.IntN(5)]}
	}
	if len(w.all) == 0 {
		return f
	}
	d := w.all[r.IntN(len(w.all))]
	switch r.IntN(6) {
	case 0:
		f.Answer = flow.Answer{Known: true, Slot: d.Slot, Attached: d.Attached - uint64(r.IntN(8)/7), Private: r.IntN(3) == 0}
	case 1:
		if r.IntN(2) == 0 {
			f.Bound, f.Confined = d.Name, r.IntN(3) == 0
		}
	}
	return f
}
