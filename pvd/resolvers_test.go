package pvd

import (
	"net/netip"
	"testing"
	"time"
)

func TestResolversGoToTheDomainsTheyCanBeMeantFor(t *testing.T) {
	world := func() *kernel {
		return new(kernel).
			link(2, "pub").addr(2, "203.0.113.2/24").route(2, "default", "203.0.113.1").route(2, "198.51.100.0/24", "203.0.113.9").
			link(3, "home").addr(3, "192.168.1.2/24").addr(3, "2001:db8::2/64").route(3, "default", "192.168.1.1").route(3, "default6", "fe80::1").
			link(4, "wg0", "p2p").addr(4, "10.8.0.2/24").route(4, "10.20.0.0/16", "").
			link(5, "docker0").addr(5, "172.17.0.1/16").route(5, "172.17.0.0/16", "").
			link(6, "lab0").addr(6, "10.9.0.2/24").route(6, "10.9.0.0/24", "").route(6, "10.30.0.0/16", "10.9.0.1")
	}
	for _, tt := range []struct {
		name, server string
		want         map[string]bool
	}{
		{"on the link of one", "192.168.1.1", map[string]bool{"home": true}},
		{"behind a route of one", "198.51.100.53", map[string]bool{"pub": true}},
		{"behind a route of a VPN", "10.20.0.53", map[string]bool{"wg0": true}},
		{"public", "9.9.9.9", map[string]bool{"pub": true, "home": true}},
		{"public, of a family that one has", "2620:fe::fe", map[string]bool{"home": true}},
		{"private and nobody's: where a private network may be", "172.16.0.53", map[string]bool{"home": true}},
		{"on the link of an ignored interface", "172.17.0.53", nil},
		{"behind an interface without a default route", "10.30.0.53", nil},
		{"a stub on this host", "127.0.0.53", nil},
		{"link-local with its zone", "fe80::53%home", map[string]bool{"home": true}},
		{"link-local with its zone as a number", "fe80::53%2", map[string]bool{"pub": true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := netip.MustParseAddr(tt.server)
			set := NewBuilder(usual()).Build(world().State, Inputs{Hints: Hints{Servers: []netip.Addr{server}}})
			for _, d := range set.All() {
				got := len(d.Resolvers) == 1 && d.Resolvers[0].Addr == netip.AddrPortFrom(server, 53)
				if got != tt.want[d.Name] || len(d.Resolvers) > 1 {
					t.Errorf("%s has %v, want the server: %v", d.Name, d.Resolvers, tt.want[d.Name])
				}
			}
		})
	}
}

// TestAResolverOfADomainThatIsLostIsNobodyElses: whether its link is down or gone,
// and until the host names others.
func TestAResolverOfADomainThatIsLostIsNobodyElses(t *testing.T) {
	server := netip.MustParseAddr("10.2.0.53")
	in := Inputs{Hints: Hints{Servers: []netip.Addr{server}}}
	one := func() *kernel {
		return new(kernel).link(2, "e1").addr(2, "10.1.0.2/24").route(2, "default", "10.1.0.1")
	}
	both := one().link(3, "e2").addr(3, "10.2.0.2/24").route(3, "default", "10.2.0.1")
	asks := func(s *Set, name string) bool { return len(s.ByName(name).Resolvers) == 1 }
	b := NewBuilder(usual())
	if s := b.Build(both.State, in); asks(s, "e1") || !asks(s, "e2") {
		t.Errorf("both up: %v", s.All())
	}
	down := one().link(3, "e2", "down").addr(3, "10.2.0.2/24")
	if s := b.Build(down.State, in); asks(s, "e1") {
		t.Errorf("e2 is down: %v", s.All())
	}
	if s := b.Build(one().State, in); asks(s, "e1") {
		t.Errorf("e2 is gone: %v", s.All())
	}
	if s := b.Build(both.State, in); asks(s, "e1") || !asks(s, "e2") {
		t.Errorf("both up again: %v", s.All())
	}
	b.Build(one().State, Inputs{})
	if s := b.Build(one().State, in); !asks(s, "e1") {
		t.Errorf("named anew, and nobody's: %v", s.All())
	}
}

func TestResolversOfTheLinkComeBeforeGeneralOnes(t *testing.T) {
	hints := Hints{
		Servers: []netip.Addr{netip.MustParseAddr("9.9.9.9")},
		PerLink: map[int][]netip.Addr{2: {netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("192.0.2.54")}},
		Search:  []string{"example.net"},
	}
	k := plain().link(3, "e2").addr(3, "198.51.100.2/24").route(3, "default", "198.51.100.1").link(4, "e3", "down")
	discovery := usual()
	discovery.Declarations = []Declaration{{Name: "own", Interface: "e2", Servers: []netip.AddrPort{netip.MustParseAddrPort("198.51.100.7:5353")}}}
	set := NewBuilder(discovery).Build(k.State, Inputs{Hints: hints})
	if got, want := describe(set.ByName("eth0")), "eth0 online internet 192.0.2.10/24 2001:db8:1::10/64 via 192.0.2.1 via fe80::1 ra dns 192.0.2.53 dns 192.0.2.54"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := set.ByName("eth0").Search; len(got) != 1 || got[0].Name != "example.net" {
		t.Errorf("search list %v", got)
	}
	if got := set.ByName("own").Resolvers; len(got) != 1 || got[0].Addr.Port() != 5353 || got[0].Origin != FromConfig {
		t.Errorf("declared resolvers override what is guessed, got %v", got)
	}
}

// TestWhatIsFoundOfANamedResolverIsTheDomains: with the lifetime and the origin of
// the name, and of no name that the domain has not.
func TestWhatIsFoundOfANamedResolverIsTheDomains(t *testing.T) {
	b, k := NewBuilder(usual()), plain()
	b.Build(k.State, Inputs{})
	r := ra("pio", "2001:db8:1::/64", "dns", "2001:db8:1::53")
	r.Designated = []Designation{{Name: "resolver.example", Priority: 7, Origin: FromRA, Until: r.Received.Add(time.Hour)}}
	b.Learn(r)
	d := b.Build(k.State, Inputs{}).ByName("eth0")
	if len(d.Designated) != 1 || len(d.Resolvers) != 1 {
		t.Fatalf("named %v, resolvers %v", d.Designated, d.Resolvers)
	}
	at := netip.MustParseAddrPort("[2001:db8:1::54]:853")
	in := Inputs{Designated: map[Key][]Resolver{d.Key(): {{Addr: at, Transport: DoT, Name: "resolver.example"}, {Addr: at, Transport: DoT, Name: "other.example"}}}}
	d = b.Build(k.State, in).ByName("eth0")
	want := Resolver{Addr: at, Transport: DoT, Name: "resolver.example", Priority: 7, Origin: FromRA, Until: r.Designated[0].Until}
	if len(d.Resolvers) != 2 || d.Resolvers[1] != want {
		t.Errorf("resolvers %+v, want the plain one and %+v", d.Resolvers, want)
	}
	r.Designated[0].Until = r.Received
	b.Learn(r)
	if d = b.Build(k.State, in).ByName("eth0"); len(d.Resolvers) != 1 || len(d.Designated) != 0 {
		t.Errorf("withdrawn: named %v, resolvers %+v", d.Designated, d.Resolvers)
	}
}
