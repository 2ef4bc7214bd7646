package scheduler

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mifvif/flow"
	"mifvif/pvd"
)

// busy is a house with claims and rules of every kind.
func busy(rules, domains int) *Scheduler { return busyWith(kinds()["prefixes"], rules, domains) }

// busyWith is a house with many rules of one kind.
func busyWith(match func(i int) Match, rules, domains int) *Scheduler {
	p := &Policy{}
	for i := range rules {
		p.Rules = append(p.Rules, Rule{Name: fmt.Sprint("rule ", i), Actor: Admin, Prefer: []string{"d1", "d0"}, Match: match(i)})
	}
	p.Rules = append(p.Rules, Rule{Name: "voice", Actor: Admin, Match: Match{Protos: []flow.Proto{flow.UDP}, DSCP: []uint8{46}, Names: []string{"*.voice.example.com"}}, Prefer: []string{"d0"}})
	var list []*pvd.Domain
	for i := range domains {
		list = append(list, domain(i, fmt.Sprint("d", i), "internet", fmt.Sprintf("10.%d.0.2/24", i), fmt.Sprintf("2001:db8:%x::2/64", i), "weight=3"))
	}
	list = append(list, domain(domains, "corp", "10.200.0.2/24", "behind=10.128.0.0/9"))
	s := New(Config{Source: firstAddress})
	s.Publish(pvd.NewSet(list), p)
	s.Translates(true)
	return s
}

// firstAddress is a source choice that does not allocate.
func firstAddress(d *pvd.Domain, dst netip.Addr) (netip.Addr, bool) {
	for i := range d.Addresses {
		if a := d.Addresses[i].Prefix.Addr(); a.Is6() == dst.Is6() {
			return a, true
		}
	}
	return netip.Addr{}, false
}

func TestPickDoesNotAllocate(t *testing.T) {
	for _, size := range [][2]int{{0, 1}, {1, 2}, {100, 8}, {100, 64}} {
		s := busyWith(kinds()["mixed"], size[0], size[1])
		flows := []flow.Flow{
			to("192.0.2.80:443", ""), to("[2001:db8:99::80]:443", "www.example.com"), to("10.200.9.9:22", ""), to("10.77.0.1:53", ""),
			to("100.0.5.1:443", "x.voice.example.com"), to("192.0.2.80:443", "a.b.example.co.uk."),
		}
		i := 0
		if n := testing.AllocsPerRun(2000, func() {
			f := flows[i%len(flows)]
			f.Dst = netip.AddrPortFrom(f.Dst.Addr(), uint16(i)) // ever new keys
			i++
			d := s.Pick(f)
			_ = d.Candidates()
		}); n != 0 {
			t.Errorf("%d rules, %d domains: Pick allocates %v times", size[0], size[1], n)
		}
		if n := testing.AllocsPerRun(2000, func() { s.Named(flows[i%len(flows)]); i++ }); n != 0 {
			t.Errorf("%d rules, %d domains: Named allocates %v times", size[0], size[1], n)
		}
	}
}

// BenchmarkPick decides about flows to few and to many destinations, each of which
// is remembered where it is.
func BenchmarkPick(b *testing.B) {
	for name, dst := range map[string]netip.Addr{"v4": netip.MustParseAddr("192.0.2.1"), "v6": netip.MustParseAddr("2001:db8:99::1")} {
		for _, n := range []int{1, 1_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				s := house(Policy{}, two()...)
				flows := make([]flow.Flow, n)
				for i := range flows {
					at := dst.As16()
					at[13], at[14] = at[13]+byte(i>>12), byte(i>>4)
					if at[15] = at[15] + byte(i&15); dst.Is4() {
						at[15] &= 0x7f // firstSource has none above
					}
					flows[i] = to(netip.AddrPortFrom(netip.AddrFrom16(at).Unmap(), 443).String(), "")
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					d := s.Pick(flows[i%n])
					if len(d.Candidates()) == 0 {
						b.Fatalf("refused: %s", d.Reason)
					}
				}
			})
		}
	}
}

func BenchmarkNamed(b *testing.B) {
	for _, rules := range []int{0, 100, 10_000} {
		b.Run(fmt.Sprintf("rules=%d", rules), func(b *testing.B) {
			s, f := busy(rules, 2), to("192.0.2.80:443", "")
			b.ReportAllocs()
			for b.Loop() {
				_ = s.Named(f)
			}
		})
	}
}

// TestNamedTellsDestinationsApart: what is not named shares one decision with
// the rest of its app socket, so Named must see whatever could decide otherwise.
func TestNamedTellsDestinationsApart(t *testing.T) {
	corp := domain(2, "corp", "10.8.0.2/24", "behind=10.128.0.0/9")
	public := domain(3, "pub", "internet", "203.0.113.2/24")
	rule := func(m Match) []Rule { return []Rule{{Name: "r", Actor: Admin, Match: m, Prefer: []string{"lte"}}} }
	udp := func(dst, name string) flow.Flow {
		f := to(dst, name)
		f.Proto = flow.UDP
		return f
	}
	for _, tt := range []struct {
		name    string
		domains []*pvd.Domain
		rules   []Rule
		flow    flow.Flow
		want    bool
	}{
		{"a public destination without rules", two(), nil, udp("192.0.2.80:443", ""), false},
		{"on a link", two(), nil, udp("10.1.0.77:443", ""), true},
		{"behind a domain", append(two(), corp), nil, udp("10.200.0.1:443", ""), true},
		{"private, and all domains may lead there", two(), nil, udp("172.16.0.1:443", ""), false},
		{"private, and not all may", append(two(), public), nil, udp("172.16.0.1:443", ""), true},
		{"a rule's prefix", two(), rule(Match{Dst: nets("192.0.2.0/24")}), udp("192.0.2.80:443", ""), true},
		{"beside a rule's prefix", two(), rule(Match{Dst: nets("192.0.2.0/24")}), udp("192.0.3.80:443", ""), false},
		{"a rule's prefix, another protocol", two(), rule(Match{Dst: nets("192.0.2.0/24"), Protos: []flow.Proto{flow.TCP}}), udp("192.0.2.80:443", ""), false},
		{"a whole family is no destination", two(), rule(Match{Dst: nets("0.0.0.0/0", "2001:db8::/32")}), udp("192.0.2.80:443", ""), false},
		{"but its other half is", two(), rule(Match{Dst: nets("0.0.0.0/0", "2001:db8::/32")}), udp("[2001:db8:7::1]:443", ""), true},
		{"a rule's port", two(), rule(Match{Ports: []PortRange{{443, 443}}}), udp("192.0.2.80:443", ""), true},
		{"another port", two(), rule(Match{Ports: []PortRange{{80, 80}}}), udp("192.0.2.80:443", ""), false},
		{"a rule's name", two(), rule(Match{Names: []string{"*.example.com"}}), udp("192.0.2.80:443", "www.example.com"), true},
		{"a rule about the app side", two(), rule(Match{Src: nets("198.18.0.0/15"), DSCP: []uint8{0}}), udp("192.0.2.80:443", ""), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := house(Policy{Rules: tt.rules}, tt.domains...)
			if got := s.Named(tt.flow); got != tt.want {
				t.Errorf("named is %v, want %v", got, tt.want)
			}
			if d := s.Pick(tt.flow); d.PerDestination != tt.want {
				t.Errorf("per destination is %v, want %v", d.PerDestination, tt.want)
			}
		})
	}
}

func TestExplainSaysWhatWasWeighed(t *testing.T) {
	domains := append(two(),
		domain(2, "corp", "10.8.0.2/24", "behind=10.128.0.0/9"), domain(3, "sat", "internet", "203.0.113.2/24"),
		domain(4, "wifi", "internet", "offline", "10.4.0.2/24"))
	domains[4].Reason = "the link is down"
	rules := []Rule{
		{Name: "mine", Actor: User, Forbid: []string{"sat"}},
		{Name: "theirs", Actor: Admin, Require: []string{"sat"}},
		{Name: "hint", Actor: Operator, Prefer: []string{"lte"}},
	}
	s := house(Policy{Rules: rules}, domains...)
	e := s.Explain(to("192.0.2.80:443", ""))
	want := Explanation{
		Candidates: []Verdict{
			{"lte", "chosen", reasonPrefer},
			{"fiber", "next", "tried if the one before does not answer"},
			{"wifi", "lost", "it is offline: the link is down"},
			{"sat", "lost", `rule "mine" forbids it`},
			{"corp", "lost", "it does not lead to the Internet"},
		},
		Rules: []Spoken{{"mine", "user", "forbid", ""}, {"theirs", "admin", "dropped", ""}, {"hint", "operator", "prefer", ""}},
		Conflicts: []Conflict{
			{"mine", "theirs", "no domain satisfies both, and the user's rule stands above"},
		},
	}
	got := Explanation{Candidates: e.Candidates, Rules: e.Rules, Conflicts: e.Conflicts}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b Decision) bool { return true })); diff != "" {
		t.Errorf("explanation (-want +got):\n%s", diff)
	}
	if e.Decision.Rule != "mine" || e.Decision.Actor != "user" {
		t.Errorf("decision by %q of %q, want the strongest rule that spoke", e.Decision.Rule, e.Decision.Actor)
	}
	refused := s.Explain(to("10.200.0.1:443", ""))
	if names(refused.Decision) != "corp" || refused.Candidates[1].Verdict != "lost" {
		t.Errorf("a claimed destination: %+v", refused)
	}
}

// TestExplainLeavesNoTrace: asking does not make a key stick.
func TestExplainLeavesNoTrace(t *testing.T) {
	domains := weighted(1, 1)
	s := house(Policy{}, domains[0])
	for i := range 50 {
		s.Explain(to(destination(i), ""))
	}
	s.Publish(pvd.NewSet(domains), &Policy{})
	if chosen(s, "w1", 0, 50) == 0 {
		t.Error("keys that were only asked about stayed on the old domain")
	}
}

// TestDecisionsHoldOneSnapshot: domains come and go while others pick; every
// decision is of one moment. Run it with -race.
func TestDecisionsHoldOneSnapshot(t *testing.T) {
	worlds := []*pvd.Set{pvd.NewSet(two()), pvd.NewSet(two()[:1]), pvd.NewSet(nil)}
	s := New(Config{Source: firstSource})
	var picking sync.WaitGroup
	for g := range 4 {
		picking.Go(func() {
			for i := range 3000 {
				f := to(destination(i*4+g), "")
				d := s.Pick(f)
				if n := len(d.Candidates()); (n == 0) != (d.Refusal != NotRefused) || n > 2 {
					t.Errorf("%d candidates with refusal %d", n, d.Refusal)
				}
				s.Named(f)
				if i%100 == 0 {
					s.Explain(f)
				}
			}
		})
	}
	for i := range 300 {
		s.Publish(worlds[i%len(worlds)], &Policy{Algorithm: Algorithm(i % 3)})
	}
	picking.Wait()
}
