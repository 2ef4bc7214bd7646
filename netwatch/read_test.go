package netwatch_test

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mifvif/lab"
	"mifvif/netwatch"
)

var byValue = cmp.Options{cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})}

func TestRoutesAreRestated(t *testing.T) {
	n := newNode(t)
	e1, e2 := index(t, n, "e1"), index(t, n, "e2")
	must(t, n.AddAddress("e1", prefix("192.0.2.2/24"), prefix("2001:db8:1::2/64")))
	must(t, n.AddAddress("e2", prefix("198.51.100.2/24"), prefix("2001:db8:2::2/64")))
	must(t, n.AddRoute(
		lab.Route{To: prefix("0.0.0.0/0"), Via: addr("192.0.2.1"), Dev: "e1", Metric: 10, Protocol: unix.RTPROT_DHCP},
		lab.Route{To: prefix("::/0"), Via: addr("fe80::1"), Dev: "e1", Metric: 20, Protocol: unix.RTPROT_RA},
		lab.Route{To: prefix("10.0.0.0/8"), Metric: 5, Kind: "unreachable", Table: 64180, Protocol: 64},
		lab.Route{To: prefix("::/0"), Metric: 7, Kind: "throw", Table: 64180, Protocol: 64},
		lab.Route{To: prefix("10.0.0.0/8"), Dev: "e1", Metric: 5, Table: 1000},
	))
	must(t, n.Netlink().RouteAdd(&netlink.Route{
		Dst: &net.IPNet{IP: net.IP{203, 0, 113, 0}, Mask: net.CIDRMask(24, 32)}, Priority: 9,
		MultiPath: []*netlink.NexthopInfo{{LinkIndex: e1, Gw: net.IP{192, 0, 2, 1}}, {LinkIndex: e2, Gw: net.IP{198, 51, 100, 1}}},
	}))
	must(t, n.Netlink().RouteAdd(&netlink.Route{
		Dst: &net.IPNet{IP: net.IP{203, 0, 112, 0}, Mask: net.CIDRMask(24, 32)}, Priority: 9, LinkIndex: e1,
		Via: &netlink.Via{AddrFamily: unix.AF_INET6, Addr: net.ParseIP("fe80::1")},
	}))

	cubic := netwatch.PathMetrics{Congestion: "cubic"} // the lab's
	want := []netwatch.Route{
		{Table: 254, Dst: prefix("0.0.0.0/0"), Gateway: addr("192.0.2.1"), Ifindex: e1, Metric: 10, Protocol: unix.RTPROT_DHCP, Path: cubic},
		{Table: 254, Dst: prefix("::/0"), Gateway: addr("fe80::1"), Ifindex: e1, Metric: 20, Protocol: unix.RTPROT_RA, Path: cubic},
		{Table: 254, Dst: prefix("203.0.113.0/24"), Gateway: addr("192.0.2.1"), Ifindex: e1, Metric: 9, Protocol: unix.RTPROT_BOOT},
		{Table: 254, Dst: prefix("203.0.113.0/24"), Gateway: addr("198.51.100.1"), Ifindex: e2, Metric: 9, Protocol: unix.RTPROT_BOOT},
		{Table: 254, Dst: prefix("203.0.112.0/24"), Gateway: addr("fe80::1"), Ifindex: e1, Metric: 9, Protocol: unix.RTPROT_BOOT},
		{Table: 254, Dst: prefix("192.0.2.0/24"), Ifindex: e1, Source: addr("192.0.2.2"), Protocol: unix.RTPROT_KERNEL},
		{Table: 254, Dst: prefix("2001:db8:2::/64"), Ifindex: e2, Metric: 256, Protocol: unix.RTPROT_KERNEL},
		{Table: 64180, Type: netwatch.Unreachable, Dst: prefix("10.0.0.0/8"), Metric: 5, Protocol: 64},
		{Table: 64180, Type: netwatch.Throw, Dst: prefix("::/0"), Ifindex: 1, Metric: 7, Protocol: 64},
	}
	got := read(t, n).Routes
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("no %+v in\n%+v", w, got)
		}
	}
	for _, r := range got {
		if r.Table == 1000 || r.Table == 255 {
			t.Errorf("%+v is in a table that nobody asked for", r)
		}
	}
}

func TestLinkDownIsSeenInRoutesAndLinks(t *testing.T) {
	n, peer := newNodes(t)
	must(t, n.AddAddress("e1", prefix("192.0.2.2/24")))
	must(t, peer.LinkDown("e1"))
	eventually(t, "e1 has no carrier and its route is marked", func() bool {
		st := read(t, n)
		dead := slices.ContainsFunc(st.Routes, func(r netwatch.Route) bool { return r.Dst == prefix("192.0.2.0/24") && r.LinkDown })
		off := slices.ContainsFunc(st.Links, func(l netwatch.Link) bool { return l.Name == "e1" && l.Up && !l.Carrier })
		return dead && off
	})
}

func TestAddressesAreRestated(t *testing.T) {
	n := newNode(t)
	link, err := n.Netlink().LinkByName("e1")
	must(t, err)
	e1 := link.Attrs().Index
	add := func(a netlink.Addr) {
		t.Helper()
		must(t, n.Netlink().AddrAdd(link, &a))
	}
	add(netlink.Addr{IPNet: host("192.0.2.2/24"), ValidLft: 5000, PreferedLft: 4000})
	add(netlink.Addr{IPNet: host("10.0.0.2/32"), Peer: host("10.0.0.1/32")})
	add(netlink.Addr{IPNet: host("2001:db8:1::2/64"), ValidLft: 7000})
	add(netlink.Addr{IPNet: host("2001:db8:1::3/64"), Flags: unix.IFA_F_NODAD})
	settle(t, n)
	const forever = netwatch.Forever
	want := []netwatch.Address{
		{Ifindex: e1, Prefix: prefix("10.0.0.2/32"), Peer: addr("10.0.0.1"), Global: true, Valid: forever, Preferred: forever},
		{Ifindex: e1, Prefix: prefix("192.0.2.2/24"), Global: true, Valid: 2 * time.Hour, Preferred: 2 * time.Hour},
		{Ifindex: e1, Prefix: prefix("2001:db8:1::2/64"), Global: true, Deprecated: true, Valid: 2 * time.Hour},
		{Ifindex: e1, Prefix: prefix("2001:db8:1::3/64"), Global: true, Valid: forever, Preferred: forever},
	}
	var got []netwatch.Address
	for _, a := range read(t, n).Addresses {
		if a.Ifindex == e1 && a.Global {
			got = append(got, a)
		}
	}
	if diff := cmp.Diff(want, got, byValue); diff != "" {
		t.Errorf("addresses of e1 (-want +got):\n%s", diff)
	}
}

func TestAFullTableIsNotCopied(t *testing.T) {
	n := newNode(t)
	must(t, n.AddAddress("e1", prefix("192.0.2.2/24")))
	must(t, n.AddAddress("e2", prefix("198.51.100.2/24")))
	for i := range 5000 {
		dst := netip.AddrFrom4([4]byte{20, byte(i >> 8), byte(i), 0})
		must(t, n.AddRoute(lab.Route{To: netip.PrefixFrom(dst, 24), Via: addr("192.0.2.1"), Dev: "e1", Protocol: unix.RTPROT_BGP}))
	}
	must(t, n.AddRoute(
		lab.Route{To: prefix("0.0.0.0/0"), Via: addr("192.0.2.1"), Dev: "e1", Metric: 77},
		lab.Route{To: prefix("172.16.0.0/12"), Via: addr("198.51.100.1"), Dev: "e2"},
	))
	got := read(t, n).Routes
	if len(got) > 4096+100 {
		t.Errorf("%d routes of 5000 were kept, want at most 4096 an interface", len(got))
	}
	for _, dst := range []string{"0.0.0.0/0", "172.16.0.0/12", "192.0.2.0/24"} {
		if !slices.ContainsFunc(got, func(r netwatch.Route) bool { return r.Dst == prefix(dst) }) {
			t.Errorf("the route to %s fell victim to the others", dst)
		}
	}
}

func host(s string) *net.IPNet {
	p := prefix(s)
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
