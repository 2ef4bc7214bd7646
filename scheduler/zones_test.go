package scheduler

import (
	"net/netip"
	"strings"
	"testing"

	"mifvif/flow"
	"mifvif/pvd"
)

// zoned adds zones ("name", or "name@origin") to a domain.
func zoned(d *pvd.Domain, zones ...string) *pvd.Domain {
	for _, z := range zones {
		name, origin, ok := strings.Cut(z, "@")
		if !ok {
			origin = string(pvd.FromConfig)
		}
		d.Zones = append(d.Zones, pvd.Zone{Name: name, Origin: pvd.Origin(origin)})
	}
	return d
}

func about(name string) flow.Flow {
	f := flow.Flow{Proto: flow.UDP, Src: netip.MustParseAddrPort("198.18.0.1:1"), Name: name}
	f.Dst = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	return f
}

// brief is "domain,…" or the refusal's reason.
func outcomeOf(d Decision) string {
	if d.Refusal != NotRefused {
		return d.Reason
	}
	var names []string
	for _, c := range d.Candidates() {
		names = append(names, c.Domain.Name)
	}
	return strings.Join(names, ",")
}

func TestZoneDecidesAboutAName(t *testing.T) {
	fiber := func(zones ...string) *pvd.Domain {
		return zoned(domain(1, "fiber", "192.0.2.2/24", "internet"), zones...)
	}
	vpn := func(words []string, zones ...string) *pvd.Domain {
		return zoned(domain(2, "vpn", append(words, "10.8.0.2/24", "behind=10.8.0.0/16")...), zones...)
	}
	authenticated := func(id string, d *pvd.Domain) *pvd.Domain {
		d.Trust, d.ID = pvd.Authenticated, id
		return d
	}
	trusting := []string{"trusted"}
	tests := []struct {
		what    string
		domains []*pvd.Domain
		rules   []Rule
		name    string
		want    string
		zone    string
	}{
		{"nobody's name", []*pvd.Domain{fiber(), vpn(nil, "corp.example.com")}, nil, "www.example.net", "fiber", ""},
		{"in a zone", []*pvd.Domain{fiber(), vpn(nil, "corp.example.com")}, nil, "a.b.corp.example.com", "vpn", "corp.example.com"},
		{"the zone itself", []*pvd.Domain{fiber(), vpn(nil, "corp.example.com")}, nil, "corp.example.com", "vpn", "corp.example.com"},
		{"beside it", []*pvd.Domain{fiber(), vpn(nil, "corp.example.com")}, nil, "notcorp.example.com", "fiber", ""},
		{"longest match", []*pvd.Domain{fiber("lab.corp.example.com"), vpn(nil, "corp.example.com")}, nil, "x.lab.corp.example.com", "fiber", "lab.corp.example.com"},
		{"trust stands above length", []*pvd.Domain{fiber("lab.corp.example.com@dhcp4"), vpn(trusting, "corp.example.com@dhcp4")}, nil, "x.lab.corp.example.com", "vpn", "corp.example.com"},
		{"a network's claim on a trusted one's zone", []*pvd.Domain{fiber("corp.example.com@json"), vpn(trusting, "corp.example.com@dhcp4")}, nil, "x.corp.example.com", "vpn", "corp.example.com"},
		{"a hint nobody else claims", []*pvd.Domain{fiber("home.example@dhcp4"), vpn(nil)}, nil, "nas.home.example", "fiber", "home.example"},
		{"two hints", []*pvd.Domain{fiber("home.example@dhcp4"), vpn(nil, "home.example@ra")}, nil, "nas.home.example", "fiber", ""},
		{"a claim on the root", []*pvd.Domain{fiber(), vpn(trusting, "@ra")}, nil, "www.example.net", "fiber", ""},
		{"a claim on a public suffix", []*pvd.Domain{fiber(), vpn(trusting, "co.uk@json")}, nil, "bbc.co.uk", "fiber", ""},
		{"the configuration may claim even that", []*pvd.Domain{fiber(), vpn(nil, "co.uk")}, nil, "bbc.co.uk", "vpn", "co.uk"},
		{"a proven id's own domain", []*pvd.Domain{fiber(), authenticated("pvd.example.org", vpn(nil, "x.example.org@json"))}, nil, "a.x.example.org", "vpn", "x.example.org"},
		{"a proven id's foreign domain", []*pvd.Domain{fiber(), authenticated("pvd.example.org", vpn(nil, "example.com@json"))}, nil, "a.example.com", "fiber", ""},
		{"a dead owner", []*pvd.Domain{fiber(), vpn([]string{"offline"}, "corp.example.com")}, nil, "a.corp.example.com", reasonZoneOwner, "corp.example.com"},
		{"a rule forbids the owner", []*pvd.Domain{fiber(), vpn(nil, "corp.example.com")}, []Rule{{Name: "r", Actor: User, Forbid: []string{"vpn"}}}, "a.corp.example.com", reasonRefused, "corp.example.com"},
		{"a rule requires another", []*pvd.Domain{fiber(), vpn(nil, "corp.example.com")}, []Rule{{Name: "r", Actor: User, Require: []string{"fiber"}}}, "a.corp.example.com", "fiber", ""},
	}
	for _, tt := range tests {
		s := house(Policy{Rules: tt.rules}, tt.domains...)
		d := s.Pick(about(tt.name))
		if got := outcomeOf(d); got != tt.want || d.Zone != tt.zone {
			t.Errorf("%s: %s goes to %s by zone %q, want %s by %q", tt.what, tt.name, got, d.Zone, tt.want, tt.zone)
		}
	}
}

func TestFlowFollowsItsAnswer(t *testing.T) {
	n1 := domain(1, "n1", "10.1.0.2/24", "internet")
	n2 := domain(2, "n2", "10.2.0.2/24", "internet", "behind=203.0.113.0/24")
	gone := domain(3, "n3", "offline")
	from := func(d *pvd.Domain, private bool) flow.Answer {
		return flow.Answer{Slot: d.Slot, Attached: d.Attached, Known: true, Private: private}
	}
	old := from(n1, true)
	old.Attached = 0
	tests := []struct {
		what   string
		dst    string
		answer flow.Answer
		rules  []Rule
		want   string
		named  bool
	}{
		{"a private name's address", "198.51.100.80", from(n1, true), nil, "n1", true},
		{"a private address", "192.168.50.80", from(n2, false), nil, "n2", true},
		{"another network's address (rebinding)", "10.2.0.80", from(n1, false), nil, "n1", true},
		{"another network's public address", "203.0.113.80", from(n1, false), nil, "n1", true},
		{"a private name's address of a domain that is down", "198.51.100.80", from(gone, true), nil, reasonAnswerGone, true},
		{"a public address prefers its domain", "198.51.100.80", from(n2, false), nil, "n2,n1", false},
		{"a public address of a domain that is gone is free", "198.51.100.80", from(gone, false), []Rule{{Name: "r", Prefer: []string{"n1"}}}, "n1,n2", false},
		{"a private one is not", "192.168.50.80", from(gone, false), nil, reasonAnswerGone, true},
		{"nor one of an earlier instance", "192.168.50.80", old, nil, reasonAnswerGone, true},
		{"a rule stands above", "192.168.50.80", from(n2, false), []Rule{{Name: "r", Require: []string{"n1"}}}, reasonRefused, true},
	}
	for _, tt := range tests {
		s := house(Policy{Rules: tt.rules}, n1, n2, gone)
		f := flow.Flow{Proto: flow.TCP, Src: netip.MustParseAddrPort("198.18.0.1:1"), Dst: netip.AddrPortFrom(netip.MustParseAddr(tt.dst), 80), Name: "x.example", Answer: tt.answer}
		d := s.Pick(f)
		if got := outcomeOf(d); got != tt.want || d.PerDestination != tt.named {
			t.Errorf("%s: goes to %s (alone: %v), want %s (%v)", tt.what, got, d.PerDestination, tt.want, tt.named)
		}
	}
}

func TestIPv4GoesOverANAT64(t *testing.T) {
	lte := domain(1, "lte", "2001:db8:1::2/64", "internet")
	lte.PREF64 = []pvd.PREF64{{Prefix: pvd.WellKnown64()}}
	plain := domain(2, "plain", "2001:db8:2::2/64", "internet")
	fiber := domain(3, "fiber", "192.0.2.2/24", "2001:db8:3::2/64", "internet")
	tests := []struct {
		what    string
		domains []*pvd.Domain
		proto   flow.Proto
		dst     string
		want    string
		to      string
	}{
		{"a public address", []*pvd.Domain{lte, plain}, flow.TCP, "203.0.113.80", "lte", "64:ff9b::cb00:7150"},
		{"a private one", []*pvd.Domain{lte, plain}, flow.TCP, "10.0.0.1", reasonPrivate, ""},
		{"ping", []*pvd.Domain{lte, plain}, flow.ICMP, "203.0.113.80", reasonNoSource, ""},
		{"ping with IPv4 elsewhere", []*pvd.Domain{lte, fiber}, flow.ICMP, "203.0.113.80", "fiber", ""},
		{"a question about a name", []*pvd.Domain{lte, plain}, flow.UDP, "0.0.0.0", "lte", ""},
		{"a made-up address", []*pvd.Domain{lte, plain, fiber}, flow.TCP, "64:ff9b::cb00:7150", "lte", ""},
	}
	for _, tt := range tests {
		s := house(Policy{}, tt.domains...)
		d := s.Pick(flow.Flow{Proto: tt.proto, Src: netip.MustParseAddrPort("198.18.0.1:1"), Dst: netip.AddrPortFrom(netip.MustParseAddr(tt.dst), 80)})
		got, to := outcomeOf(d), ""
		if c := d.Candidates(); len(c) > 0 && c[0].To.IsValid() {
			to = c[0].To.String()
		}
		if got != tt.want || to != tt.to {
			t.Errorf("%s: %s to %q, want %s to %q", tt.what, got, to, tt.want, tt.to)
		}
	}
}

// A trusted domain that is away owns what it said before; any other does not.
func TestZonesOfADomainThatIsAway(t *testing.T) {
	fiber := domain(1, "fiber", "192.0.2.2/24", "internet")
	for words, want := range map[string]string{"trusted": reasonZoneOwner, "": "fiber"} {
		up := zoned(domain(2, "vpn", strings.Fields("10.8.0.2/24 "+words)...), "corp.example.com@dhcp4")
		s := house(Policy{}, fiber, up)
		if got := outcomeOf(s.Pick(about("a.corp.example.com"))); got != "vpn" {
			t.Errorf("while it is there: %s", got)
		}
		for range 2 {
			s.Publish(pvd.NewSet([]*pvd.Domain{fiber, domain(2, "vpn", strings.Fields("offline "+words)...)}), &Policy{})
		}
		if got := outcomeOf(s.Pick(about("a.corp.example.com"))); got != want {
			t.Errorf("a domain %q that is away: %s, want %s", words, got, want)
		}
		s.Publish(pvd.NewSet([]*pvd.Domain{fiber}), &Policy{})
		if got := outcomeOf(s.Pick(about("a.corp.example.com"))); got != "fiber" {
			t.Errorf("forgotten: %s", got)
		}
	}
}
