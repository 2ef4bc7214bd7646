package uplinks

import (
	"net/netip"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mifvif/netwatch"
	"mifvif/pvd"
)

var byValue = cmp.Options{cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}), cmpopts.EquateEmpty()}

func addresses(prefixes ...string) []pvd.Address {
	var out []pvd.Address
	for _, p := range prefixes {
		out = append(out, pvd.Address{Prefix: netip.MustParsePrefix(p)})
	}
	return out
}

func advert(prefix, router string) pvd.Advert {
	return pvd.Advert{Prefix: netip.MustParsePrefix(prefix), Router: netip.MustParseAddr(router)}
}

func onLink(ifindex int, dst, src string) netwatch.Route {
	r := netwatch.Route{Table: mainTable, Dst: netip.MustParsePrefix(dst), Ifindex: ifindex, Protocol: protoKernel}
	if src != "" {
		r.Source = netip.MustParseAddr(src)
	}
	return r
}

func TestTableHoldsWhatTheDomainHas(t *testing.T) {
	refusals := []string{"unreachable 0.0.0.0/0 1073741824", "unreachable ::/0 1073741824"}
	hop := func(a string, is6 bool) pvd.NextHop {
		h := pvd.NextHop{Is6: is6}
		if a != "" {
			h.Addr = netip.MustParseAddr(a)
		}
		return h
	}
	cases := []struct {
		name   string
		domain pvd.Domain
		main   []netwatch.Route
		want   []string
	}{
		{
			"Ethernet",
			pvd.Domain{
				Addresses: addresses("192.0.2.2/24", "2001:db8::2/64"),
				NextHops:  []pvd.NextHop{hop("192.0.2.1", false), hop("192.0.2.9", false), hop("fe80::1", true)},
				Routes:    []pvd.Route{{Dst: netip.MustParsePrefix("10.0.0.0/8"), Via: netip.MustParseAddr("192.0.2.3")}},
			},
			[]netwatch.Route{onLink(2, "192.0.2.0/24", "192.0.2.2"), onLink(2, "2001:db8::/64", ""), onLink(3, "198.51.100.0/24", "")},
			[]string{
				"192.0.2.0/24 src 192.0.2.2 1", "2001:db8::/64 1", "fe80::/64 1", "10.0.0.0/8 via 192.0.2.3 100",
				"0.0.0.0/0 via 192.0.2.1 src 192.0.2.2 100", "0.0.0.0/0 via 192.0.2.9 src 192.0.2.2 101", "::/0 via fe80::1 src 2001:db8::2 102",
			},
		},
		{
			"metrics of the route",
			pvd.Domain{
				Addresses: addresses("192.0.2.2/24"),
				NextHops:  []pvd.NextHop{{Addr: netip.MustParseAddr("192.0.2.1"), Path: netwatch.PathMetrics{Congestion: "bbr"}}},
			},
			[]netwatch.Route{onLink(2, "192.0.2.0/24", "")},
			[]string{"192.0.2.0/24 1", "0.0.0.0/0 via 192.0.2.1 src 192.0.2.2 congctl bbr 100"},
		},
		{
			"gateway outside the prefix, neighbours through the router",
			pvd.Domain{
				Addresses: addresses("192.0.2.2/32", "2001:db8::2/64"),
				NextHops:  []pvd.NextHop{hop("10.0.0.1", false), hop("2001:db8:f::1", true)},
			},
			nil,
			[]string{"fe80::/64 1", "0.0.0.0/0 via 10.0.0.1 onlink src 192.0.2.2 100", "::/0 via 2001:db8:f::1 onlink src 2001:db8::2 101"},
		},
		{
			"point-to-point",
			pvd.Domain{P2P: true, Addresses: addresses("10.0.0.2/32")},
			[]netwatch.Route{onLink(2, "10.0.0.1/32", "10.0.0.2")},
			[]string{"10.0.0.1/32 src 10.0.0.2 1", "0.0.0.0/0 src 10.0.0.2 100"},
		},
		{
			"point-to-point with the kernel's own default route",
			pvd.Domain{P2P: true, Addresses: addresses("10.0.0.2/32", "2001:db8::2/128"), NextHops: []pvd.NextHop{hop("", true)}},
			nil,
			[]string{"fe80::/64 1", "::/0 src 2001:db8::2 100", "0.0.0.0/0 src 10.0.0.2 101"},
		},
		{
			"temporary addresses: the kernel chooses",
			pvd.Domain{
				Addresses: append(addresses("2001:db8::2/64"), pvd.Address{Prefix: netip.MustParsePrefix("2001:db8::7777/64"), Temporary: true}),
				NextHops:  []pvd.NextHop{hop("fe80::1", true)},
			},
			nil,
			[]string{"fe80::/64 1", "::/0 via fe80::1 100"},
		},
		{
			"a /31 and the kernel's route to an own /128",
			pvd.Domain{Addresses: addresses("192.0.2.0/31", "2001:db8::5/128")},
			[]netwatch.Route{onLink(2, "192.0.2.0/31", "192.0.2.0"), onLink(2, "2001:db8::5/128", "")},
			[]string{"192.0.2.0/31 src 192.0.2.0 1", "fe80::/64 1"},
		},
		{
			"offline for want of a next hop",
			pvd.Domain{State: pvd.Offline, Addresses: addresses("192.0.2.2/24")},
			[]netwatch.Route{onLink(2, "192.0.2.0/24", "192.0.2.2")},
			[]string{"192.0.2.0/24 src 192.0.2.2 1"},
		},
		{
			"a prefix of another domain of the link",
			pvd.Domain{Addresses: addresses("2001:db8:a::2/64")},
			[]netwatch.Route{onLink(2, "2001:db8:a::/64", ""), onLink(2, "2001:db8:b::/64", "")},
			[]string{"2001:db8:a::/64 1", "fe80::/64 1"},
		},
		{
			"a prefix that only a PvD option says is on the link",
			pvd.Domain{
				Addresses: addresses("2001:db8:a::2/64"),
				Adverts: []pvd.Advert{
					{Prefix: netip.MustParsePrefix("2001:db8:a::/64"), OnLink: true}, {Prefix: netip.MustParsePrefix("2001:db8:c::/64")},
				},
			},
			nil,
			[]string{"2001:db8:a::/64 1", "fe80::/64 1"},
		},
		{
			"two routers with a prefix each, destinations and a guest of theirs",
			pvd.Domain{
				Addresses: append(addresses("2001:db8:a::2/64", "2001:db8:b::2/64"), pvd.Address{Prefix: netip.MustParsePrefix("2001:db8:b::77/64"), Temporary: true}),
				NextHops:  []pvd.NextHop{hop("fe80::b", true), hop("fe80::a", true)},
				Adverts:   []pvd.Advert{advert("2001:db8:a::/64", "fe80::a"), advert("2001:db8:b::/64", "fe80::b")},
				Routes: []pvd.Route{
					{Dst: netip.MustParsePrefix("2001:db8:aa::/48"), Via: netip.MustParseAddr("fe80::a")},
					{Dst: netip.MustParsePrefix("fd00:1::/64"), Via: netip.MustParseAddr("fe80::7")}, // of no default router
				},
			},
			nil,
			[]string{
				"fe80::/64 1",
				"2001:db8:aa::/48 via fe80::a 100", "2001:db8:aa::/48 from 2001:db8:a::/64 via fe80::a 100", "2001:db8:aa::/48 from 2001:db8:b::/64 via fe80::b 100",
				"fd00:1::/64 via fe80::7 100",
				"::/0 via fe80::b src 2001:db8:b::77 100", "::/0 from 2001:db8:b::/64 via fe80::b 100",
				"::/0 via fe80::a src 2001:db8:a::2 101", "::/0 from 2001:db8:a::/64 via fe80::a 101",
			},
		},
		{
			"two routers with one prefix",
			pvd.Domain{
				Addresses: addresses("2001:db8:a::2/64"), NextHops: []pvd.NextHop{hop("fe80::b", true), hop("fe80::a", true)},
				Adverts: []pvd.Advert{advert("2001:db8:a::/64", "fe80::a"), advert("2001:db8:a::/64", "fe80::b")},
			},
			nil,
			[]string{"fe80::/64 1", "::/0 via fe80::b src 2001:db8:a::2 100", "::/0 via fe80::a src 2001:db8:a::2 101"},
		},
		{
			"a preferred router that has not advertised the prefix, and an address of nobody's",
			pvd.Domain{
				Addresses: addresses("2001:db8:a::2/64", "2001:db8:c::2/64"), NextHops: []pvd.NextHop{hop("fe80::b", true), hop("fe80::a", true)},
				Adverts: []pvd.Advert{advert("2001:db8:a::/64", "fe80::a")},
			},
			nil,
			[]string{
				"fe80::/64 1", "::/0 via fe80::b 100",
				"::/0 via fe80::a src 2001:db8:a::2 101", "::/0 from 2001:db8:a::/64 via fe80::a 101",
			},
		},
		{
			"a shorter prefix of the other router",
			pvd.Domain{
				Addresses: addresses("2001:db8:a::2/64", "2001:db8:b::2/64"), NextHops: []pvd.NextHop{hop("fe80::b", true), hop("fe80::a", true)},
				Adverts: []pvd.Advert{advert("2001:db8::/32", "fe80::b"), advert("2001:db8:a::/64", "fe80::a")},
			},
			nil,
			[]string{
				"fe80::/64 1",
				"::/0 via fe80::b src 2001:db8:a::2 100", "::/0 from 2001:db8:a::/64 via fe80::b 100", "::/0 from 2001:db8::/32 via fe80::b 100",
				"::/0 via fe80::a src 2001:db8:a::2 101", "::/0 from 2001:db8:a::/64 via fe80::a 101",
			},
		},
		{"gone", pvd.Domain{State: pvd.Offline}, nil, nil},
	}
	neighbour := &pvd.Domain{ // of the same link
		Name: "neighbour", Ifindex: 2, Slot: 6,
		Adverts: []pvd.Advert{{Prefix: netip.MustParsePrefix("2001:db8:b::/64"), OnLink: true}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.domain.Ifindex, c.domain.Slot = 2, 5
			var got []string
			for _, r := range tableOf(&c.domain, pvd.NewSet([]*pvd.Domain{&c.domain, neighbour}), netwatch.State{Routes: c.main}) {
				if r.Table != pvd.FirstTable+5 {
					t.Errorf("%s is in table %d", r, r.Table)
				}
				if r.Type == netwatch.Unicast && r.Ifindex != 2 {
					t.Errorf("%s leaves by %d", r, r.Ifindex)
				}
				got = append(got, words(r))
			}
			if diff := cmp.Diff(append(c.want, refusals...), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// words prints a route as the tests above want it.
func words(r netwatch.Route) string {
	var s string
	if r.Type == netwatch.Unreachable {
		s = "unreachable "
	}
	s += r.Dst.String()
	if r.From.IsValid() {
		s += " from " + r.From.String()
	}
	if r.Gateway.IsValid() {
		s += " via " + r.Gateway.String()
	}
	if r.OnLink {
		s += " onlink"
	}
	if r.Source.IsValid() {
		s += " src " + r.Source.String()
	}
	if r.Path.Congestion != "" {
		s += " congctl " + r.Path.Congestion
	}
	return s + " " + strconv.Itoa(r.Metric)
}

func TestLocalTableHoldsTheHostsOwnNetworks(t *testing.T) {
	links := []netwatch.Link{
		{Index: 1, Name: "lo", Loopback: true, Up: true},
		{Index: 2, Name: "e1", Up: true},
		{Index: 3, Name: "docker0", Up: true},
		{Index: 4, Name: "mif0", Up: true},
		{Index: 5, Name: "e2", Up: true},
		{Index: 6, Name: "off", Up: false},
	}
	main := func(ifindex int, dst string) netwatch.Route {
		return netwatch.Route{Table: mainTable, Dst: netip.MustParsePrefix(dst), Ifindex: ifindex, Metric: 7, Protocol: 4}
	}
	dead := main(3, "172.18.0.0/16")
	dead.LinkDown = true
	st := netwatch.State{Links: links, Routes: []netwatch.Route{
		main(2, "192.0.2.0/24"), main(3, "172.17.0.0/16"), main(3, "0.0.0.0/0"), main(3, "128.0.0.0/1"), main(3, "2000::/3"),
		main(3, "fe80::/64"), main(3, "ff00::/8"), main(4, "198.18.0.0/15"), main(5, "198.51.100.0/24"), main(6, "10.6.0.0/16"), dead,
		{Table: 64200, Dst: netip.MustParsePrefix("10.9.0.0/16"), Ifindex: 3},
	}}
	set := pvd.NewSet([]*pvd.Domain{
		{Name: "e1", Interface: "e1", Ifindex: 2, State: pvd.Online},
		{Name: "e2", Interface: "e2", Ifindex: 5, State: pvd.Offline, Slot: 1}, // has lost its router: a LAN like any other
	})
	var got []string
	for _, r := range localRoutes(set, st) {
		got = append(got, r.Dst.String())
	}
	want := []string{"172.17.0.0/16", "198.18.0.0/15", "198.51.100.0/24"}
	if diff := cmp.Diff(want, got, byValue); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestRoutesBySourceAreBounded has routers announce more destinations than a table
// gets for each source.
func TestRoutesBySourceAreBounded(t *testing.T) {
	d := &pvd.Domain{Ifindex: 2}
	for i := range 16 {
		router, p := netip.AddrFrom16([16]byte{0xfe, 0x80, 15: byte(i + 1)}), netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 5: byte(i)}), 64)
		d.NextHops = append(d.NextHops, pvd.NextHop{Is6: true, Addr: router})
		d.Adverts = append(d.Adverts, pvd.Advert{Prefix: p, Router: router})
		d.Addresses = append(d.Addresses, pvd.Address{Prefix: netip.PrefixFrom(p.Addr().Next(), 64)})
		for j := range 64 {
			d.Routes = append(d.Routes, pvd.Route{Dst: netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xe, byte(i), byte(j)}), 48), Via: router})
		}
	}
	routes := tableOf(d, pvd.NewSet([]*pvd.Domain{d}), netwatch.State{})
	defaults := 0
	for _, r := range routes {
		if r.Dst == netwatch.AnyPrefix(true) && r.From.IsValid() {
			defaults++
		}
	}
	if len(routes) > maxSourced+100 || defaults != 16 {
		t.Errorf("%d routes, %d of them for 16 sources' way out", len(routes), defaults)
	}
}
