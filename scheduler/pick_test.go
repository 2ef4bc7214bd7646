package scheduler

import (
	"net/netip"
	"testing"

	"mifvif/flow"
	"mifvif/pvd"
)

func nets(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// TestStages goes through the stages by hand; the order is by metric so that
// all of it is known: lte 10, fiber 20, sat 30 (metered).
func TestStages(t *testing.T) {
	world := func(more ...*pvd.Domain) []*pvd.Domain {
		return append(append(two(), domain(2, "sat", "internet", "203.0.113.2/24", "metric=5", "metered")), more...)
	}
	corp := domain(3, "corp", "10.8.0.2/24", "behind=10.0.0.0/8", "behind=fd00:8::/32", "fd00:8::2/64")
	dead := domain(3, "corp", "offline", "behind=10.0.0.0/8")
	rule := func(actor Actor, r Rule) Rule { r.Actor = actor; return r }
	for _, tt := range []struct {
		name    string
		domains []*pvd.Domain
		rules   []Rule
		flow    flow.Flow
		want    string // candidates, or the refusal
	}{
		{"no domain", nil, nil, to("192.0.2.80:443", ""), "no route"},
		{"all usable, metered last", world(), nil, to("192.0.2.80:443", ""), "lte fiber sat"},
		{"only those with the family", world(), nil, to("[2001:db8::80]:443", ""), "lte fiber"},
		{"no source for the destination", world(), nil, to("192.0.2.200:443", ""), "no route"},
		{"degraded behind metered", world(domain(4, "bad", "internet", "10.5.0.2/24", "degraded")), nil, to("192.0.2.80:443", ""), "lte fiber sat bad"},
		{"offline is none", []*pvd.Domain{domain(0, "a", "internet", "offline", "10.5.0.2/24")}, nil, to("192.0.2.80:443", ""), "no route"},

		{"require", world(), []Rule{{Name: "r", Actor: Admin, Require: []string{"sat"}}}, to("192.0.2.80:443", ""), "sat"},
		{"require in its own order", world(), []Rule{{Name: "r", Actor: Admin, Require: []string{"sat", "fiber", "lte"}}}, to("192.0.2.80:443", ""), "fiber lte sat"},
		{"require what is absent", world(), []Rule{{Name: "r", Actor: Admin, Require: []string{"corp"}}}, to("192.0.2.80:443", ""), "prohibited"},
		{"forbid", world(), []Rule{{Name: "r", Actor: Admin, Forbid: []string{"lte"}}}, to("192.0.2.80:443", ""), "fiber sat"},
		{"forbid all", world(), []Rule{{Name: "r", Actor: Admin, Forbid: []string{"lte", "fiber", "sat"}}}, to("192.0.2.80:443", ""), "prohibited"},
		{"prefer beats metered and metric", world(), []Rule{{Name: "r", Actor: Admin, Prefer: []string{"sat", "fiber"}}}, to("192.0.2.80:443", ""), "sat fiber lte"},
		{
			"the first match speaks and no other", world(),
			[]Rule{
				{Name: "not", Actor: Admin, Match: Match{Dst: nets("198.51.100.0/24")}, Require: []string{"sat"}},
				{Name: "first", Actor: Admin, Prefer: []string{"fiber"}},
				{Name: "second", Actor: Admin, Require: []string{"sat"}},
			},
			to("192.0.2.80:443", ""), "fiber lte sat",
		},
		{
			"user's order before admin's", world(),
			[]Rule{{Name: "a", Actor: Admin, Prefer: []string{"fiber"}}, {Name: "u", Actor: User, Prefer: []string{"sat"}}},
			to("192.0.2.80:443", ""), "sat fiber lte",
		},
		{
			"admin's rule that no domain could reconcile with the user's is dropped", world(),
			[]Rule{{Name: "a", Actor: Admin, Require: []string{"fiber"}}, {Name: "u", Actor: User, Require: []string{"lte"}}},
			to("192.0.2.80:443", ""), "lte",
		},
		{
			"but a locked one stands above", world(),
			[]Rule{{Name: "a", Actor: Locked, Require: []string{"fiber"}}, {Name: "u", Actor: User, Require: []string{"lte"}}},
			to("192.0.2.80:443", ""), "fiber",
		},
		{
			"a user's wish does not lift what the admin requires while it is away", world(),
			[]Rule{{Name: "a", Actor: Admin, Require: []string{"corp"}}, {Name: "u", Actor: User, Forbid: []string{"sat"}}},
			to("192.0.2.80:443", ""), "prohibited",
		},
		{
			"nor does a user's soft rule", world(),
			[]Rule{{Name: "a", Actor: Admin, Require: []string{"corp"}}, {Name: "u", Actor: User, Prefer: []string{"sat"}}},
			to("192.0.2.80:443", ""), "prohibited",
		},

		{"a claimed destination goes to its owner", world(corp), nil, to("10.99.0.1:443", ""), "corp"},
		{"so in IPv6", world(corp), nil, to("[fd00:8::99]:443", ""), "corp"},
		{"a domain without Internet gets nothing else", world(corp), nil, to("192.0.2.80:443", ""), "lte fiber sat"},
		{"unless required", world(corp), []Rule{{Name: "r", Actor: Admin, Require: []string{"corp"}}}, to("192.0.2.80:443", ""), "corp"},
		{"preferring it is not enough", world(corp), []Rule{{Name: "r", Actor: Admin, Prefer: []string{"corp"}}}, to("192.0.2.80:443", ""), "lte fiber sat"},
		{"the longest claim wins", world(corp), nil, to("10.1.0.99:443", ""), "fiber"},
		{"an owner that is away: refused, not leaked", world(dead), nil, to("10.99.0.1:443", ""), "no route"},
		{"an owner that a rule forbids: prohibited", world(corp), []Rule{{Name: "r", Actor: Admin, Forbid: []string{"corp"}}}, to("10.99.0.1:443", ""), "prohibited"},
		{"a rule may send a claimed destination elsewhere", world(corp), []Rule{{Name: "r", Actor: Admin, Require: []string{"fiber"}}}, to("10.99.0.1:443", ""), "fiber"},

		{"a private destination that nobody claims stays out of public networks", world(), nil, to("10.99.0.1:443", ""), "lte fiber"},
		{"and is refused where there are no others", world()[2:], nil, to("10.99.0.1:443", ""), "no route"},
		{"shared address space is private too", world()[2:], nil, to("100.64.0.1:443", ""), "no route"},
		{"IPv6 likewise", world(), nil, to("[fd77::1]:443", ""), "no route"},
		{"a rule may send it there", world(), []Rule{{Name: "r", Actor: Admin, Require: []string{"sat"}}}, to("10.99.0.1:443", ""), "sat"},
		{
			"prohibited where a rule took the others away", world(),
			[]Rule{{Name: "r", Actor: Admin, Forbid: []string{"fiber", "lte"}}},
			to("10.99.0.1:443", ""), "prohibited",
		},

		{"a static route draws its destinations", world(domain(4, "b", "internet", "10.5.0.2/24", "route=198.51.100.0/24")), nil, to("198.51.100.1:443", ""), "b"},
		{"what a DHCP server announces does not", world(domain(4, "b", "internet", "10.5.0.2/24", "dhcp=198.51.100.0/24", "metric=40")), nil, to("198.51.100.1:443", ""), "lte fiber b sat"},
		{"unless the domain is trusted", world(domain(4, "b", "internet", "trusted", "10.5.0.2/24", "dhcp=198.51.100.0/24")), nil, to("198.51.100.1:443", ""), "b"},
		{"without Internet it may claim private ones", world(domain(4, "b", "10.5.0.2/24", "dhcp=10.77.0.0/16")), nil, to("10.77.0.1:443", ""), "b"},
		{"but no public ones", world(domain(4, "b", "10.5.0.2/24", "dhcp=198.51.100.0/24")), nil, to("198.51.100.1:443", ""), "lte fiber sat"},

		{"a VPN that takes everything", world(domain(4, "vpn", "internet", "overrides", "10.5.0.2/24")), nil, to("192.0.2.80:443", ""), "vpn"},
		{
			"unless a rule prefers otherwise", world(domain(4, "vpn", "internet", "overrides", "10.5.0.2/24", "metric=40")),
			[]Rule{{Name: "r", Actor: Admin, Prefer: []string{"fiber"}}},
			to("192.0.2.80:443", ""), "fiber lte vpn sat",
		},
		{"but not what others claim", world(domain(4, "vpn", "internet", "overrides", "10.5.0.2/24")), nil, to("10.1.0.99:443", ""), "fiber"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i := range tt.rules {
				tt.rules[i] = rule(tt.rules[i].Actor, tt.rules[i])
			}
			s := house(Policy{Algorithm: Priority, Rules: tt.rules}, tt.domains...)
			d := s.Pick(tt.flow)
			got := names(d)
			switch d.Refusal {
			case NoRoute:
				got = "no route"
			case Prohibited:
				got = "prohibited"
			}
			if got != tt.want {
				t.Errorf("got %q (%s), want %q", got, d.Reason, tt.want)
			}
		})
	}
}

func TestMatches(t *testing.T) {
	f := flow.Flow{
		Proto: flow.UDP, Src: netip.MustParseAddrPort("192.168.7.9:5000"), Dst: netip.MustParseAddrPort("192.0.2.80:5060"),
		DSCP: 46, Ingress: "lan0", Name: "Sip.Voice.example.com.",
	}
	for _, tt := range []struct {
		name  string
		match Match
		want  bool
	}{
		{"empty", Match{}, true},
		{"all", Match{
			Dst: nets("198.51.100.0/24", "192.0.2.0/24"), Src: nets("192.168.0.0/16"), Ports: []PortRange{{1, 2}, {5000, 5060}},
			Protos: []flow.Proto{flow.TCP, flow.UDP}, DSCP: []uint8{0, 46}, Names: []string{"*.VOICE.example.com."}, Ingress: []string{"lan0"},
		}, true},
		{"destination", Match{Dst: nets("192.0.2.0/26")}, false},
		{"source", Match{Src: nets("10.0.0.0/8")}, false},
		{"other family", Match{Dst: nets("::/0")}, false},
		{"port below", Match{Ports: []PortRange{{5061, 6000}}}, false},
		{"port above", Match{Ports: []PortRange{{1, 5059}}}, false},
		{"protocol", Match{Protos: []flow.Proto{flow.TCP}}, false},
		{"dscp", Match{DSCP: []uint8{0}}, false},
		{"ingress", Match{Ingress: []string{"lan1"}}, false},
		{"exact name", Match{Names: []string{"sip.voice.example.com"}}, true},
		{"a pattern does not match the name itself", Match{Names: []string{"*.sip.voice.example.com"}}, false},
		{"a pattern matches at any depth", Match{Names: []string{"*.example.com"}}, true},
		{"a broken pattern matches nothing", Match{Names: []string{"[sip.voice.example.com"}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			about, m := newSubject(f), tt.match.canonical()
			if got := m.matches(&about); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	icmp := newSubject(flow.Flow{Proto: flow.ICMPv6, Src: f.Src, Dst: f.Dst})
	for _, p := range []flow.Proto{flow.ICMP, flow.ICMPv6} {
		m := Match{Protos: []flow.Proto{p}}.canonical()
		if !m.matches(&icmp) {
			t.Errorf("a rule for protocol %d must match ICMPv6: icmp is one word for both", uint8(p))
		}
	}
	noName := newSubject(flow.Flow{Proto: flow.UDP, Src: f.Src, Dst: f.Dst})
	if m := (Match{Names: []string{"*"}}).canonical(); m.matches(&noName) {
		t.Error("a flow without a name matches no pattern")
	}
}

func TestFatesComeFromTheStrongestRuleThatNamesThem(t *testing.T) {
	rules := []Rule{
		{Name: "a", Actor: Admin, OnFailure: FailReset, OnRecovery: RecoverMoveIdle, RecoveryDeadline: 7},
		{Name: "u", Actor: User, OnFailure: FailAuto},
	}
	d := house(Policy{OnFailure: FailHold, Rules: rules}, two()...).Pick(to("192.0.2.80:443", ""))
	if d.Rule != "u" || d.Actor != "user" || d.OnFailure != FailAuto || d.OnRecovery != RecoverMoveIdle || d.RecoveryDeadline != 7 {
		t.Errorf("%+v: an explicit auto of the user is not overruled, and what he leaves open the admin says", d)
	}
	d = house(Policy{OnFailure: FailHold}, two()...).Pick(to("192.0.2.80:443", ""))
	if d.OnFailure != FailHold || d.OnRecovery != RecoverStay || d.Actor != "default" || d.Rule != "" {
		t.Errorf("%+v: without rules the defaults hold", d)
	}
	d = house(Policy{}, two()...).Pick(to("192.0.2.80:443", ""))
	if d.OnFailure != FailAuto {
		t.Errorf("without anything on_failure is auto, got %d", d.OnFailure)
	}
}

func TestPriorityFollowsTheDeclaredOrder(t *testing.T) {
	d := house(Policy{Algorithm: Priority, Order: []string{"absent", "fiber"}}, two()...).Pick(to("192.0.2.80:443", ""))
	if names(d) != "fiber lte" || d.Reason != reasonPriority {
		t.Errorf("got %s (%s), want fiber lte: what the order names comes before the others, whatever the metric", names(d), d.Reason)
	}
	rules := []Rule{{Name: "r", Actor: Admin, Require: []string{"lte", "fiber"}}}
	d = house(Policy{Algorithm: Priority, Order: []string{"fiber"}, Rules: rules}, two()...).Pick(to("192.0.2.80:443", ""))
	if names(d) != "lte fiber" {
		t.Errorf("got %s, want lte fiber: the order of require comes first", names(d))
	}
}

func TestPendingNamesAbsentDomainsOnce(t *testing.T) {
	rules := []Rule{
		{Name: "a", Actor: Admin, Require: []string{"corp", "fiber"}, Forbid: []string{"sat"}},
		{Name: "b", Actor: Admin, Prefer: []string{"corp", "lte"}},
	}
	got := house(Policy{Rules: rules}, two()...).Pending()
	if len(got) != 2 || got[0] != "corp" || got[1] != "sat" {
		t.Errorf("pending %v, want corp and sat", got)
	}
}

func TestTwoClaimsAreAConflict(t *testing.T) {
	s := house(Policy{Algorithm: Priority}, two()[0], domain(1, "lte", "internet", "10.2.0.2/24", "metric=10", "route=198.51.100.0/24"),
		domain(2, "sat", "internet", "10.3.0.2/24", "metric=30", "route=198.51.100.0/24"))
	e := s.Explain(to("198.51.100.9:443", ""))
	if len(e.Conflicts) != 1 || e.Conflicts[0].Winner != "lte" || e.Conflicts[0].Loser != "sat" {
		t.Errorf("conflicts %v, want that sat claims the destination too", e.Conflicts)
	}
	if e = s.Explain(to("192.0.2.80:443", "")); len(e.Conflicts) != 0 {
		t.Errorf("conflicts %v about what nobody claims", e.Conflicts)
	}
}

// TestAnIDMeansAllInstancesOfItsDomain: one domain on two links is one for rules and
// zones where its id was proven on both, and only there (RFC 7556 2.3).
func TestAnIDMeansAllInstancesOfItsDomain(t *testing.T) {
	instances := func(shared bool) []*pvd.Domain {
		a, b := domain(1, "corp.example", "internet", "10.1.0.2/24", "metric=20"), domain(2, "corp.example#4", "internet", "10.2.0.2/24", "metric=30")
		for _, d := range []*pvd.Domain{a, b} {
			d.ID, d.Explicit, d.Shared, d.Trust = "corp.example", true, shared, pvd.Authenticated
			d.Zones = []pvd.Zone{{Name: "corp.example", Origin: pvd.FromJSON}}
		}
		return []*pvd.Domain{domain(0, "lte", "internet", "10.9.0.2/24", "metric=10"), a, b}
	}
	for _, tt := range []struct {
		title  string
		rule   Rule
		target string
		want   [2]string // shared or not
	}{
		{"required", Rule{Require: []string{"corp.example"}}, "192.0.2.80:443", [2]string{"corp.example corp.example#4", "corp.example"}},
		{"preferred", Rule{Prefer: []string{"corp.example", "lte"}}, "192.0.2.80:443", [2]string{"corp.example corp.example#4 lte", "corp.example lte corp.example#4"}},
		{"forbidden", Rule{Forbid: []string{"corp.example"}}, "192.0.2.80:443", [2]string{"lte", "lte corp.example#4"}},
		{"one of them by its name", Rule{Require: []string{"corp.example#4"}}, "192.0.2.80:443", [2]string{"corp.example#4", "corp.example#4"}},
	} {
		tt.rule.Name, tt.rule.Actor = "r", Admin
		for i, shared := range []bool{true, false} {
			s := house(Policy{Algorithm: Priority, Rules: []Rule{tt.rule}}, instances(shared)...)
			if got := names(s.Pick(to(tt.target, ""))); got != tt.want[i] {
				t.Errorf("%s, shared %v: got %s, want %s", tt.title, shared, got, tt.want[i])
			}
			if pending := s.Pending(); len(pending) > 0 {
				t.Errorf("%s: pending %v", tt.title, pending)
			}
		}
	}
}
