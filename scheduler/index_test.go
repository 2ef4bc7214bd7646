package scheduler

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"mifvif/flow"
)

// randomMatch limits a few properties, with values that meet those of
// randomSubject often.
func randomMatch(r *rand.Rand) *Match {
	var m Match
	for range r.IntN(4) {
		switch r.IntN(11) {
		case 0:
			m.Dst = append(m.Dst, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(r.IntN(4)), byte(r.IntN(4)), 0}), 8*r.IntN(4)).Masked())
		case 1:
			m.Src = append(m.Src, netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, byte(r.IntN(3)), 0}), 8*(1+r.IntN(3))).Masked())
		case 2:
			m.Names = append(m.Names, []string{"*.example.com", "www.example.com", "*.com", "www.*", "*.www.Example.com.", "["}[r.IntN(6)])
		case 3:
			first := uint16(r.IntN(30))
			m.Ports = append(m.Ports, PortRange{first, first + uint16(r.IntN(1+r.IntN(40)))})
		case 4:
			m.Users = append(m.Users, uint32(r.IntN(3)))
		case 5:
			m.Processes = append(m.Processes, []string{"a", "b"}[r.IntN(2)])
		case 6:
			m.Cgroups = append(m.Cgroups, []string{"/", "/x", "/x/y", "x/"}[r.IntN(4)])
		case 7:
			m.Ingress = append(m.Ingress, []string{"lan0", "lan1"}[r.IntN(2)])
		case 8:
			m.DSCP = append(m.DSCP, uint8(r.IntN(3)))
		case 9:
			m.Protos = append(m.Protos, []flow.Proto{flow.TCP, flow.UDP, flow.ICMP, flow.ICMPv6}[r.IntN(4)])
		case 10:
			m.When = append(m.When, Window{Days: [7]bool{r.IntN(2) == 0, true}, First: r.IntN(day), Last: r.IntN(day)})
		}
	}
	m = m.canonical()
	return &m
}

func randomSubject(r *rand.Rand) subject {
	f := flow.Flow{
		Proto: []flow.Proto{flow.TCP, flow.UDP, flow.ICMP}[r.IntN(3)],
		Src:   netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, byte(r.IntN(3)), 9}), 999),
		Dst:   netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(r.IntN(4)), byte(r.IntN(4)), 7}), uint16(r.IntN(40))),
		DSCP:  uint8(r.IntN(3)), Ingress: []string{"", "lan0"}[r.IntN(2)],
		Name: []string{"", "www.example.com", "a.www.example.com", "example.com", "www.org"}[r.IntN(5)],
	}
	if r.IntN(2) == 0 {
		f.Owner = flow.Owner{Known: true, UID: uint32(r.IntN(3)), Process: []string{"a", "b"}[r.IntN(2)], Cgroup: []string{"/x", "/x/y/z", "/xy"}[r.IntN(3)]}
	}
	s := newSubject(f)
	s.minute = r.IntN(7 * day)
	return s
}

// TestIndexFindsWhatAScanFinds compares the index with looking at every match.
func TestIndexFindsWhatAScanFinds(t *testing.T) {
	found := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 9))
		var matches []*Match
		for range r.IntN(200) {
			matches = append(matches, randomMatch(r))
		}
		rules, naming := newIndex(matches, false), newIndex(matches, true)
		for range 100 {
			f := randomSubject(r)
			want, named := int32(-1), int32(-1)
			for i, m := range matches {
				if want < 0 && m.matches(&f) {
					want = int32(i)
				}
				if named < 0 && m.tellsApart(f.family) && m.concerns(&f) {
					named = int32(i)
				}
			}
			if got := rules.first(&f); got != want {
				t.Fatalf("seed %d: the index finds match %d about %+v, a scan %d", seed, got, f, want)
			}
			if got := naming.first(&f); got != named {
				t.Fatalf("seed %d: the index of what names finds match %d about %+v, a scan %d", seed, got, f, named)
			}
			if want > 0 {
				found++
			}
		}
	}
	if found < 1000 {
		t.Fatalf("only %d flows were found by more than the first match: the test compares too little", found)
	}
}

// kinds are policies that limit one property each, or all of them in turn.
func kinds() map[string]func(i int) Match {
	one := []func(i int) Match{
		func(i int) Match {
			return Match{Dst: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(i >> 8), byte(i), 0}), 24)}}
		},
		func(i int) Match { return Match{Names: []string{fmt.Sprintf("*.site%d.example", i)}} },
		func(i int) Match { return Match{Ports: []PortRange{{uint16(1000 + i), uint16(1000 + i)}}} },
		func(i int) Match { return Match{Users: []uint32{uint32(1000 + i)}, Protos: []flow.Proto{flow.TCP}} },
		func(i int) Match {
			return Match{Dst: []netip.Prefix{netip.MustParsePrefix("192.0.2.80/32")}, Ports: []PortRange{{uint16(1000 + i), uint16(1000 + i)}}}
		},
	}
	return map[string]func(i int) Match{
		"prefixes": one[0], "names": one[1], "ports": one[2], "users": one[3], "oneprefix": one[4],
		"mixed": func(i int) Match { return one[i%len(one)](i) },
	}
}

func BenchmarkRules(b *testing.B) {
	for kind, match := range kinds() {
		for _, rules := range []int{1, 100, 10_000} {
			for _, domains := range []int{1, 8, 64} {
				b.Run(fmt.Sprintf("%s/rules=%d/domains=%d", kind, rules, domains), func(b *testing.B) {
					s, f := busyWith(match, rules, domains), to("192.0.2.80:443", "www.example.com")
					f.Owner = flow.Owner{Known: true, UID: 77, Process: "curl", Cgroup: "/user.slice/user-77.slice"}
					b.ReportAllocs()
					for b.Loop() {
						_ = s.Pick(f)
					}
				})
			}
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	p := &Policy{}
	for i := range 10_000 {
		p.Rules = append(p.Rules, Rule{Name: fmt.Sprint(i), Actor: Admin, Match: kinds()["mixed"](i)})
	}
	for b.Loop() {
		compile(p)
	}
}

func TestWindows(t *testing.T) {
	weekdays := [7]bool{false, true, true, true, true, true, false}
	for _, tt := range []struct {
		name   string
		window Window
		at     string
		want   bool
	}{
		{"inside", Window{Days: weekdays, First: 8 * 60, Last: 18 * 60}, "2026-11-24 08:00", true}, // a Tuesday
		{"its end is outside", Window{Days: weekdays, First: 8 * 60, Last: 18 * 60}, "2026-11-24 18:00", false},
		{"another day", Window{Days: weekdays, First: 8 * 60, Last: 18 * 60}, "2026-11-22 12:00", false},
		{"over midnight, before", Window{Days: weekdays, First: 22 * 60, Last: 6 * 60}, "2026-11-27 23:00", true},
		{"over midnight, after, although Saturday is no day of it", Window{Days: weekdays, First: 22 * 60, Last: 6 * 60}, "2026-11-28 05:59", true},
		{"but not from Sunday", Window{Days: weekdays, First: 22 * 60, Last: 6 * 60}, "2026-11-23 05:59", false},
		{"all day", Window{Days: weekdays}, "2026-11-24 00:00", true},
	} {
		at, err := time.Parse("2006-01-02 15:04", tt.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := tt.window.contains(minuteOfWeek(at)); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	s := house(Policy{Rules: []Rule{{Name: "night", Actor: Admin, Match: Match{When: []Window{{Days: weekdays, First: 22 * 60, Last: 6 * 60}}}, Require: []string{"lte"}}}}, two()...)
	s.now = func() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }
	if d := s.Pick(to("192.0.2.80:443", "")); d.Rule != "" {
		t.Errorf("at noon rule %q speaks", d.Rule)
	}
	s.now = func() time.Time { return time.Date(2026, 11, 24, 23, 0, 0, 0, time.UTC) }
	if d := s.Pick(to("192.0.2.80:443", "")); names(d) != "lte" {
		t.Errorf("at night %q, want lte", names(d))
	}
}
