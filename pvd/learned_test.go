package pvd

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ra is a router advertisement of link 2 that is good for half an hour, in words:
// via SENDER, pio PREFIX, dns ADDRESS, rio PREFIX, id NAME, and the flags H L M O,
// high, low, gone (lifetime zero).
func ra(words ...string) Report {
	now := time.Now()
	r := Report{Origin: FromRA, Ifindex: 2, Sender: netip.MustParseAddr("fe80::1"), Received: now, RA: &Advertisement{Lifetime: 30 * time.Minute}}
	until := now.Add(time.Hour)
	for i := 0; i < len(words); i++ {
		arg := func() string { i++; return words[i] }
		switch words[i] {
		case "via":
			r.Sender = netip.MustParseAddr(arg())
		case "id":
			r.ID = arg()
		case "on":
			fmt.Sscan(arg(), &r.Ifindex)
		case "pio":
			r.Adverts = append(r.Adverts, Advert{Prefix: netip.MustParsePrefix(arg()), OnLink: true, Auto: true, Until: until})
		case "dns":
			r.Resolvers = append(r.Resolvers, Resolver{Addr: netip.AddrPortFrom(netip.MustParseAddr(arg()), 53), Origin: FromRA, Until: until})
		case "brief":
			r.Resolvers[len(r.Resolvers)-1].Until = now.Add(10 * time.Second)
		case "over":
			r.Resolvers[len(r.Resolvers)-1].Until = now
		case "rio":
			r.Routes = append(r.Routes, Route{Dst: netip.MustParsePrefix(arg()), Via: r.Sender, Origin: FromRA, Until: until})
		case "H":
			r.RA.HTTP = true
		case "L":
			r.RA.Legacy = true
		case "M":
			r.RA.Managed = true
		case "O":
			r.RA.Other = true
		case "high":
			r.RA.Preference = High
		case "low":
			r.RA.Preference = Low
		case "gone":
			r.RA.Lifetime = 0
		}
	}
	return r
}

// dhcp is an answer of a DHCP server of link 2 with one resolver.
func dhcp(from Origin, server, dns string) Report {
	return Report{
		Origin: from, Ifindex: 2, Sender: netip.MustParseAddr(server), Received: time.Now(),
		Resolvers: []Resolver{{Addr: netip.AddrPortFrom(netip.MustParseAddr(dns), 53), Origin: from}},
	}
}

// managed is what a manager of the host has link 2 use.
func managed(servers ...string) Report {
	r := Report{Origin: FromManager, Ifindex: 2, Received: time.Now()}
	for _, s := range servers {
		r.Resolvers = append(r.Resolvers, Resolver{Addr: netip.AddrPortFrom(netip.MustParseAddr(s), 53), Origin: FromManager})
	}
	return r
}

// routed is an answer of a DHCPv4 server of link 2 with default routers.
func routed(hops ...string) Report {
	r := Report{Origin: FromDHCPv4, Ifindex: 2, Sender: netip.MustParseAddr("192.0.2.1"), Received: time.Now()}
	for _, h := range hops {
		r.NextHops = append(r.NextHops, NextHop{Addr: netip.MustParseAddr(h), Origin: FromDHCPv4})
	}
	return r
}

// twoRouters is a link with a prefix of each of two routers, as the kernel sees it.
func twoRouters() *kernel {
	return new(kernel).link(2, "eth0").addr(2, "fe80::10/64", "host").
		addr(2, "2001:db8:a::10/64").addr(2, "2001:db8:b::10/64").
		route(2, "default6", "fe80::a", protocol(9), metric(1024)).route(2, "default6", "fe80::b", protocol(9), metric(1024))
}

func TestWhatNetworksSayMakesDomains(t *testing.T) {
	v6 := "2001:db8:1::10/64"
	for _, tt := range []struct {
		name  string
		state *kernel
		said  []Report
		want  []string
	}{
		{
			"a router of an ordinary dual-stack link", plain(),
			[]Report{ra("pio", "2001:db8:1::/64", "dns", "2001:db8:1::53")},
			[]string{"eth0 online internet 192.0.2.10/24 " + v6 + " via 192.0.2.1 via fe80::1 ra dns 2001:db8:1::53"},
		},
		{
			"an explicit domain that IPv4 belongs to is all there is", plain(),
			[]Report{ra("id", "isp.example", "L", "pio", "2001:db8:1::/64"), dhcp(FromDHCPv4, "192.0.2.1", "192.0.2.53")},
			[]string{"isp.example online internet 192.0.2.10/24 " + v6 + " via 192.0.2.1 via fe80::1 ra dns 192.0.2.53"},
		},
		{
			"without the L flag IPv4 stays implicit", plain(),
			[]Report{ra("id", "isp.example", "pio", "2001:db8:1::/64"), dhcp(FromDHCPv4, "192.0.2.1", "192.0.2.53")},
			[]string{
				"eth0 online internet 192.0.2.10/24 via 192.0.2.1 dns 192.0.2.53",
				"isp.example online internet " + v6 + " via fe80::1 ra",
			},
		},
		{
			"an L flag that two claim is nobody's", twoRouters().addr(2, "192.0.2.10/24").route(2, "default", "192.0.2.1"),
			[]Report{ra("via", "fe80::a", "id", "a.example", "L", "pio", "2001:db8:a::/64"), ra("via", "fe80::b", "id", "b.example", "L", "pio", "2001:db8:b::/64")},
			[]string{
				"a.example online internet 2001:db8:a::10/64 via fe80::a ra", "b.example online internet 2001:db8:b::10/64 via fe80::b ra",
				"eth0 online internet 192.0.2.10/24 via 192.0.2.1",
			},
		},
		{
			"a manager's resolver before the network's, each with its origin", plain(),
			[]Report{managed("192.0.2.99", "2001:db8:1::53"), ra("pio", "2001:db8:1::/64", "dns", "2001:db8:1::53"), dhcp(FromDHCPv4, "192.0.2.1", "192.0.2.53")},
			[]string{"eth0 online internet 192.0.2.10/24 2001:db8:1::10/64 via 192.0.2.1 via fe80::1 ra dns 192.0.2.99 dns 2001:db8:1::53 dns 192.0.2.53"},
		},
		{
			"a manager that does not tell the domains of a link apart", twoRouters().addr(2, "192.0.2.10/24").route(2, "default", "192.0.2.1"),
			[]Report{
				managed("192.0.2.99", "2001:db8:b::53"),
				ra("via", "fe80::a", "pio", "2001:db8:a::/64"), ra("via", "fe80::b", "pio", "2001:db8:b::/64", "dns", "2001:db8:b::53"),
			},
			[]string{
				"eth0 online internet 2001:db8:a::10/64 192.0.2.10/24 via 192.0.2.1 via fe80::a ra dns 192.0.2.99",
				"eth0@fe80::b online internet 2001:db8:b::10/64 via fe80::b ra dns 2001:db8:b::53",
			},
		},
		{
			"a single leased address whose router is on the link without saying so", new(kernel).link(2, "eth0").addr(2, "198.51.100.7/32"),
			[]Report{routed("10.128.0.1")},
			[]string{"eth0 online internet 198.51.100.7/32 via 10.128.0.1 dhcp4"},
		},
		{
			"a router outside the prefix beside one inside", new(kernel).link(2, "eth0").addr(2, "192.0.2.10/24"),
			[]Report{routed("10.128.0.1", "192.0.2.1")},
			[]string{"eth0 online internet 192.0.2.10/24 via 192.0.2.1 dhcp4"},
		},
		{
			"a router that the host itself is, and one where there is no address", new(kernel).link(2, "eth0").addr(2, "2001:db8:1::10/64").route(2, "default6", "fe80::1"),
			[]Report{routed("192.0.2.1")},
			[]string{"eth0 online internet 2001:db8:1::10/64 via fe80::1"},
		},
		{
			"two implicit routers with a prefix each are two domains", twoRouters(),
			[]Report{ra("via", "fe80::a", "pio", "2001:db8:a::/64", "dns", "2001:db8:a::53"), ra("via", "fe80::b", "pio", "2001:db8:b::/64", "dns", "2001:db8:b::53")},
			[]string{
				"eth0 online internet 2001:db8:a::10/64 via fe80::a ra dns 2001:db8:a::53",
				"eth0@fe80::b online internet 2001:db8:b::10/64 via fe80::b ra dns 2001:db8:b::53",
			},
		},
		{
			"two routers of one prefix are two ways out of one domain, the preferred one first", twoRouters(),
			[]Report{ra("via", "fe80::a", "pio", "2001:db8:a::/64"), ra("via", "fe80::b", "pio", "2001:db8:a::/64", "high")},
			[]string{"eth0 online internet 2001:db8:a::10/64 2001:db8:b::10/64 via fe80::b ra via fe80::a ra"},
		},
		{
			"two routers of one explicit domain", twoRouters(),
			[]Report{ra("via", "fe80::a", "id", "a.example", "pio", "2001:db8:a::/64"), ra("via", "fe80::b", "id", "a.example", "pio", "2001:db8:b::/64")},
			[]string{"a.example online internet 2001:db8:a::10/64 2001:db8:b::10/64 via fe80::a ra via fe80::b ra"},
		},
		{
			"one router that speaks of an explicit domain and for itself", twoRouters(),
			[]Report{ra("via", "fe80::a", "id", "a.example", "pio", "2001:db8:a::/64"), ra("via", "fe80::a", "pio", "2001:db8:b::/64")},
			[]string{"a.example online internet 2001:db8:a::10/64 via fe80::a ra", "eth0 online internet 2001:db8:b::10/64 via fe80::a ra via fe80::b ra"},
		},
		{
			"an advertisement without the option takes back what it names and no more", twoRouters(),
			[]Report{
				ra("via", "fe80::a", "id", "a.example", "pio", "2001:db8:a::/64", "dns", "2001:db8:a::53", "pio", "2001:db8:b::/64"),
				ra("via", "fe80::a", "pio", "2001:db8:b::/64"),
			},
			[]string{"a.example online internet 2001:db8:a::10/64 via fe80::a ra dns 2001:db8:a::53", "eth0 online internet 2001:db8:b::10/64 via fe80::a ra via fe80::b ra"},
		},
		{
			"DHCPv6 speaks of the domains whose routers send there", twoRouters(),
			[]Report{
				ra("via", "fe80::a", "pio", "2001:db8:a::/64", "O"), ra("via", "fe80::b", "pio", "2001:db8:b::/64"), dhcp(FromDHCPv6, "fe80::5", "2001:db8:a::5"),
			},
			[]string{"eth0 online internet 2001:db8:a::10/64 via fe80::a ra dns 2001:db8:a::5", "eth0@fe80::b online internet 2001:db8:b::10/64 via fe80::b ra"},
		},
		{
			"no gap is filled: the second router's network has no resolver", twoRouters(),
			[]Report{ra("via", "fe80::a", "pio", "2001:db8:a::/64"), ra("via", "fe80::b", "id", "b.example", "pio", "2001:db8:b::/64", "dns", "2001:db8:b::53")},
			[]string{"b.example online internet 2001:db8:b::10/64 via fe80::b ra dns 2001:db8:b::53", "eth0 online internet 2001:db8:a::10/64 via fe80::a ra"},
		},
		{
			"the kernel knows no default route: the header stood inside the option", new(kernel).link(2, "eth0").addr(2, v6),
			[]Report{ra("id", "isp.example", "pio", "2001:db8:1::/64", "rio", "2001:db8:9::/48")},
			[]string{"isp.example online internet " + v6 + " via fe80::1 ra route 2001:db8:9::/48"},
		},
		{
			"a router that is none any more", plain(),
			[]Report{ra("pio", "2001:db8:1::/64"), ra("gone")},
			[]string{"eth0 online internet 192.0.2.10/24 via 192.0.2.1"},
		},
		{
			"a default route (RIO) outlives the header", plain(),
			[]Report{ra("pio", "2001:db8:1::/64"), ra("gone", "rio", "::/0")},
			[]string{"eth0 online internet 192.0.2.10/24 " + v6 + " via 192.0.2.1 via fe80::1 ra"},
		},
		{
			"a server taken back", plain(),
			[]Report{ra("pio", "2001:db8:1::/64", "dns", "2001:db8:1::53"), ra("dns", "2001:db8:1::53", "over")},
			[]string{"eth0 online internet 192.0.2.10/24 " + v6 + " via 192.0.2.1 via fe80::1 ra"},
		},
		{
			"a later DHCP answer replaces the earlier one, and comes before the routers'", plain(),
			[]Report{ra("pio", "2001:db8:1::/64", "dns", "2001:db8:1::53"), dhcp(FromDHCPv4, "192.0.2.1", "192.0.2.53"), dhcp(FromDHCPv4, "192.0.2.1", "192.0.2.54")},
			[]string{"eth0 online internet 192.0.2.10/24 " + v6 + " via 192.0.2.1 via fe80::1 ra dns 192.0.2.54 dns 2001:db8:1::53"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := NewBuilder(usual())
			b.Build(new(kernel).link(2, "eth0").State, Inputs{})
			for _, r := range tt.said {
				if !b.Learn(r) {
					t.Fatalf("refused: %+v", r)
				}
			}
			if diff := cmp.Diff(tt.want, lines(b.Build(tt.state.State, Inputs{}))); diff != "" {
				t.Errorf("domains (-want +got):\n%s", diff)
			}
		})
	}
}

// TestANetworkThatBeginsToNameItselfKeepsItsFlows: the explicit domain is the
// instance that the implicit one was, and nothing stays behind.
func TestANetworkThatBeginsToNameItselfKeepsItsFlows(t *testing.T) {
	b := NewBuilder(usual())
	b.Learn(ra("pio", "2001:db8:1::/64", "dns", "2001:db8:1::53"))
	was := b.Build(plain().State, Inputs{}).ByName("eth0")
	b.Learn(ra("id", "isp.example", "L", "pio", "2001:db8:1::/64"))
	set := b.Build(plain().State, Inputs{})
	now := set.ByName("isp.example")
	if now == nil || now.Key() != was.Key() || len(set.All()) != 1 {
		t.Fatalf("%v, want isp.example alone, the instance that eth0 was", lines(set))
	}
	b.Learn(ra("pio", "2001:db8:1::/64"))
	set = b.Build(plain().State, Inputs{})
	if back := set.ByName("eth0"); back == nil || back.Key() != was.Key() {
		t.Errorf("%v, want the same instance as eth0 again", lines(set))
	}
}

func TestObjectsExpireOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBuilder(usual())
		b.Build(plain().State, Inputs{})
		b.Learn(ra("pio", "2001:db8:1::/64", "dns", "2001:db8:1::53", "brief", "dns", "2001:db8:1::54"))
		b.Build(plain().State, Inputs{})
		at, ok := b.Deadline()
		if !ok || time.Until(at) != 10*time.Second {
			t.Fatalf("deadline in %v, want in 10s: the first server's end", time.Until(at))
		}
		time.Sleep(10 * time.Second)
		want := []string{"eth0 online internet 192.0.2.10/24 2001:db8:1::10/64 via 192.0.2.1 via fe80::1 ra dns 2001:db8:1::54"}
		if diff := cmp.Diff(want, lines(b.Build(plain().State, Inputs{}))); diff != "" {
			t.Errorf("after 10 s (-want +got):\n%s", diff)
		}
		time.Sleep(2 * time.Hour)
		want = []string{"eth0 online internet 192.0.2.10/24 2001:db8:1::10/64 via 192.0.2.1 via fe80::1 ra"}
		if diff := cmp.Diff(want, lines(b.Build(plain().State, Inputs{}))); diff != "" {
			t.Errorf("after all (-want +got):\n%s", diff)
		}
	})
}

func TestALostLinkForgetsWhatItsNetworkSaid(t *testing.T) {
	b := NewBuilder(usual())
	b.Build(plain().State, Inputs{})
	b.Learn(ra("id", "isp.example", "L", "pio", "2001:db8:1::/64"))
	was := b.Build(plain().State, Inputs{}).ByName("isp.example")
	b.Build(new(kernel).link(2, "eth0", "nocarrier").State, Inputs{})
	b.Learn(ra("id", "isp.example", "L", "pio", "2001:db8:1::/64")) // heard before the kernel's state was read
	set := b.Build(new(kernel).link(2, "eth0", "nocarrier").State, Inputs{})
	if d := set.ByName("isp.example"); d == nil || d.State != Offline {
		t.Fatalf("while the link is lost: %v", lines(set))
	}
	set = b.Build(plain().State, Inputs{})
	if now := set.ByName("isp.example"); now == nil || now.State != Online || now.Key() == was.Key() || len(set.All()) != 1 {
		t.Errorf("back: %v, want isp.example online as another instance", lines(set))
	}
}

func TestTheSameIdOnTwoLinksIsTwoDomains(t *testing.T) {
	k := plain().link(3, "e2").addr(3, "2001:db8:2::10/64").route(3, "default6", "fe80::1", protocol(9))
	b := NewBuilder(usual())
	b.Build(k.State, Inputs{})
	b.Learn(ra("on", "3", "id", "isp.example", "pio", "2001:db8:2::/64"))
	b.Build(k.State, Inputs{})
	b.Learn(ra("id", "isp.example", "pio", "2001:db8:1::/64"))
	for range 2 {
		want := []string{
			"eth0 online internet 192.0.2.10/24 via 192.0.2.1",
			"isp.example online internet 2001:db8:2::10/64 via fe80::1 ra",
			"isp.example#2 online internet 2001:db8:1::10/64 via fe80::1 ra",
		}
		if diff := cmp.Diff(want, lines(b.Build(k.State, Inputs{}))); diff != "" {
			t.Errorf("domains (-want +got):\n%s", diff)
		}
	}
}

// TestAFloodIsBounded: a thousand routers with a hundred prefixes each make a few
// domains of their own link, and leave another link's alone (RFC 6418 6-2).
func TestAFloodIsBounded(t *testing.T) {
	k := twoRouters().link(3, "e2").addr(3, "2001:db8:2::10/64").route(3, "default6", "fe80::1", protocol(9))
	b := NewBuilder(usual())
	b.Build(k.State, Inputs{})
	b.Learn(ra("on", "2", "via", "fe80::a", "pio", "2001:db8:a::/64"))
	refused := 0
	for i := range 1000 {
		r := ra("via", fmt.Sprintf("fe80::1:%x", i), "id", fmt.Sprintf("n%d.example", i))
		for j := range 100 {
			r.Adverts = append(r.Adverts, Advert{Prefix: netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x:%x::/64", i+1, j)), Auto: true, Until: r.Received.Add(time.Hour)})
			r.Resolvers = append(r.Resolvers, Resolver{Addr: netip.MustParseAddrPort(fmt.Sprintf("[2001:db8:2::%x]:53", j))})
		}
		if !b.Learn(r) {
			refused++
		}
	}
	b.Learn(ra("on", "3", "pio", "2001:db8:2::/64", "dns", "2001:db8:2::53"))
	set := b.Build(k.State, Inputs{})
	if got := describe(set.ByName("e2")); got != "e2 online internet 2001:db8:2::10/64 via fe80::1 ra dns 2001:db8:2::53" {
		t.Errorf("the other link: %s", got)
	}
	if d := set.ByName("eth0"); d == nil || len(d.NextHops) == 0 || !d.Owns(netip.MustParseAddr("2001:db8:a::10")) {
		t.Errorf("the router that was there first: %s", describe(d))
	}
	for _, v := range b.ledger.on(2) {
		if len(v.said.Adverts) > maxAdverts || len(v.said.Resolvers) > maxServers {
			t.Fatalf("%s said %d prefixes and %d resolvers", v.sender, len(v.said.Adverts), len(v.said.Resolvers))
		}
	}
	if n := len(b.ledger.on(2)); n > maxVoices || uint64(refused) != b.Refused() || refused < 900 {
		t.Errorf("%d voices, %d refused, %d counted", n, refused, b.Refused())
	}
}

// TestAServersAnswersGoWhereItSaysThatTheyBelong has several servers on one link.
// What tells itself whose it is goes there, DHCPv6 of no router of the link to all
// that sent the host to DHCPv6 (RFC 8801 3.4.1), and of DHCPv4 servers that nothing
// tells apart one is believed.
func TestAServersAnswersGoWhereItSaysThatTheyBelong(t *testing.T) {
	discovery := usual()
	discovery.Declarations = []Declaration{{Name: "backup", Interface: "eth0", NextHops: []netip.Addr{netip.MustParseAddr("192.0.2.2")}}, {Name: "main", Interface: "eth0"}}
	k := twoRouters().addr(2, "192.0.2.10/24").route(2, "default", "192.0.2.1").route(2, "default", "192.0.2.2", metric(200))
	b := NewBuilder(discovery)
	b.Build(k.State, Inputs{})
	elsewhere := dhcp(FromDHCPv4, "192.0.2.5", "192.0.2.54")
	elsewhere.NextHops = routed("192.0.2.2").NextHops
	for _, r := range []Report{
		ra("via", "fe80::a", "pio", "2001:db8:a::/64", "O"), ra("via", "fe80::b", "pio", "2001:db8:b::/64", "O"),
		dhcp(FromDHCPv6, "fe80::b", "2001:db8:b::53"), dhcp(FromDHCPv6, "fe80::9", "2001:db8:9::53"),
		dhcp(FromDHCPv4, "192.0.2.1", "192.0.2.53"), dhcp(FromDHCPv4, "192.0.2.6", "192.0.2.56"), elsewhere,
	} {
		b.Learn(r)
	}
	want := []string{
		"backup online internet 192.0.2.10/24 via 192.0.2.2 config dns 192.0.2.54",
		"eth0@fe80::b online internet 2001:db8:b::10/64 via fe80::b ra dns 2001:db8:b::53 dns 2001:db8:9::53",
		"main online internet 2001:db8:a::10/64 192.0.2.10/24 via 192.0.2.1 via fe80::a ra dns 2001:db8:9::53 dns 192.0.2.53",
	}
	if diff := cmp.Diff(want, lines(b.Build(k.State, Inputs{}))); diff != "" {
		t.Errorf("domains (-want +got):\n%s", diff)
	}
}

func TestDeclarationsFindTheirDomainOnASharedLink(t *testing.T) {
	addr := netip.MustParseAddr
	discovery := usual()
	discovery.Declarations = []Declaration{
		{Name: "b", Interface: "eth0", NextHops: []netip.Addr{addr("fe80::b")}},
		{Name: "c.example", Interface: "eth0", Trusted: yes()},
		{Name: "backup", Interface: "eth0", NextHops: []netip.Addr{addr("192.0.2.2")}},
		{Name: "main", Interface: "eth0"},
	}
	k := twoRouters().addr(2, "192.0.2.10/24").addr(2, "2001:db8:c::10/64").route(2, "default", "192.0.2.1").route(2, "default", "192.0.2.2", metric(200))
	b := NewBuilder(discovery)
	b.Build(k.State, Inputs{})
	b.Learn(ra("via", "fe80::a", "pio", "2001:db8:a::/64"))
	b.Learn(ra("via", "fe80::b", "pio", "2001:db8:b::/64"))
	b.Learn(ra("via", "fe80::c", "id", "c.example", "pio", "2001:db8:c::/64"))
	for range 2 {
		set := b.Build(k.State, Inputs{})
		want := []string{
			"b online internet 2001:db8:b::10/64 via fe80::b ra",
			"backup online internet 192.0.2.10/24 via 192.0.2.2 config",
			"c.example online internet 2001:db8:c::10/64 via fe80::c ra",
			"main online internet 2001:db8:a::10/64 192.0.2.10/24 via 192.0.2.1 via fe80::a ra",
		}
		if diff := cmp.Diff(want, lines(set)); diff != "" {
			t.Errorf("domains (-want +got):\n%s", diff)
		}
		if set.ByName("c.example").Trust != Trusted {
			t.Error("c.example is trusted by the configuration")
		}
	}
}

// TestFlowsStayWhenARouterIsHeardAgain: after the link was down for a moment, what
// is on it is an implicit domain until the router has named it again. Its flows of
// that time are the named domain's then.
func TestFlowsStayWhenARouterIsHeardAgain(t *testing.T) {
	up := func() *kernel {
		return new(kernel).link(2, "eth0").addr(2, "2001:db8:a::10/64").route(2, "default6", "fe80::a", protocol(9))
	}
	says := func() Report { return ra("via", "fe80::a", "id", "isp.example", "pio", "2001:db8:a::/64") }
	b := NewBuilder(usual())
	b.Build(up().State, Inputs{})
	b.Learn(says())
	before := b.Build(up().State, Inputs{}).ByName("isp.example")
	b.Build(new(kernel).link(2, "eth0", "nocarrier").addr(2, "2001:db8:a::10/64").State, Inputs{})
	silent := b.Build(up().State, Inputs{}).ByName("eth0")
	if silent == nil || silent.State != Online || silent.Key() == before.Key() {
		t.Fatalf("before the router is heard: %s", describe(silent))
	}
	b.Learn(says())
	set := b.Build(up().State, Inputs{})
	if diff := cmp.Diff([]string{"isp.example online internet 2001:db8:a::10/64 via fe80::a ra"}, lines(set)); diff != "" {
		t.Fatalf("domains (-want +got):\n%s", diff)
	}
	if now := set.ByName("isp.example"); now.Key() != silent.Key() || now.Key() == before.Key() {
		t.Errorf("it is the instance %v, want that of the flows since the link is back, %v, not that of before, %v", now.Key(), silent.Key(), before.Key())
	}
}

// TestAddressesInsideTheOptionAreWanted: the kernel forms none there (RFC 8801
// 3.1), so the domain says which it needs, and is there when it has it.
func TestAddressesInsideTheOptionAreWanted(t *testing.T) {
	k := func() *kernel { return new(kernel).link(2, "eth0").addr(2, "fe80::1234:5678:9abc:def0/64", "host") }
	b := NewBuilder(usual())
	b.Build(k().State, Inputs{})
	nested := ra("id", "isp.example", "pio", "2001:db8:f00d::/64", "pio", "2001:db8:beef::/64")
	nested.RA.Nested.Prefixes = prefixes(t, "2001:db8:f00d::/64")
	b.Learn(nested)
	d := b.Build(k().State, Inputs{}).ByName("isp.example")
	if got := describe(d); got != "isp.example offline (its address is not there yet) internet via fe80::1 ra" {
		t.Fatal(got)
	}
	want := netip.MustParsePrefix("2001:db8:f00d::1234:5678:9abc:def0/64")
	if len(d.Wanted) != 1 || d.Wanted[0].Prefix != want || !d.Wanted[0].Valid.Equal(nested.Adverts[0].Until) {
		t.Fatalf("wanted %v, want %s only: the kernel sees the other prefix", d.Wanted, want)
	}
	d = b.Build(k().addr(2, want.String()).State, Inputs{}).ByName("isp.example")
	if got := describe(d); got != "isp.example online internet 2001:db8:f00d:0:1234:5678:9abc:def0/64 via fe80::1 ra" {
		t.Error(got)
	}
}

// TestARefreshedAdvertisementIsNoEvent: only its lifetimes are new.
func TestARefreshedAdvertisementIsNoEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBuilder(usual())
		b.Build(plain().State, Inputs{})
		say := func() *Set {
			b.Learn(ra("pio", "2001:db8:1::/64", "dns", "2001:db8:1::53", "rio", "2001:db8:9::/48"))
			return b.Build(plain().State, Inputs{})
		}
		one := say()
		time.Sleep(time.Minute)
		two := say()
		if !two.ByName("eth0").Resolvers[0].Until.After(one.ByName("eth0").Resolvers[0].Until) {
			t.Error("the new lifetime is not shown")
		}
		if events := Diff(one, two); len(events) != 0 {
			t.Errorf("%v, want no event", events)
		}
	})
}

// TestAnotherIdIsAnotherInstance: what is known of one explicit domain must not be
// taken for another's.
func TestAnotherIdIsAnotherInstance(t *testing.T) {
	b := NewBuilder(usual())
	b.Build(plain().State, Inputs{})
	b.Learn(ra("id", "one.example", "L", "pio", "2001:db8:1::/64"))
	one := b.Build(plain().State, Inputs{}).ByName("one.example")
	b.Learn(ra("id", "two.example", "L", "pio", "2001:db8:1::/64"))
	if two := b.Build(plain().State, Inputs{}).ByName("two.example"); two == nil || two.Key() == one.Key() {
		t.Errorf("%s has the key of %s", describe(two), describe(one))
	}
}
