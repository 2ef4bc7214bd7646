package scheduler

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"mifvif/flow"
	"mifvif/pvd"
)

// lines are n uplinks of 100 Mbit/s each way.
func lines(n int) []*pvd.Domain {
	out := weighted(make([]int, n)...)
	for _, d := range out {
		d.Bandwidth = pvd.Bandwidth{Down: 100e6, Up: 100e6}
	}
	return out
}

func TestWeightsAreBandwidthsWhereNobodyHasWeights(t *testing.T) {
	domains := weighted(1, 1)
	domains[0].Bandwidth, domains[1].Bandwidth = pvd.Bandwidth{Down: 300e6}, pvd.Bandwidth{Down: 100e6}
	count := chosen(house(Policy{}, domains...), "w0", 0, 10_000)
	if count < 7350 || count > 7650 {
		t.Errorf("%d of 10,000 flows on three quarters of the bandwidth, want 7,500 within 150", count)
	}
}

// TestOverflow: nothing on the second uplink while the first's last second was
// below nine tenths, all of what is new once it was above.
func TestOverflow(t *testing.T) {
	domains := lines(2)
	s := house(Policy{Algorithm: Overflow, Order: []string{"w0", "w1"}}, domains...)
	load := func(down, up uint64) {
		s.Measure(map[pvd.Key]Load{domains[0].Key(): {Down: down, Up: up}, domains[1].Key(): {}})
	}
	for _, tt := range []struct {
		down, up uint64
		want     string
	}{{0, 0, "w0"}, {89_999_999, 0, "w0"}, {90e6, 0, "w1"}, {0, 90e6, "w1"}, {50e6, 89e6, "w0"}} {
		load(tt.down, tt.up)
		for i := range 100 {
			if got := first(s, to(destination(i), "one.example")); got != tt.want {
				t.Fatalf("with %d down, %d up: on %s, want %s", tt.down, tt.up, got, tt.want)
			}
		}
	}
	s.Measure(map[pvd.Key]Load{domains[0].Key(): {Down: 95e6}, domains[1].Key(): {Down: 95e6}})
	if d := s.Pick(to(destination(1), "")); names(d) != "w0 w1" {
		t.Errorf("with all full: %s, want the declared order", names(d))
	}
}

func TestLeastUsed(t *testing.T) {
	domains := lines(4)
	s := house(Policy{Algorithm: LeastUsed}, domains...)
	count := make(map[string]int)
	for i := range 16 {
		count[first(s, to(destination(i), ""))]++
	}
	for name, n := range count {
		if n != 4 {
			t.Errorf("%d of 16 flows on %s before anything was measured, want 4", n, name)
		}
	}
	busy := map[pvd.Key]Load{}
	for i, d := range domains {
		busy[d.Key()] = Load{Down: 95e6, Flows: 4 + i}
	}
	busy[domains[2].Key()] = Load{Down: 40e6, Flows: 40}
	s.Measure(busy)
	if d := s.Pick(to(destination(100), "")); d.Candidates()[0].Domain.Name != "w2" || d.Reason != reasonLeastUsed {
		t.Errorf("%s (%s), want w2, which has most of its bandwidth left", names(d), d.Reason)
	}
	busy[domains[2].Key()] = Load{Down: 96e6, Flows: 40}
	s.Measure(busy)
	if d := s.Pick(to(destination(101), "")); d.Candidates()[0].Domain.Name != "w0" {
		t.Errorf("%s, want w0: all are full and it has the fewest flows", names(d))
	}
	if d := s.Pick(to(destination(100), "")); d.Candidates()[0].Domain.Name != "w2" {
		t.Errorf("%s, want w2, where the site is", names(d))
	}
}

func TestLowestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		domains := weighted(1, 1)
		s := house(Policy{Algorithm: LowestLatency}, domains...)
		dst := netip.MustParseAddr("192.0.2.80")
		rtt := map[string]time.Duration{"w0": 200 * time.Millisecond, "w1": 20 * time.Millisecond}
		flow := func() string {
			d := s.Pick(to("192.0.2.80:443", ""))
			on := d.Candidates()[0].Domain
			s.Learn(on.Key(), dst, Sample{RTT: rtt[on.Name]})
			return on.Name
		}
		seen := map[string]bool{flow(): true, flow(): true}
		if len(seen) != 2 {
			t.Fatalf("the first two flows were both on %v: an unknown path is tried", seen)
		}
		time.Sleep(betterFor + time.Second)
		flow()
		time.Sleep(betterFor + time.Second)
		for range 5 {
			if on := flow(); on != "w1" {
				t.Fatalf("on %s, want w1, whose round trip is shorter", on)
			}
		}
		// The other one is better now, by enough: flows move after ten seconds, not
		// at once.
		for range 100 {
			s.Learn(domains[0].Key(), dst, Sample{RTT: 15 * time.Millisecond})
		}
		if on := flow(); on != "w1" {
			t.Errorf("moved to %s at once", on)
		}
		time.Sleep(betterFor - time.Second)
		if on := flow(); on != "w1" {
			t.Errorf("moved to %s after nine seconds", on)
		}
		time.Sleep(time.Second)
		if on := flow(); on != "w0" {
			t.Errorf("still on %s after ten seconds", on)
		}
		// A little better is not enough.
		for range 100 {
			s.Learn(domains[0].Key(), dst, Sample{RTT: 15 * time.Millisecond})
			s.Learn(domains[1].Key(), dst, Sample{RTT: 14 * time.Millisecond})
		}
		for range 10 {
			time.Sleep(betterFor)
			if on := s.Pick(to("192.0.2.80:443", "")); on.Candidates()[0].Domain.Name != "w0" {
				t.Fatal("moved for a millisecond")
			}
		}
		// Loss costs.
		for range 100 {
			s.Learn(domains[0].Key(), dst, Sample{RTT: 15 * time.Millisecond, Sent: 100, Lost: 10})
			s.Learn(domains[1].Key(), dst, Sample{RTT: 15 * time.Millisecond, Sent: 100})
		}
		s.Pick(to("192.0.2.80:443", ""))
		time.Sleep(betterFor)
		if on := s.Pick(to("192.0.2.80:443", "")); on.Candidates()[0].Domain.Name != "w1" {
			t.Error("a path that loses a tenth is as good as one that loses nothing")
		}
	})
}

// TestPathsBelongToOneAttachment: what was learnt in a network is gone with it,
// is not shared across domains and is of one prefix.
func TestPathsBelongToOneAttachment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := house(Policy{}, weighted(1, 1)...)
		a, b := netip.MustParseAddr("192.0.2.80"), netip.MustParseAddr("192.0.3.80")
		k := pvd.Key{Slot: 0, Attached: 1}
		s.Learn(k, a, Sample{RTT: time.Millisecond})
		if p, ok := s.Way(k, netip.MustParseAddr("192.0.2.1")); !ok || p.RTT != time.Millisecond || p.Samples != 1 {
			t.Errorf("the path to a neighbour is %+v %v", p, ok)
		}
		for name, other := range map[string]func() (Way, bool){
			"another prefix":     func() (Way, bool) { return s.Way(k, b) },
			"another domain":     func() (Way, bool) { return s.Way(pvd.Key{Slot: 1, Attached: 1}, a) },
			"another attachment": func() (Way, bool) { return s.Way(pvd.Key{Slot: 0, Attached: 2}, a) },
		} {
			if p, ok := other(); ok {
				t.Errorf("%s knows %+v", name, p)
			}
		}
		s.Learn(k, b, Sample{RTT: 9 * time.Millisecond, Sent: 10, Lost: 8})
		if q, ok := s.Quality(k); !ok || q.RTT != 2*time.Millisecond || q.Loss != 0.1 || q.Samples != 2 {
			t.Errorf("the domain as a whole is %+v %v", q, ok)
		}
		if q, ok := s.Quality(pvd.Key{Slot: 0, Attached: 2}); ok {
			t.Errorf("another attachment as a whole is %+v", q)
		}
		time.Sleep(pathFor)
		if p, ok := s.Way(k, a); ok {
			t.Errorf("after %v it is still %+v", pathFor, p)
		}
		if q, ok := s.Quality(k); ok {
			t.Errorf("after %v the domain as a whole is still %+v", pathFor, q)
		}
		for i := range uint64(2 * pathShards * pathBuckets * pathWays) {
			s.paths.learn(k, finish(i), Sample{RTT: 1})
		}
		if s.paths.evicted.Load() == 0 {
			t.Error("more paths than there are places, and none was counted as forgotten")
		}
	})
}

func TestADomainWhereNobodyAnswersComesLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		domains := two()
		s := house(Policy{Algorithm: Priority, Order: []string{"fiber", "lte"}}, domains...)
		dst := netip.MustParseAddr("192.0.2.80")
		want := func(order string) {
			t.Helper()
			if d := s.Pick(to("192.0.2.80:443", "")); names(d) != order {
				t.Errorf("%s, want %s", names(d), order)
			}
		}
		s.Learn(domains[0].Key(), dst, Sample{Silent: true})
		want("fiber lte")
		s.Learn(domains[0].Key(), dst, Sample{Silent: true})
		want("lte fiber")
		if d := s.Pick(to("198.51.100.80:443", "")); names(d) != "fiber lte" {
			t.Errorf("another destination: %s", names(d))
		}
		time.Sleep(failingFor)
		want("fiber lte")
		s.Learn(domains[0].Key(), dst, Sample{Silent: true})
		want("lte fiber")
		s.Learn(domains[0].Key(), dst, Sample{RTT: time.Millisecond})
		want("fiber lte")
	})
}

func TestPersistentStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		domains := two()
		s := house(Policy{Algorithm: Persistent, Order: []string{"fiber", "lte"}}, domains[1])
		if on := first(s, to("192.0.2.80:443", "")); on != "lte" {
			t.Fatal(on)
		}
		s.Publish(pvd.NewSet(domains), &Policy{Algorithm: Persistent, Order: []string{"fiber", "lte"}})
		time.Sleep(persistentFor - time.Minute)
		if on := first(s, to("198.51.100.80:443", "")); on != "lte" {
			t.Errorf("moved to %s although its domain is there", on)
		}
	})
}

func TestDataCaps(t *testing.T) {
	domains := two()
	domains[1].Cap = pvd.Cap{Bytes: 1, Stop: true}
	s := house(Policy{Algorithm: Priority}, domains...) // lte has the better metric
	spend := func(of ...*pvd.Domain) {
		by := make(map[pvd.Key]Load)
		for _, d := range of {
			by[d.Key()] = Load{Spent: true}
		}
		s.Measure(by)
	}
	for _, tt := range []struct {
		of   []*pvd.Domain
		want string
	}{{nil, "lte fiber"}, {domains[1:], "fiber"}, {domains[:1], "lte fiber"}, {domains, "fiber"}} {
		spend(tt.of...)
		if d := s.Pick(to("192.0.2.80:443", "")); names(d) != tt.want {
			t.Errorf("with %d caps used up: %s, want %s", len(tt.of), names(d), tt.want)
		}
	}
	domains[1].Cap.Stop = false
	spend(domains[1])
	if d := s.Pick(to("192.0.2.80:443", "")); names(d) != "fiber lte" {
		t.Errorf("backup: %s, want it last", names(d))
	}
}

func TestWhoRaces(t *testing.T) {
	world := func(rules ...Rule) *Scheduler {
		return house(Policy{Rules: rules}, append(weighted(1, 1, 1), domain(3, "sat", "internet", "203.0.113.2/24", "metered"))...)
	}
	for _, tt := range []struct {
		name string
		s    *Scheduler
		want int
	}{
		{"equal ranks", world(), 3},
		{"a preferred one alone", world(Rule{Name: "r", Actor: Admin, Prefer: []string{"w1"}}), 0},
		{"unless the rule says so", world(Rule{Name: "r", Actor: Admin, Prefer: []string{"w1"}, Race: true}), 4},
		{"never what is required", world(Rule{Name: "r", Actor: Admin, Require: []string{"w0", "w1"}, Race: true}), 0},
		{"not in a declared order", house(Policy{Algorithm: Priority}, weighted(1, 1)...), 0},
		{"the fastest", house(Policy{Algorithm: Fastest}, weighted(1, 1)...), 2},
		{"one is no race", house(Policy{}, weighted(1)...), 0},
	} {
		if d := tt.s.Pick(to("192.0.2.80:443", "")); d.Race != tt.want {
			t.Errorf("%s: %d race, want %d", tt.name, d.Race, tt.want)
		}
	}
	if d := world().Pick(to("203.0.113.77:443", "")); d.Race != 0 {
		t.Error("a flow to a domain's own network races")
	}
}

func BenchmarkAlgorithms(b *testing.B) {
	for a := Weighted; a < algorithms; a++ {
		b.Run(fmt.Sprint(a), func(b *testing.B) {
			s, f := house(Policy{Algorithm: a}, lines(8)...), to("192.0.2.80:443", "www.example.com")
			b.ReportAllocs()
			for b.Loop() {
				_ = s.Pick(f)
			}
		})
	}
}

func TestAnAppMayBindToADomain(t *testing.T) {
	rules := []Rule{{Name: "r", Actor: Admin, Match: Match{Ports: []PortRange{{22, 22}}}, Forbid: []string{"lte"}}}
	s := house(Policy{Rules: rules}, append(two(), domain(2, "corp", "10.8.0.2/24", "behind=10.0.0.0/8"))...)
	for _, tt := range []struct{ bound, dst, want string }{
		{"lte", "192.0.2.80:443", "lte"},
		{"fiber", "192.0.2.80:443", "fiber"},
		{"corp", "192.0.2.80:443", "corp"},
		{"lte", "192.0.2.80:22", ""},
		{"gone", "192.0.2.80:443", ""},
	} {
		f := to(tt.dst, "")
		f.Bound = tt.bound
		d := s.Pick(f)
		if names(d) != tt.want || (tt.want == "") != (d.Refusal == Prohibited) || d.Race != 0 {
			t.Errorf("bound to %s for %s: %q, refusal %d, %s", tt.bound, tt.dst, names(d), d.Refusal, d.Reason)
		}
	}
}

// TestACommandIsForItsDomain: as a socket that is bound to it, with a reason of its
// own.
func TestACommandIsForItsDomain(t *testing.T) {
	s := house(Policy{}, two()...)
	for bound, want := range map[string]string{"lte": reasonConfined, "gone": reasonElsewhere} {
		f := to("192.0.2.80:443", "")
		f.Bound, f.Confined = bound, true
		if d := s.Pick(f); d.Reason != want {
			t.Errorf("a command for %s: %s, want %s", bound, d.Reason, want)
		}
	}
}

// TestBars: what keeps all flows of somebody off a domain, whether that is usable
// or not.
func TestBars(t *testing.T) {
	rules := []Rule{
		{Name: "locked", Actor: Locked, Match: Match{Users: []uint32{1}}, Forbid: []string{"lte"}},
		{Name: "mine", Actor: User, Match: Match{Users: []uint32{2}}, Require: []string{"fiber"}},
		{Name: "away", Actor: User, Match: Match{Users: []uint32{3}}, Require: []string{"gone"}},
		{Name: "some", Actor: Admin, Match: Match{Ports: []PortRange{{22, 22}}}, Forbid: []string{"lte"}},
		{Name: "soft", Actor: Admin, Prefer: []string{"fiber"}},
	}
	domains := two()
	domains[1].State = pvd.Offline
	s := house(Policy{Rules: rules}, domains...)
	for _, tt := range []struct {
		user  uint32
		bound string
		rule  string
	}{{0, "lte", ""}, {1, "lte", "locked"}, {1, "fiber", ""}, {2, "lte", "mine"}, {2, "fiber", ""}, {3, "lte", "away"}} {
		f := to("0.0.0.0:0", "")
		f.Bound, f.Confined, f.Owner = tt.bound, true, flow.Owner{Known: true, UID: tt.user}
		rule, barred := s.Bars(f)
		if barred != (tt.rule != "") || barred && rule != tt.rule {
			t.Errorf("user %d and %s: barred %v by %q, want %q", tt.user, tt.bound, barred, rule, tt.rule)
		}
	}
}
