package netwatch

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// endless is how often the routes to one destination may begin anew in a dump. They
// do when any route has changed meanwhile, which the kernel does not say; where more
// of them than it hands over at once change without a pause, it never gets further.
const endless = 32

// errEndless says that a dump was given up. What it said until then is true.
var errEndless = errors.New("routes change faster than they can be read")

// restarts counts how often a dump has begun with its present destination anew.
type restarts struct {
	first Route // to that destination
	count int
}

// look is shown every route in turn.
func (d *restarts) look(r *Route) {
	switch {
	case r.Table != d.first.Table || r.Dst != d.first.Dst:
		*d = restarts{first: *r}
	case *r == d.first:
		d.count++
	}
}

func readRoutes4(s *State) error { return readRoutes(s, unix.AF_INET) }

// readRoutes6 takes a kernel without IPv6 for one without routes.
func readRoutes6(s *State) error {
	err := readRoutes(s, unix.AF_INET6)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return nil
	}
	return err
}

// readRoutes reads the main table and mifvif's own of one family; the other's stay.
// The netlink library knows nothing of routes by source, and would show them as if
// they were for all. Where they change faster than they can be read, what was known
// stays beside what is read, as far as there is room.
func readRoutes(s *State, family uint8) error {
	keeper := newKeeper(s.Addresses)
	ofFamily := func(r Route) bool { return r.Dst.Addr().Is6() == (family == unix.AF_INET6) }
	list := without(s.Routes, ofFamily)
	request := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
	request.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: family}})
	var again restarts
	err := dump(request, func(message []byte) error {
		if again.count > endless {
			return errEndless
		}
		return parseRoute(message, func(r *Route) {
			again.look(r)
			if (r.Table == mainTable || r.Table >= firstTable && r.Table <= lastTable) && keeper.keeps(r) {
				list = append(list, *r)
			}
		})
	})
	if errors.Is(err, errEndless) {
		for _, r := range s.Routes {
			if ofFamily(r) && keeper.keeps(&r) {
				list = append(list, r)
			}
		}
		err = nil
	}
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("list routes: %w", err)
	}
	slices.SortFunc(list, compareRoutes)
	s.Routes = slices.Compact(list) // what is dumped while it changes comes twice
	return err
}

// AnyPrefix returns the prefix of every address of a family.
func AnyPrefix(is6 bool) netip.Prefix {
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
