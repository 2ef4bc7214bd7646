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
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		err := dumpRoutes(family, func(r *Route) {
			if (r.Table == mainTable || r.Table >= firstTable && r.Table <= lastTable) && keeper.keeps(r) {
				s.Routes = append(s.Routes, *r)
			}
		})
		switch {
		case errors.Is(err, netlink.ErrDumpInterrupted):
			interrupted = fmt.Errorf("list routes: %w", err)
		case family == unix.AF_INET6 && errors.Is(err, unix.EAFNOSUPPORT):
		case err != nil:
			return fmt.Errorf("list routes: %w", err)
		}
	}
	slices.SortFunc(s.Routes, compareRoutes)
	return interrupted
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
	return cmp.Or(cmp.Compare(a.Table, b.Table), comparePrefix(a.Dst, b.Dst), comparePrefix(a.From, b.From), cmp.Compare(a.Metric, b.Metric),
		cmp.Compare(a.Ifindex, b.Ifindex), a.Gateway.Compare(b.Gateway), cmp.Compare(a.Type, b.Type))
}
