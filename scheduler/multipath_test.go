package scheduler

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mifvif/flow"
	"mifvif/pvd"
)

func TestMultipathIsForWhoAsksForIt(t *testing.T) {
	rule := func(name string, actor Actor, word MPTCP) Rule { return Rule{Name: name, Actor: actor, MPTCP: word} }
	for _, tc := range []struct {
		name  string
		rules []Rule
		proto flow.Proto
		asks  bool // the app's SYN
		want  MPTCP
		why   string
	}{
		{"nobody asks", nil, flow.TCP, false, MultipathOff, "no rule asks for it, nor the app's own SYN"},
		{"the app asks", nil, flow.TCP, true, MultipathAuto, "the app's own SYN asks for it"},
		{"a rule asks", []Rule{rule("r", Admin, MultipathAuto)}, flow.TCP, false, MultipathAuto, `rule "r"`},
		{"a rule requires", []Rule{rule("r", Admin, MultipathRequire)}, flow.TCP, false, MultipathRequire, `rule "r"`},
		{"a rule forbids", []Rule{rule("r", Admin, MultipathOff)}, flow.TCP, true, MultipathOff, `rule "r"`},
		{"the stronger one speaks", []Rule{rule("u", User, MultipathOff), rule("a", Admin, MultipathRequire)}, flow.TCP, false, MultipathOff, `rule "u"`},
		{"the stronger one says nothing", []Rule{{Name: "u", Actor: User, Prefer: []string{"a"}}, rule("a", Admin, MultipathRequire)}, flow.TCP, false, MultipathRequire, `rule "a"`},
		{"datagrams", []Rule{rule("r", Admin, MultipathRequire)}, flow.UDP, false, MultipathOff, ""},
	} {
		s := house(Policy{Rules: tc.rules}, two()...)
		f := to("203.0.113.80:443", "")
		f.Proto, f.Multipath = tc.proto, tc.asks
		if d := s.Pick(f); d.MPTCP != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, d.MPTCP, tc.want)
		}
		if e := s.Explain(f); e.Multipath != tc.why {
			t.Errorf("%s: explained as %q, want %q", tc.name, e.Multipath, tc.why)
		}
		if got, want := s.Needs().Multipath, len(tc.rules) > 0 && tc.want != MultipathOff || tc.name == "datagrams" || tc.name == "the stronger one speaks"; got != want {
			t.Errorf("%s: the policy needs it = %v, want %v", tc.name, got, want)
		}
	}
}

func TestOnlyWhatIsAsGoodCarriesWithTheFirst(t *testing.T) {
	plain := []*pvd.Domain{domain(0, "a", "192.0.2.1/24", "internet"), domain(1, "b", "198.51.100.1/24", "internet"), domain(2, "c", "10.0.0.1/24", "internet")}
	metered := []*pvd.Domain{plain[0], plain[1], domain(2, "c", "10.0.0.1/24", "internet", "metered")}
	allMetered := []*pvd.Domain{domain(0, "a", "192.0.2.1/24", "internet", "metered"), metered[2]}
	auto := Rule{Name: "r", Actor: Admin, MPTCP: MultipathAuto}
	with := func(change func(*Rule)) Policy {
		r := auto
		change(&r)
		return Policy{Rules: []Rule{r}}
	}
	for _, tc := range []struct {
		name    string
		policy  Policy
		domains []*pvd.Domain
		want    int
	}{
		{"all are equal", with(func(*Rule) {}), plain, 3},
		{"one is metered", with(func(*Rule) {}), metered, 2},
		{"all are metered", with(func(*Rule) {}), allMetered, 1},
		{"one is preferred", with(func(r *Rule) { r.Prefer = []string{"b"} }), plain, 1},
		{"by order", with(func(r *Rule) { r.Algorithm = Priority; r.Require = []string{"b", "a"} }), plain, 1},
		{"one is degraded", with(func(*Rule) {}), []*pvd.Domain{plain[0], domain(1, "b", "198.51.100.1/24", "internet", "degraded")}, 1},
		{"nobody asks", Policy{}, plain, 0},
	} {
		d := house(tc.policy, tc.domains...).Pick(to("203.0.113.80:443", ""))
		if d.Alike != tc.want {
			t.Errorf("%s: %d of %s carry together, want %d", tc.name, d.Alike, names(d), tc.want)
		}
	}
}

func TestReviewIsPickAndNotesNothing(t *testing.T) {
	s := house(Policy{Rules: []Rule{{Name: "r", Actor: Admin, MPTCP: MultipathAuto}}}, two()...)
	f := to("203.0.113.80:443", "")
	before := s.Review(f)
	if got := s.Pick(f); names(got) != names(before) || got.Alike != before.Alike {
		t.Errorf("Pick has %s, Review had %s", names(got), names(before))
	}
	other := to("203.0.113.99:443", "")
	s.Review(other)
	if _, stuck := s.sticky.lookup(s.keyOf(other)); stuck {
		t.Error("Review has noted where the flow would go")
	}
	s.Pick(other)
	if _, stuck := s.sticky.lookup(s.keyOf(other)); !stuck {
		t.Error("Pick has not: the test looks at nothing")
	}
	if n := testing.AllocsPerRun(100, func() { s.Review(f) }); n != 0 {
		t.Errorf("Review allocates %v times", n)
	}
}

func TestFallbackIsRememberedForAWhileAndBounded(t *testing.T) {
	s := house(Policy{Rules: []Rule{{Name: "r", Actor: Admin, MPTCP: MultipathAuto}}}, two()...)
	now := time.Now()
	s.now = func() time.Time { return now }
	f := to("203.0.113.80:443", "")
	d := s.Pick(f)
	first := d.Candidates()[0].Domain
	s.FellBack(first.Key(), f.Dst)
	now = now.Add(time.Minute)
	if age, ok := s.Fallen(first.Key(), f.Dst); !ok || age != time.Minute {
		t.Errorf("a minute later: %v, %v", age, ok)
	}
	want := `rule "r"; not over ` + first.Name + `, where the server or the way to it made it TCP 1m0s ago`
	if diff := cmp.Diff(want, s.Explain(f).Multipath); diff != "" {
		t.Error(diff)
	}
	for what, k := range map[string]fallback{
		"another port":       {first.Key(), netip.AddrPortFrom(f.Dst.Addr(), f.Dst.Port()+1)},
		"another domain":     {pvd.Key{Slot: 7, Attached: 1}, f.Dst},
		"another attachment": {pvd.Key{Slot: first.Slot, Attached: first.Attached + 1}, f.Dst},
	} {
		if _, ok := s.Fallen(k.domain, k.dst); ok {
			t.Errorf("%s has fallen back too", what)
		}
	}
	now = now.Add(fallenFor)
	if _, ok := s.Fallen(first.Key(), f.Dst); ok {
		t.Error("it is believed for ever")
	}
	for i := range 2 * maxFallen {
		s.FellBack(first.Key(), netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), 80))
	}
	if n := len(s.fallen.when); n > maxFallen {
		t.Errorf("%d are remembered, want %d at the most", n, maxFallen)
	}
	if n := s.fallen.evicted.Load(); n != maxFallen {
		t.Errorf("%d were evicted, want %d: the first one was too old", n, maxFallen)
	}
}

// keyOf returns the key of a flow's affinity.
func (s *Scheduler) keyOf(f flow.Flow) uint64 {
	p := pick{Scheduler: s, snap: s.snapshot.Load(), flow: s.about(f, s.snapshot.Load()), comeback: comeback{asked: true}}
	p.decide()
	return p.key
}
