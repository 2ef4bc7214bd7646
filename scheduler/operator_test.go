package scheduler

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mifvif/pvd"
)

// announce adds routes that a network announces by RA; a word is a prefix, with
// "=high" or "=low" behind it where it is not of medium preference.
func announce(d *pvd.Domain, words ...string) *pvd.Domain {
	for _, w := range words {
		prefix, preference, _ := strings.Cut(w, "=")
		r := pvd.Route{Dst: netip.MustParsePrefix(prefix), Origin: pvd.FromRA}
		switch preference {
		case "high":
			r.Preference = pvd.High
		case "low":
			r.Preference = pvd.Low
		}
		d.Routes = append(d.Routes, r)
	}
	return d
}

// selecting gives d a resolver for every name, of some preference (RFC 6731).
func selecting(d *pvd.Domain, p pvd.Preference) *pvd.Domain {
	d.Resolvers = append(d.Resolvers, pvd.Resolver{Addr: netip.MustParseAddrPort("10.0.0.53:53"), Preference: p, Origin: pvd.FromDHCPv4})
	return d
}

// network is an online domain that leads to the Internet, by both families.
func network(slot int, name string, words ...string) *pvd.Domain {
	n := string(rune('1' + slot))
	return domain(slot, name, append(words, "internet", "10."+n+".0.2/24", "2001:db8:"+n+"::2/64")...)
}

// TestWhatNetworksSayOfThemselves: each kind of word of an operator ranks or
// limits its own network and is shown with its effect.
func TestWhatNetworksSayOfThemselves(t *testing.T) {
	closed := network(1, "b")
	closed.Internet, closed.NoInternet = false, true
	tabled := network(0, "a")
	tabled.Selection = []pvd.PolicyRow{{Prefix: netip.MustParsePrefix("::/0"), Precedence: 40, Label: 1}}
	for name, c := range map[string]struct {
		domains []*pvd.Domain
		rules   []Rule
		to      string
		name    string
		want    string
		says    []string // name, effect
	}{
		"the router's preference is the first rank where nobody says otherwise": {
			domains: []*pvd.Domain{network(0, "a", "low"), network(1, "b")}, to: "192.0.2.1:443", want: "b a",
			says: []string{"router preference of a: avoid"},
		},
		"a user's rule stands above it": {
			domains: []*pvd.Domain{network(0, "a", "low"), network(1, "b", "high")}, to: "192.0.2.1:443", want: "a b",
			rules: []Rule{{Name: "mine", Actor: User, Prefer: []string{"a"}}},
			says:  []string{"mine: prefer", "router preference of a: avoid", "router preference of b: prefer"},
		},
		"a trusted network's route draws flows, and its preference counts among those who claim": {
			domains: []*pvd.Domain{
				announce(network(0, "a", "trusted", "high"), "198.51.100.0/24"), announce(network(1, "b", "trusted"), "198.51.100.0/24=high"),
			}, to: "198.51.100.9:443", want: "b a",
			says: []string{"route 198.51.100.0/24 of a: claim", "route 198.51.100.0/24 of b: claim"},
		},
		"a route of low preference comes last": {
			domains: []*pvd.Domain{
				announce(network(0, "a", "trusted"), "198.51.100.0/24=low"), announce(network(1, "b", "trusted", "low"), "198.51.100.0/24"),
			}, to: "198.51.100.9:443", want: "b a",
			says: []string{"route 198.51.100.0/24 of a: claim", "route 198.51.100.0/24 of b: claim"},
		},
		"what is on a link goes before what a route leads to": {
			domains: []*pvd.Domain{announce(network(0, "a", "trusted"), "10.2.0.0/24=high"), network(1, "b")},
			to:      "10.2.0.9:443", want: "b a",
			says: []string{"route 10.2.0.0/24 of a: claim"},
		},
		"an untrusted network's route draws nothing": {
			domains: []*pvd.Domain{announce(network(0, "a", "low"), "192.0.2.0/25=high", "128.0.0.0/1=high"), network(1, "b")},
			to:      "192.0.2.1:443", want: "b a",
			says: []string{"route 192.0.2.0/25 of a: dropped", "router preference of a: avoid"},
		},
		"nor does it take what another claims": {
			domains: []*pvd.Domain{announce(network(0, "a"), "10.8.0.0/16=high"), domain(1, "vpn", "10.200.0.2/24", "behind=10.0.0.0/8")},
			to:      "10.8.0.9:443", want: "vpn", says: []string{"route 10.8.0.0/16 of a: dropped"},
		},
		"a network that calls itself closed gets what it claims only": {
			domains: []*pvd.Domain{network(0, "a"), closed}, to: "192.0.2.1:443", want: "a",
			says: []string{"noInternet of b: restrict"},
		},
		"resolvers of trusted networks order questions about anybody's names": {
			domains: []*pvd.Domain{selecting(network(0, "a", "trusted", "high"), pvd.Medium), selecting(network(1, "b", "trusted"), pvd.High)},
			to:      "0.0.0.0:0", name: "www.example.com", want: "b a",
			says: []string{"resolver preference of b: prefer", "router preference of a: prefer"},
		},
		"those of others do not": {
			domains: []*pvd.Domain{selecting(network(0, "a", "high"), pvd.Medium), selecting(network(1, "b"), pvd.High)},
			to:      "0.0.0.0:0", name: "www.example.com", want: "a b", says: []string{"router preference of a: prefer"},
		},
		"and they say nothing of flows": {
			domains: []*pvd.Domain{selecting(network(0, "a", "trusted", "high"), pvd.Medium), selecting(network(1, "b", "trusted"), pvd.High)},
			to:      "192.0.2.1:443", name: "www.example.com", want: "a b", says: []string{"router preference of a: prefer"},
		},
		"a trusted network that calls its resolvers the worse ones is asked last": {
			domains: []*pvd.Domain{selecting(network(0, "a", "trusted", "high"), pvd.Low), selecting(network(1, "b"), pvd.Medium)},
			to:      "0.0.0.0:0", name: "www.example.com", want: "b a",
			says: []string{"resolver preference of a: avoid", "router preference of a: prefer"},
		},
		"a zone that a network cannot give itself": {
			domains: []*pvd.Domain{zoned(network(0, "a", "trusted", "high"), "com@dhcp4"), network(1, "b", "low")},
			to:      "0.0.0.0:0", name: "www.example.com", want: "a b",
			says: []string{"zone com of a: dropped", "router preference of a: prefer", "router preference of b: avoid"},
		},
		"of two networks that claim a zone the trusted one has it": {
			domains: []*pvd.Domain{zoned(network(0, "a", "high"), "www.corp.example.com@json"), zoned(network(1, "b", "trusted"), "corp.example.com@dhcp4")},
			to:      "0.0.0.0:0", name: "www.corp.example.com", want: "b",
			says: []string{"zone www.corp.example.com of a: dropped", "zone corp.example.com of b: claim"},
		},
		"a table for addresses is its own network's": {
			domains: []*pvd.Domain{tabled, network(1, "b", "low")}, to: "[2001:db8:9::1]:443", want: "a b",
			says: []string{"router preference of b: avoid", "address selection table of a: choose"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := house(Policy{Rules: c.rules}, c.domains...)
			e := s.Explain(to(c.to, c.name))
			if got := names(e.Decision); got != c.want {
				t.Errorf("goes to %q, want %q: %+v", got, c.want, e.Candidates)
			}
			var says []string
			for _, r := range e.Rules {
				says = append(says, r.Name+": "+r.Effect)
				if r.Actor == "operator" && r.Reason == "" {
					t.Errorf("%q has no reason", r.Name)
				}
			}
			if diff := cmp.Diff(c.says, says); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAHostileOperatorTakesNothing: whatever a network that nobody trusts says of
// itself, what others claim, and what rules put elsewhere, stays where it was.
func TestAHostileOperatorTakesNothing(t *testing.T) {
	hostile := network(0, "a", "high")
	announce(hostile, "0.0.0.0/1=high", "128.0.0.0/1=high", "10.0.0.0/8=high", "10.200.0.9/32=high", "10.2.0.0/24=high", "192.0.2.0/24=high", "2000::/3=high")
	selecting(hostile, pvd.High)
	zoned(hostile, "@json", "com@json", "corp.example.com@json", "www.corp.example.com@dhcp4")
	vpn := zoned(domain(2, "vpn", "10.200.0.2/24", "behind=10.128.0.0/9", "trusted"), "corp.example.com")
	rules := []Rule{
		{Name: "kept", Actor: Admin, Match: Match{Dst: nets("192.0.2.0/24")}, Require: []string{"b"}},
		{Name: "liked", Actor: Admin, Match: Match{Dst: nets("198.51.100.0/24")}, Prefer: []string{"b"}},
	}
	s := house(Policy{Rules: rules}, hostile, network(1, "b"), vpn)
	for _, c := range []struct{ to, name, want string }{
		{"10.200.0.9:443", "", "vpn"},
		{"10.130.0.9:443", "", "vpn"},
		{"10.2.0.9:443", "", "b"},
		{"192.0.2.9:443", "", "b"},
		{"198.51.100.9:443", "", "b a"},
		{"0.0.0.0:0", "www.corp.example.com", "vpn"},
		{"0.0.0.0:0", "www.example.net", "a b"}, // a high preference is a network's to have
	} {
		if got := names(s.Explain(to(c.to, c.name)).Decision); got != c.want {
			t.Errorf("%s %s goes to %q, want %q", c.to, c.name, got, c.want)
		}
	}
}
