package netwatch_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mifvif/lab"
	"mifvif/netwatch"
)

// TestRoutesAreReadAsALibraryReadsThem has many routes of every kind in the kernel.
func TestRoutesAreReadAsALibraryReadsThem(t *testing.T) {
	n := newNode(t)
	e1, e2 := index(t, n, "e1"), index(t, n, "e2")
	must(t, n.AddAddress("e1", prefix("192.0.2.2/24"), prefix("2001:db8:1::2/64")))
	must(t, n.AddAddress("e2", prefix("198.51.100.2/24"), prefix("2001:db8:2::2/64")))
	settle(t, n)
	for i := range 300 { // more than one piece of a dump
		must(t, n.AddRoute(lab.Route{To: prefix(fmt.Sprintf("2001:db8:77:%x::/64", i)), Via: addr("fe80::1"), Dev: "e1", Metric: i, Table: []int{0, 64200}[i%2]}))
	}
	add := func(r netlink.Route) {
		t.Helper()
		must(t, n.Netlink().RouteAdd(&r))
	}
	hops := func(gw1, gw2 string) []*netlink.NexthopInfo {
		return []*netlink.NexthopInfo{{LinkIndex: e1, Gw: net.ParseIP(gw1)}, {LinkIndex: e2, Gw: net.ParseIP(gw2), Hops: 2}}
	}
	add(netlink.Route{Dst: host("10.0.0.0/8"), MultiPath: hops("192.0.2.1", "198.51.100.1")})
	add(netlink.Route{Dst: host("2001:db8:5::/48"), MultiPath: hops("2001:db8:1::1", "2001:db8:2::1")})
	add(netlink.Route{
		Dst: host("10.1.0.0/16"), Gw: net.IP{192, 0, 2, 1}, LinkIndex: e1, Src: net.IP{192, 0, 2, 2}, MTU: 1400, MTULock: true, AdvMSS: 1360,
		InitCwnd: 20, InitRwnd: 30, QuickACK: 1, Hoplimit: 9, Congctl: "reno", RtoMin: 200,
	})
	add(netlink.Route{Dst: host("10.2.0.0/16"), Gw: net.IP{203, 0, 113, 1}, LinkIndex: e2, Flags: unix.RTNH_F_ONLINK})
	add(netlink.Route{Dst: host("10.3.0.0/16"), LinkIndex: e1, Via: &netlink.Via{AddrFamily: unix.AF_INET6, Addr: net.ParseIP("fe80::1")}})
	for i, kind := range []int{unix.RTN_UNREACHABLE, unix.RTN_PROHIBIT, unix.RTN_BLACKHOLE, unix.RTN_THROW} {
		add(netlink.Route{Dst: host(fmt.Sprintf("10.4.%d.0/24", i)), Type: kind, Table: 64181, Protocol: netwatch.Protocol})
		add(netlink.Route{Dst: host(fmt.Sprintf("2001:db8:4:%d::/64", i)), Type: kind, Table: 64181, Protocol: netwatch.Protocol})
	}
	must(t, n.AddRoute(lab.Route{To: prefix("::/0"), Via: addr("fe80::9"), Dev: "e2"}, lab.Route{To: prefix("10.9.0.0/16"), Dev: "e1", Table: 1000}))

	var want []netwatch.Route
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		all, err := n.Netlink().RouteListFiltered(family, &netlink.Route{}, netlink.RT_FILTER_TABLE)
		must(t, err)
		for _, r := range all {
			if r.Table == 254 || r.Table >= 64180 {
				want = append(want, restated(r, family == netlink.FAMILY_V6)...)
			}
		}
	}
	sorted := cmp.Transformer("sorted", func(all []netwatch.Route) []string {
		type plain netwatch.Route // without String, which leaves things out
		var out []string
		for _, r := range all {
			out = append(out, fmt.Sprintf("%+v", plain(r)))
		}
		slices.Sort(out)
		return out
	})
	if diff := cmp.Diff(want, read(t, n).Routes, sorted); diff != "" {
		t.Errorf("as the library reads them (-), as we do (+):\n%s", diff)
	}
	if len(want) < 320 {
		t.Errorf("only %d routes", len(want))
	}
}

// restated is a route of the library's.
func restated(r netlink.Route, is6 bool) []netwatch.Route {
	down := func(flags int) bool { return flags&(unix.RTNH_F_LINKDOWN|unix.RTNH_F_DEAD) != 0 }
	gateway := func(gw net.IP, via netlink.Destination) netip.Addr {
		if v, ok := via.(*netlink.Via); ok && v != nil {
			gw = v.Addr
		}
		a, _ := netip.AddrFromSlice(gw)
		return a.Unmap()
	}
	types := map[int]netwatch.RouteType{
		unix.RTN_UNICAST: netwatch.Unicast, unix.RTN_UNREACHABLE: netwatch.Unreachable, unix.RTN_PROHIBIT: netwatch.Prohibit,
		unix.RTN_BLACKHOLE: netwatch.Blackhole, unix.RTN_THROW: netwatch.Throw, unix.RTN_LOCAL: netwatch.Local,
	}
	kind, known := types[r.Type]
	if !known {
		kind = netwatch.OtherType
	}
	base := netwatch.Route{
		Table: r.Table, Type: kind, Ifindex: r.LinkIndex, Metric: r.Priority, Protocol: int(r.Protocol), LinkDown: down(r.Flags),
		OnLink: r.Flags&unix.RTNH_F_ONLINK != 0, Dst: prefix("0.0.0.0/0"), Gateway: gateway(r.Gw, r.Via), Source: gateway(r.Src, nil),
		Path: netwatch.PathMetrics{
			MTU: r.MTU, MTULock: r.MTULock, AdvMSS: r.AdvMSS, HopLimit: r.Hoplimit, InitCwnd: r.InitCwnd, InitRwnd: r.InitRwnd,
			RTOMin: r.RtoMin, RTOMinLock: r.RtoMinLock, QuickACK: r.QuickACK, Congestion: r.Congctl,
		},
	}
	if is6 {
		base.Dst = prefix("::/0")
	}
	if r.Dst != nil {
		base.Dst = prefix(r.Dst.String())
	}
	if len(r.MultiPath) == 0 {
		return []netwatch.Route{base}
	}
	var out []netwatch.Route
	for _, hop := range r.MultiPath {
		one := base
		one.Ifindex, one.Gateway = hop.LinkIndex, gateway(hop.Gw, hop.Via)
		one.LinkDown, one.OnLink = down(hop.Flags), hop.Flags&unix.RTNH_F_ONLINK != 0
		out = append(out, one)
	}
	return out
}
