package scheduler

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mifvif/flow"
	"mifvif/pvd"
)

// TestPathIsWhatIsAskedWhereItCanBe: the strongest rule with a word speaks, then the
// defaults; what translation cannot do stands against it.
func TestPathIsWhatIsAskedWhereItCanBe(t *testing.T) {
	const here, through = PathTerminate, PathTranslate
	says := func(name string, actor Actor, word Path) Rule { return Rule{Name: name, Actor: actor, Path: word} }
	translate := says("r", Admin, PathTranslate)
	with := func(change func(*Rule)) []Rule {
		r := translate
		change(&r)
		return []Rule{r}
	}
	ours := func(f *flow.Flow) { f.Bound = "fiber" }
	for _, tc := range []struct {
		name     string
		defaults Path
		rules    []Rule
		change   func(*flow.Flow)
		want     Path
		why      string
	}{
		{"a rule asks", PathInherit, []Rule{translate}, nil, through, `rule "r" says so`},
		{"the defaults ask", PathTranslate, nil, nil, through, "the defaults say so"},
		{"a rule forbids", PathTranslate, []Rule{says("r", Admin, PathTerminate)}, nil, here, `rule "r" says so`},
		{"the defaults forbid", PathTerminate, nil, nil, here, "the defaults say so"},
		{"a rule leaves it open", PathTranslate, []Rule{says("r", Admin, PathAuto)}, nil, here, pathUnknown},
		{"nobody asks", PathInherit, nil, nil, here, pathUnknown},
		{"a rule wants a race", PathInherit, []Rule{{Name: "r", Actor: Admin, Race: true}}, nil, here, pathRace},
		{"the stronger one speaks", PathInherit, []Rule{says("u", User, PathTerminate), translate}, nil, here, `rule "u" says so`},
		{"the stronger one says nothing", PathInherit, []Rule{{Name: "u", Actor: User, Prefer: []string{"fiber"}}, translate}, nil, through, `rule "r" says so`},
		{"multipath may be", PathInherit, with(func(r *Rule) { r.MPTCP = MultipathAuto }), nil, here, pathMultipath},
		{"multipath must be", PathInherit, with(func(r *Rule) { r.MPTCP = MultipathRequire }), nil, here, pathMultipath},
		{"the app asks for multipath", PathInherit, []Rule{translate}, func(f *flow.Flow) { f.Multipath = true }, here, pathMultipath},
		{"and a rule does not", PathInherit, with(func(r *Rule) { r.MPTCP = MultipathOff }), func(f *flow.Flow) { f.Multipath = true }, through, `rule "r" says so`},
		{"held", PathInherit, with(func(r *Rule) { r.OnFailure = FailHold }), nil, here, pathHeld},
		{"reset", PathInherit, with(func(r *Rule) { r.OnFailure = FailReset }), nil, through, `rule "r" says so`},
		{"bound", PathInherit, []Rule{translate}, ours, through, `rule "r" says so`},
		{"confined", PathInherit, []Rule{translate}, func(f *flow.Flow) { ours(f); f.Confined = true }, here, pathConfined},
		{"datagrams", PathTranslate, []Rule{translate}, func(f *flow.Flow) { f.Proto = flow.UDP }, here, ""},
	} {
		s := house(Policy{Rules: tc.rules, Path: tc.defaults}, two()...)
		f := to("203.0.113.80:443", "")
		if tc.change != nil {
			tc.change(&f)
		}
		unable := pathUnable
		if tc.want == here && strings.HasSuffix(tc.why, "so") || f.Proto != flow.TCP {
			unable = tc.why
		}
		if d, e := s.Pick(f), s.Explain(f); d.Path != here || e.Path != unable {
			t.Errorf("%s, on a host that cannot: %v because %s, want %s", tc.name, d.Path, e.Path, unable)
		}
		s.Translates(true)
		if d, e := s.Pick(f), s.Explain(f); d.Path != tc.want || e.Decision.Path != tc.want || e.Path != tc.why {
			t.Errorf("%s: %v, explained as %v because %s, want %v because %s", tc.name, d.Path, e.Decision.Path, e.Path, tc.want, tc.why)
		}
		s.Translates(false)
		if d := s.Pick(f); d.Path != here {
			t.Errorf("%s, on a host that cannot any more: %v", tc.name, d.Path)
		}
	}
}

// TestPathOverNAT64IsTerminated: where the first candidate rewrites the family.
func TestPathOverNAT64IsTerminated(t *testing.T) {
	six := domain(0, "six", "internet", "2001:db8:1::2/64")
	six.PREF64 = []pvd.PREF64{{Prefix: nets("64:ff9b::/96")[0]}}
	s := house(Policy{Path: PathTranslate}, six)
	s.Translates(true)
	if d := s.Pick(to("203.0.113.80:443", "")); d.Path != PathTerminate || d.PathWhy != pathNAT64 {
		t.Errorf("IPv4: %v because %s", d.Path, d.PathWhy)
	}
	if d := s.Pick(to("[2001:db8:9::1]:443", "")); d.Path != PathTranslate {
		t.Errorf("IPv6: %v because %s", d.Path, d.PathWhy)
	}
}

// TestPathIsTranslatedOnceTheWayIsKnown: first contact terminates, as does a way that
// is silent, was not tried for long or is another's.
func TestPathIsTranslatedOnceTheWayIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := house(Policy{Algorithm: Priority, Order: []string{"fiber", "lte"}}, two()...)
		s.Translates(true)
		f := to("203.0.113.80:443", "")
		want := func(when string, path Path, why string) {
			t.Helper()
			if d := s.Pick(f); d.Path != path || d.PathWhy != why {
				t.Errorf("%s: %v because %s, want %v because %s", when, d.Path, d.PathWhy, path, why)
			}
		}
		fiber, lte := pvd.Key{Slot: 0, Attached: 1}, pvd.Key{Slot: 1, Attached: 1}
		want("at first", PathTerminate, pathUnknown)
		s.Learn(lte, f.Dst.Addr(), Sample{RTT: time.Millisecond})
		want("another domain's way is known", PathTerminate, pathUnknown)
		s.Learn(fiber, f.Dst.Addr(), Sample{Rate: 1e6})
		want("only the rate is known", PathTerminate, pathUnknown)
		s.Learn(fiber, f.Dst.Addr().Next(), Sample{RTT: time.Millisecond})
		want("a neighbour has answered", PathTranslate, pathIdle)
		s.Learn(fiber, f.Dst.Addr(), Sample{Silent: true})
		want("nobody answers", PathTerminate, pathSilent)
		s.Learn(fiber, f.Dst.Addr(), Sample{RTT: time.Millisecond})
		want("it answers again", PathTranslate, pathIdle)
		time.Sleep(pathFor - time.Second)
		want("just before it is too old", PathTranslate, pathIdle)
		time.Sleep(time.Second)
		want("when it is too old", PathTerminate, pathUnknown)
	})
}

// TestPathIsWaitedForAsLongAsItShouldTake: a few round trips, while others are left.
func TestPathIsWaitedForAsLongAsItShouldTake(t *testing.T) {
	f := to("203.0.113.80:443", "")
	for rtt, want := range map[time.Duration]time.Duration{
		time.Millisecond: leastPatience, 40 * time.Millisecond: 120 * time.Millisecond, time.Minute: mostPatience,
	} {
		for _, all := range [][]*pvd.Domain{two(), two()[:1]} {
			s := house(Policy{}, all...)
			s.Translates(true)
			for _, d := range all {
				s.Learn(d.Key(), f.Dst.Addr(), Sample{RTT: rtt})
			}
			if len(all) == 1 {
				want = 0
			}
			if d := s.Pick(f); d.Path != PathTranslate || d.Patience != want {
				t.Errorf("of %d with a round trip of %v the first is waited for %v (%v), want %v", len(all), rtt, d.Patience, d.Path, want)
			}
		}
	}
	s := house(Policy{Path: PathTranslate}, two()...)
	s.Translates(true)
	if d := s.Pick(f); d.Path != PathTranslate || d.Patience != 0 {
		t.Errorf("where it is asked for it is waited for %v", d.Patience)
	}
}

// TestPathWordsAreTheConfigurations: each has the word that is written.
func TestPathWordsAreTheConfigurations(t *testing.T) {
	for path, want := range map[Path]string{PathInherit: "", PathAuto: "auto", PathTerminate: "terminate", PathTranslate: "translate"} {
		if got := path.String(); got != want {
			t.Errorf("%d is %q, want %q", path, got, want)
		}
	}
}
