package pvd

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func yes() *bool { b := true; return &b }
func no() *bool  { b := false; return &b }

func TestDeclarationsOverrideAndExtend(t *testing.T) {
	addr := netip.MustParseAddr
	wg := func() *kernel { return new(kernel).link(5, "wg0", "p2p").addr(5, "10.8.0.2/24").addr(5, "fd08::2/64") }
	for _, tt := range []struct {
		name  string
		decl  Declaration
		state *kernel
		want  string
	}{
		{
			"another name",
			Declaration{Name: "fiber", Interface: "eth0"},
			plain(),
			"fiber online internet 192.0.2.10/24 2001:db8:1::10/64 via 192.0.2.1 via fe80::1 ra",
		},
		{
			"without an interface the name is the interface",
			Declaration{Name: "eth0", Internet: no()},
			plain(),
			"eth0 online 192.0.2.10/24 2001:db8:1::10/64 via 192.0.2.1 via fe80::1 ra",
		},
		{
			"only some addresses",
			Declaration{Name: "fiber", Interface: "eth0", Addresses: []netip.Addr{addr("192.0.2.10")}},
			plain(),
			"fiber online internet 192.0.2.10/24 via 192.0.2.1 via fe80::1 ra",
		},
		{
			"an address that is not there",
			Declaration{Name: "fiber", Interface: "eth0", Addresses: []netip.Addr{addr("192.0.2.99")}},
			plain(),
			"fiber offline (none of its declared addresses is on the interface) internet via 192.0.2.1 via fe80::1 ra",
		},
		{
			"other next hops",
			Declaration{Name: "fiber", Interface: "eth0", NextHops: []netip.Addr{addr("192.0.2.7"), addr("192.0.2.8")}},
			plain(),
			"fiber online internet 192.0.2.10/24 2001:db8:1::10/64 via 192.0.2.7 config via 192.0.2.8 config",
		},
		{
			"resolvers",
			Declaration{Name: "fiber", Interface: "eth0", Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}},
			plain(),
			"fiber online internet 192.0.2.10/24 2001:db8:1::10/64 via 192.0.2.1 via fe80::1 ra dns 192.0.2.53",
		},
		{
			"an Ethernet without default route, declared",
			Declaration{Name: "lab", Interface: "e1"},
			new(kernel).link(2, "e1").addr(2, "10.1.0.2/24"), "lab online 10.1.0.2/24",
		},
		{
			"an ignored interface, declared",
			Declaration{Name: "lab", Interface: "docker0"},
			new(kernel).link(2, "docker0").addr(2, "172.17.0.1/16"), "lab online 172.17.0.1/16",
		},
		{"a VPN without routes, declared", Declaration{Name: "corp", Interface: "wg0"}, wg(), "corp online 10.8.0.2/24 fd08::2/64"},
		{
			"a VPN that leads to the Internet because we say so",
			Declaration{Name: "corp", Interface: "wg0", Internet: yes()},
			wg(),
			"corp online internet 10.8.0.2/24 fd08::2/64 via link config via link6 config",
		},
		{
			"a VPN with halves that is an uplink like others because we say so",
			Declaration{Name: "corp", Interface: "wg0", Internet: yes()},
			wg().route(5, "0.0.0.0/1", "").route(5, "128.0.0.0/1", ""),
			"corp online internet 10.8.0.2/24 fd08::2/64 via link via link6 config",
		},
		{
			"down",
			Declaration{Name: "fiber", Interface: "eth0", NextHops: []netip.Addr{addr("192.0.2.7")}},
			new(kernel).link(2, "eth0", "down"), "fiber offline (the link is down) internet via 192.0.2.7 config",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			discovery := usual()
			discovery.Declarations = []Declaration{tt.decl}
			set := NewBuilder(discovery).Build(tt.state.State, Inputs{})
			if diff := cmp.Diff([]string{tt.want}, lines(set)); diff != "" {
				t.Errorf("domains (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeclaredPropertiesAreCarried(t *testing.T) {
	discovery := usual()
	discovery.Declarations = []Declaration{{
		Name: "corp", Interface: "eth0", Prefixes: prefixes(t, "10.0.0.0/8"), Zones: []string{"corp.example.com"},
		Search: []string{"corp.example.com"}, Trusted: yes(), Metered: true, Weight: 3,
	}}
	d := NewBuilder(discovery).Build(plain().State, Inputs{}).ByName("corp")
	if len(d.Prefixes) != 1 || d.Zones[0].Name != "corp.example.com" || d.Search[0].Name != "corp.example.com" || d.Trust != Trusted || !d.Metered || d.Weight != 3 {
		t.Errorf("%+v does not say what was declared", d)
	}
}

// TestAnotherNameIsTheSameInstance: a reload that only names a domain must not
// end its flows.
func TestAnotherNameIsTheSameInstance(t *testing.T) {
	b := NewBuilder(usual())
	was := b.Build(plain().State, Inputs{}).ByName("eth0")
	discovery := usual()
	discovery.Declarations = []Declaration{{Name: "fiber", Interface: "eth0"}}
	b.Configure(discovery)
	set := b.Build(plain().State, Inputs{})
	if now := set.ByName("fiber"); now == nil || now.Key() != was.Key() || len(set.All()) != 1 {
		t.Errorf("after the reload: %v", lines(set))
	}
}

func TestNamesAreUnique(t *testing.T) {
	discovery := usual()
	discovery.Declarations = []Declaration{{Name: "eth1", Interface: "eth0"}, {Name: "spare", Interface: "eth0"}}
	k := plain().link(3, "eth1").addr(3, "198.51.100.2/24").route(3, "default", "198.51.100.1")
	b := NewBuilder(discovery)
	want := []string{
		"eth1 online internet 192.0.2.10/24 2001:db8:1::10/64 via 192.0.2.1 via fe80::1 ra",
		"eth1#3 online internet 198.51.100.2/24 via 198.51.100.1",
		"spare offline (its interface is another domain's)",
	}
	for range 2 {
		if diff := cmp.Diff(want, lines(b.Build(k.State, Inputs{}))); diff != "" {
			t.Errorf("domains (-want +got):\n%s", diff)
		}
	}
}
