package netwatch

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// readRoutes reads the main table and mifvif's own, both families.
func readRoutes(s *State) error {
	s.Routes = s.Routes[:0]
	var interrupted error
	keeper := newKeeper(s.Addresses)
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		err := netlink.RouteListFilteredIter(family, &netlink.Route{}, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
			if r.Table != mainTable && (r.Table < firstTable || r.Table > lastTable) || r.Flags&unix.RTM_F_CLONED != 0 {
				return true
			}
			for _, one := range routes(r, family == netlink.FAMILY_V6) {
				if keeper.keeps(&one) {
					s.Routes = append(s.Routes, one)
				}
			}
			return true
		})
		switch {
		case errors.Is(err, netlink.ErrDumpInterrupted):
			interrupted = fmt.Errorf("list routes: %w", err)
		case family == netlink.FAMILY_V6 && errors.Is(err, unix.EAFNOSUPPORT):
		case err != nil:
			return fmt.Errorf("list routes: %w", err)
		}
	}
	slices.SortFunc(s.Routes, compareRoutes)
	return interrupted
}

// routes restates one kernel route, one for each of its next hops.
func routes(r netlink.Route, is6 bool) []Route {
	base := Route{
		Table: r.Table, Type: routeType(r.Type), Ifindex: r.LinkIndex, Metric: r.Priority,
		Protocol: int(r.Protocol), LinkDown: r.Flags&(unix.RTNH_F_LINKDOWN|unix.RTNH_F_DEAD) != 0,
		OnLink: r.Flags&unix.RTNH_F_ONLINK != 0, Dst: anyPrefix(is6), Path: pathMetrics(r),
	}
	if p, ok := prefix(r.Dst); ok {
		base.Dst = p
	}
	base.Source = addr(r.Src)
	if len(r.MultiPath) == 0 {
		base.Gateway = gateway(r.Gw, r.Via)
		return []Route{base}
	}
	out := make([]Route, 0, len(r.MultiPath))
	for _, hop := range r.MultiPath {
		one := base
		one.Ifindex, one.Gateway = hop.LinkIndex, gateway(hop.Gw, hop.Via)
		one.LinkDown = hop.Flags&(unix.RTNH_F_LINKDOWN|unix.RTNH_F_DEAD) != 0
		one.OnLink = hop.Flags&unix.RTNH_F_ONLINK != 0
		out = append(out, one)
	}
	return out
}

func pathMetrics(r netlink.Route) PathMetrics {
	return PathMetrics{
		MTU: r.MTU, MTULock: r.MTULock, AdvMSS: r.AdvMSS, HopLimit: r.Hoplimit, InitCwnd: r.InitCwnd, InitRwnd: r.InitRwnd,
		RTOMin: r.RtoMin, RTOMinLock: r.RtoMinLock, QuickACK: r.QuickACK, Congestion: r.Congctl,
	}
}

// gateway returns the next hop, which may be of the other family (RFC 5549).
func gateway(gw []byte, via netlink.Destination) netip.Addr {
	if v, ok := via.(*netlink.Via); ok && v != nil {
		return addr(v.Addr)
	}
	return addr(gw)
}

func addr(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a.Unmap()
}

func anyPrefix(is6 bool) netip.Prefix {
	if is6 {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

func routeType(t int) RouteType {
	switch t {
	case 0, unix.RTN_UNICAST:
		return Unicast
	case unix.RTN_UNREACHABLE:
		return Unreachable
	case unix.RTN_PROHIBIT:
		return Prohibit
	case unix.RTN_BLACKHOLE:
		return Blackhole
	case unix.RTN_THROW:
		return Throw
	case unix.RTN_LOCAL:
		return Local
	}
	return OtherType
}

func compareRoutes(a, b Route) int {
	return cmp.Or(cmp.Compare(a.Table, b.Table), comparePrefix(a.Dst, b.Dst), cmp.Compare(a.Metric, b.Metric),
		cmp.Compare(a.Ifindex, b.Ifindex), a.Gateway.Compare(b.Gateway), cmp.Compare(a.Type, b.Type))
}
