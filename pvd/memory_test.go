package pvd

import (
	"testing"

	"mifvif/netwatch"
)

// stage is one state of the kernel and what the builder has to make of it.
type stage struct {
	what  string
	state *kernel
	want  string // of domain e1
	anew  bool   // another instance than at the stage before
}

func e1(words ...string) *kernel { return new(kernel).link(2, "e1", words...) }

func TestAttachmentsAndRememberedNextHops(t *testing.T) {
	addressed := func() *kernel { return e1().addr(2, "192.0.2.10/24") }
	routed := func() *kernel { return addressed().route(2, "default", "192.0.2.1") }
	const online = "e1 online internet 192.0.2.10/24 via 192.0.2.1"
	const remembered = "e1 online internet 192.0.2.10/24 via 192.0.2.1 memory"
	const noHop = "e1 offline (no next hop) internet 192.0.2.10/24"
	const down = "e1 offline (the link is down) internet"
	v6 := func(words ...string) *kernel { return routed().addr(2, "2001:db8::10/64", words...) }

	for _, tt := range []struct {
		name   string
		stages []stage
	}{
		{"down and up again without a DHCP client", []stage{
			{"up", routed(), online, true},
			{"down", e1("down").addr(2, "192.0.2.10/24"), down, false},
			{"still down", e1("down"), down, false},
			{"up without carrier", e1("nocarrier").addr(2, "192.0.2.10/24"), "e1 offline (the link has no carrier) internet", false},
			{"up, no route", addressed(), remembered, true},
			{"nothing else changed", addressed(), remembered, false},
			{"down once more", e1("down"), down, false},
			{"up once more", addressed(), remembered, true},
			{"the client is back", routed(), online, false},
			{"somebody deletes the route", addressed(), noHop, false},
		}},
		{"the route is deleted while the link is up", []stage{
			{"up", routed(), online, true},
			{"no route", addressed(), noHop, false},
			{"down", e1("down"), down, false},
			{"up", addressed(), noHop, true},
			{"a route at last", routed(), online, false},
		}},
		{"another next hop is the same attachment", []stage{
			{"up", routed(), online, true},
			{"another", addressed().route(2, "default", "192.0.2.2"), "e1 online internet 192.0.2.10/24 via 192.0.2.2", false},
			{"none", addressed(), noHop, false},
			{"back", routed(), online, false},
		}},
		{"another prefix after the link was down", []stage{
			{"up", routed(), online, true},
			{"down", e1("down"), down, false},
			{"elsewhere", e1().addr(2, "198.51.100.9/24"), "e1 offline (no next hop) internet 198.51.100.9/24", true},
			{"back in the old prefix", addressed(), noHop, true},
		}},
		{"a longer prefix with the same next hop is another prefix", []stage{
			{"up", routed(), online, true},
			{"down", e1("down"), down, false},
			{"up", e1().addr(2, "192.0.2.10/25"), "e1 offline (no next hop) internet 192.0.2.10/25", true},
		}},
		{"the address comes later than the link", []stage{
			{"up", routed(), online, true},
			{"down", e1("down"), down, false},
			{"up", e1(), "e1 offline (no usable address) internet", false},
			{"addressed", addressed(), remembered, true},
		}},
		{"a new default route replaces what was remembered", []stage{
			{"up", routed(), online, true},
			{"down", e1("down"), down, false},
			{"up", addressed(), remembered, true},
			{"another router", addressed().route(2, "default", "192.0.2.7"), "e1 online internet 192.0.2.10/24 via 192.0.2.7", false},
			{"down again", e1("down"), down, false},
			{"up again", addressed(), "e1 online internet 192.0.2.10/24 via 192.0.2.7 memory", true},
		}},
		{"each family remembers for itself", []stage{
			{"up", v6().route(2, "default6", "2001:db8::1"), "e1 online internet 192.0.2.10/24 2001:db8::10/64 via 192.0.2.1 via 2001:db8::1", true},
			{"down", e1("down"), down, false},
			{"IPv4 is back", v6("tentative"), online, true},
			{"IPv6 too", v6(), "e1 online internet 192.0.2.10/24 2001:db8::10/64 via 192.0.2.1 via 2001:db8::1 memory", false},
		}},
		{"another interface of the same name remembers nothing", []stage{
			{"up", routed(), online, true},
			{"gone", new(kernel), "e1 offline (the interface is not there) internet", false},
			{"made anew", new(kernel).link(9, "e1").addr(9, "192.0.2.10/24"), "e1 offline (no next hop) internet 192.0.2.10/24", true},
		}},
		{"nor does one made anew between two readings", []stage{
			{"up", routed(), online, true},
			{"down", e1("down"), down, false},
			{"another, up", new(kernel).link(9, "e1").addr(9, "192.0.2.10/24"), "e1 offline (no next hop) internet 192.0.2.10/24", true},
		}},
		{"renumbered without having been seen down", []stage{
			{"up", routed(), online, true},
			{"one more address", routed().addr(2, "192.0.2.11/24"), "e1 online internet 192.0.2.10/24 192.0.2.11/24 via 192.0.2.1", false},
			{"the old one goes", e1().addr(2, "192.0.2.11/24").route(2, "default", "192.0.2.1"), "e1 online internet 192.0.2.11/24 via 192.0.2.1", false},
			{"all others", e1().addr(2, "192.0.2.12/24").route(2, "default", "192.0.2.1"), "e1 online internet 192.0.2.12/24 via 192.0.2.1", true},
		}},
		{"all addresses gone and back", []stage{
			{"up", routed(), online, true},
			{"none", e1(), "e1 offline (no usable address) internet", false},
			{"back", routed(), online, true},
		}},
		{"a point-to-point link leads nowhere without its routes", []stage{
			{"up", new(kernel).link(2, "e1", "p2p").addr(2, "10.8.0.2/24").route(2, "default", ""), "e1 online internet 10.8.0.2/24 via link", true},
			{"down", e1("down"), down, false},
			{"up", new(kernel).link(2, "e1", "p2p").addr(2, "10.8.0.2/24"), "e1 offline (no next hop) internet 10.8.0.2/24", true},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) { play(t, tt.stages) })
	}
}

func play(t *testing.T, stages []stage) {
	t.Helper()
	b := NewBuilder(usual())
	var before Key
	for i, s := range stages {
		d := b.Build(s.state.State, Inputs{}).ByName("e1")
		if got := describe(d); got != s.want {
			t.Fatalf("%s: got\n%s\nwant\n%s", s.what, got, s.want)
		}
		if anew := i == 0 || d.Key() != before; anew != s.anew {
			t.Errorf("%s: another instance is %v (%v after %v), want %v", s.what, anew, d.Key(), before, s.anew)
		}
		before = d.Key()
	}
}

// TestOthersNoticeNothing: while one domain comes and goes another stays the
// very same value.
func TestOthersNoticeNothing(t *testing.T) {
	both := func() *kernel {
		return plain().link(3, "e2").addr(3, "198.51.100.2/24").route(3, "default", "198.51.100.1")
	}
	b := NewBuilder(usual())
	first := b.Build(both().State, Inputs{}).ByName("e2")
	eth0 := netwatch.State{Links: both().Links[2:], Addresses: both().Addresses[3:], Routes: both().Routes[3:]}
	for range 20 {
		if b.Build(eth0, Inputs{}).ByName("e2") != first || b.Build(both().State, Inputs{}).ByName("e2") != first {
			t.Fatal("e2 changed although only eth0 came and went")
		}
	}
}
