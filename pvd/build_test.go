package pvd

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mifvif/netwatch"
)

// usual is what is ignored by default.
func usual() Discovery {
	return Discovery{Ignore: []string{"docker*", "veth*", "br-*", "virbr*"}, Own: "mif0"}
}

func TestWhatMakesAnUplink(t *testing.T) {
	for _, tt := range []struct {
		name  string
		state *kernel
		want  []string
	}{
		{"a plain dual-stack host", plain(), []string{"eth0 online internet 192.0.2.10/24 2001:db8:1::10/64 via 192.0.2.1 via fe80::1 ra"}},
		{"nothing at all", new(kernel), nil},
		{"loopback with a route", new(kernel).link(1, "lo", "lo").addr(1, "192.0.2.1/32").route(1, "default", ""), nil},
		{"an address without a route", new(kernel).link(2, "eth0").addr(2, "192.0.2.10/24").route(2, "192.0.2.0/24", "", protocol(2)), nil},
		{
			"only routes, but no default, behind an Ethernet router",
			new(kernel).link(2, "eth0").addr(2, "192.0.2.10/24").route(2, "10.0.0.0/8", "192.0.2.1"), nil,
		},
		{"a route without an address", new(kernel).link(2, "eth0").route(2, "default", "192.0.2.1"), nil},
		{"link-local addresses only", new(kernel).link(2, "eth0").addr(2, "fe80::10/64", "host").addr(2, "169.254.7.7/16").route(2, "default6", "fe80::1"), nil},
		{"an address still tentative", new(kernel).link(2, "eth0").addr(2, "2001:db8::10/64", "tentative").route(2, "default6", "fe80::1"), nil},
		{"no carrier", new(kernel).link(2, "eth0", "nocarrier").addr(2, "192.0.2.10/24").route(2, "default", "192.0.2.1"), nil},
		{"down", new(kernel).link(2, "eth0", "down").addr(2, "192.0.2.10/24").route(2, "default", "192.0.2.1"), nil},
		{
			"a route that the kernel holds to be dead",
			new(kernel).link(2, "eth0").addr(2, "192.0.2.10/24").route(2, "default", "192.0.2.1", func(r *netwatch.Route) { r.LinkDown = true }), nil,
		},
		{
			"a default in another table",
			new(kernel).link(2, "eth0").addr(2, "192.0.2.10/24").route(2, "default", "192.0.2.1", func(r *netwatch.Route) { r.Table = 100 }), nil,
		},
		{
			"an unreachable default",
			new(kernel).link(2, "eth0").addr(2, "192.0.2.10/24").route(2, "default", "", func(r *netwatch.Route) { r.Type = netwatch.Unreachable }), nil,
		},
		{
			"IPv6 alone", new(kernel).link(2, "eth0").addr(2, "2001:db8::10/64").route(2, "default6", "fe80::1"),
			[]string{"eth0 online internet 2001:db8::10/64 via fe80::1"},
		},
		{
			"mif0 and what is ignored by name", new(kernel).link(2, "mif0", "p2p").addr(2, "198.18.0.1/15").route(2, "default", "").
				link(3, "docker0").addr(3, "172.17.0.1/16").route(3, "default", "172.17.0.9").
				link(4, "veth12").addr(4, "192.0.2.1/24").route(4, "default", "192.0.2.9"), nil,
		},
		{
			"a veth by another name is as good as hardware", new(kernel).link(4, "e1").addr(4, "192.0.2.10/24").route(4, "default", "192.0.2.1"),
			[]string{"e1 online internet 192.0.2.10/24 via 192.0.2.1"},
		},
		{
			"a multipath default is one domain for each interface",
			new(kernel).link(2, "e1").addr(2, "192.0.2.10/24").link(3, "e2").addr(3, "198.51.100.10/24").
				route(2, "default", "192.0.2.1").route(3, "default", "198.51.100.1"),
			[]string{"e1 online internet 192.0.2.10/24 via 192.0.2.1", "e2 online internet 198.51.100.10/24 via 198.51.100.1"},
		},
		{
			"several next hops, each once, best metric first",
			new(kernel).link(2, "e1").addr(2, "192.0.2.10/24").route(2, "default", "192.0.2.1", metric(10)).
				route(2, "default", "192.0.2.2", metric(20)).route(2, "default", "192.0.2.1", metric(30)),
			[]string{"e1 online internet 192.0.2.10/24 via 192.0.2.1 via 192.0.2.2"},
		},
		{
			"a point-to-point link needs no next hop",
			new(kernel).link(5, "ppp0", "p2p").addr(5, "203.0.113.5/32").route(5, "default", ""),
			[]string{"ppp0 online internet 203.0.113.5/32 via link"},
		},
		{
			"a VPN that routes everything into it by halves",
			new(kernel).link(5, "tun0", "p2p").addr(5, "10.8.0.2/24").route(5, "0.0.0.0/1", "10.8.0.1").route(5, "128.0.0.0/1", "10.8.0.1"),
			[]string{"tun0 online internet 10.8.0.2/24 via 10.8.0.1 overrides"},
		},
		{
			"halves of both families without gateway",
			new(kernel).link(5, "tun0", "p2p").addr(5, "10.8.0.2/24").addr(5, "fd08::2/64").route(5, "0.0.0.0/1", "").route(5, "128.0.0.0/1", "").
				route(5, "::/1", "").route(5, "8000::/1", ""),
			[]string{"tun0 online internet 10.8.0.2/24 fd08::2/64 via link overrides via link6 overrides"},
		},
		{
			"one half is a route, not a default",
			new(kernel).link(5, "tun0", "p2p").addr(5, "10.8.0.2/24").addr(5, "fd08::2/64").route(5, "0.0.0.0/1", "").route(5, "8000::/1", ""),
			[]string{"tun0 online 10.8.0.2/24 fd08::2/64 route 0.0.0.0/1 route 8000::/1"},
		},
		{
			"a VPN without default leads to its routes only",
			new(kernel).link(5, "wg0", "p2p").addr(5, "10.8.0.2/24").route(5, "10.8.0.0/24", "", protocol(2)).route(5, "10.20.0.0/16", ""),
			[]string{"wg0 online 10.8.0.2/24 route 10.20.0.0/16"},
		},
		{
			"a point-to-point link with nothing but its own prefix",
			new(kernel).link(5, "wg0", "p2p").addr(5, "10.8.0.2/24").route(5, "10.8.0.0/24", "", protocol(2)), nil,
		},
		{
			"routes beside the default belong to the domain",
			new(kernel).link(2, "e1").addr(2, "192.0.2.10/24").route(2, "default", "192.0.2.1", protocol(16)).
				route(2, "10.9.0.0/16", "192.0.2.9", protocol(16)).route(2, "10.9.0.0/16", "192.0.2.8", metric(50)).
				route(2, "192.0.2.0/24", "", protocol(2)).route(2, "fe80::/64", "", protocol(2)).route(2, "ff00::/8", ""),
			[]string{"e1 online internet 192.0.2.10/24 via 192.0.2.1 dhcp4 route 10.9.0.0/16"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := lines(NewBuilder(usual()).Build(tt.state.State, Inputs{}))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("domains (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFlagsOfAddressesAreCarried(t *testing.T) {
	k := plain().addr(2, "2001:db8:1::abcd/64", "temporary").addr(2, "2001:db8:2::1/64", "deprecated")
	d := NewBuilder(usual()).Build(k.State, Inputs{}).ByName("eth0")
	want := []Address{
		{Prefix: netip.MustParsePrefix("2001:db8:1::abcd/64"), Temporary: true, Valid: -1, Preferred: -1, Origin: FromKernel},
		{Prefix: netip.MustParsePrefix("2001:db8:2::1/64"), Deprecated: true, Valid: -1, Preferred: -1, Origin: FromKernel},
	}
	if diff := cmp.Diff(want, d.Addresses[2:], cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

func TestRoutesAreBounded(t *testing.T) {
	k := new(kernel).link(2, "e1").addr(2, "192.0.2.10/24")
	for i := range maxRoutes + 100 {
		k.route(2, fmt.Sprintf("10.%d.%d.0/24", i/256, i%256), "192.0.2.1")
	}
	k.route(2, "default", "192.0.2.1")
	d := NewBuilder(usual()).Build(k.State, Inputs{}).ByName("e1")
	if len(d.Routes) != maxRoutes || len(d.NextHops) != 1 {
		t.Errorf("%d routes and %d next hops: the bound is %d, and the default is kept whatever else there is", len(d.Routes), len(d.NextHops), maxRoutes)
	}
}

func TestNothingChangedIsTheSamePointer(t *testing.T) {
	b := NewBuilder(usual())
	k := plain().link(3, "e2").addr(3, "198.51.100.2/24").route(3, "default", "198.51.100.1")
	one := b.Build(k.State, Inputs{})
	k.addr(3, "198.51.100.3/24")
	two := b.Build(k.State, Inputs{})
	if one.ByName("eth0") != two.ByName("eth0") {
		t.Error("eth0 did not change and is another pointer: consumers cannot skip it")
	}
	if one.ByName("e2") == two.ByName("e2") || one.ByName("e2").Key() != two.ByName("e2").Key() {
		t.Error("e2 has another address: it must be another value of the same instance")
	}
}

// TestWithoutASlotADomainIsLeftOut: two domains must never share a table.
func TestWithoutASlotADomainIsLeftOut(t *testing.T) {
	k := new(kernel)
	for i := range MaxDomains + 5 {
		k.link(i+2, fmt.Sprintf("e%d", i)).addr(i+2, fmt.Sprintf("10.%d.%d.2/24", i/256, i%256)).
			route(i+2, "default", fmt.Sprintf("10.%d.%d.1", i/256, i%256))
	}
	b := NewBuilder(usual())
	slots := make(map[uint16]bool)
	set := b.Build(k.State, Inputs{})
	for _, d := range set.All() {
		slots[d.Slot] = true
	}
	if len(set.All()) != MaxDomains || len(slots) != MaxDomains {
		t.Fatalf("%d domains with %d slots, want %d of each", len(set.All()), len(slots), MaxDomains)
	}
	b.Build(plain().State, Inputs{})
}

// TestOnLinkRoutesThatNoAddressMadeAreARouters is about prefixes that a router
// says are on the link: the host has not set them, so they must not steer as its
// own routes do.
func TestOnLinkRoutesThatNoAddressMadeAreARouters(t *testing.T) {
	st := plain().
		route(2, "2001:db8:1::/64", "", protocol(2)).       // of the address
		route(2, "2001:db8:2::/96", "", protocol(2)).       // of a router
		route(2, "2001:db8:3::/64", "", protocol(3)).       // set by hand
		route(2, "2001:db8:4::/64", "fe80::1", protocol(2)) // by a next hop
	got := map[string]Origin{}
	for _, r := range NewBuilder(Discovery{}).Build(st.State, Inputs{}).ByName("eth0").Routes {
		got[r.Dst.String()] = r.Origin
	}
	want := map[string]Origin{"2001:db8:2::/96": FromRA, "2001:db8:3::/64": FromKernel, "2001:db8:4::/64": FromKernel}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
