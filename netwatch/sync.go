package netwatch

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Protocol marks every route and rule that mifvif makes (contract: 64).
const Protocol = 64

// SyncRoutes makes the routes of the tables that owned accepts what want says:
// it adds what is missing before it deletes what is too much, and touches no
// route of another protocol. have is a state just read. Routes the kernel
// refuses (a family that is switched off, a link that has just gone) are
// reported together; the others are in place all the same.
func SyncRoutes(have, want []Route, owned func(table int) bool) error {
	var errs []error
	present := make(map[Route]bool, len(have))
	for _, r := range have {
		if owned(r.Table) && r.Protocol == Protocol {
			present[r.key()] = true
		}
	}
	wanted := make(map[slot]bool, len(want))
	keep := make(map[Route]bool, len(want))
	for _, r := range want {
		r.Protocol = Protocol
		keep[r.key()], wanted[r.slot()] = true, true
		if present[r.key()] {
			continue
		}
		if err := netlink.RouteReplace(r.netlink()); err != nil {
			errs = append(errs, fmt.Errorf("add route %s: %w", r, err))
		}
	}
	for r := range present {
		if keep[r] || wanted[r.slot()] && r.Type == Unicast && !r.Dst.Addr().Is6() {
			continue // still wanted, or replaced in its place
		}
		if err := netlink.RouteDel(r.netlink()); err != nil && !gone(err) {
			errs = append(errs, fmt.Errorf("remove route %s: %w", r, err))
		}
	}
	return errors.Join(errs...)
}

// SyncRules makes the rules of the priorities that owned accepts what want says.
func SyncRules(have, want []Rule, owned func(priority int) bool) error {
	var errs []error
	present := make(map[Rule]int, len(have))
	for _, r := range have {
		if owned(r.Priority) {
			present[r.key()]++
		}
	}
	for _, r := range want {
		r.Protocol = Protocol
		if k := r.key(); present[k] > 0 {
			present[k]--
			continue
		}
		if err := netlink.RuleAdd(r.netlink()); err != nil && !errors.Is(err, unix.EEXIST) && !(r.Is6 && errors.Is(err, unix.EAFNOSUPPORT)) {
			errs = append(errs, fmt.Errorf("add rule %d: %w", r.Priority, err))
		}
	}
	for r, n := range present {
		for range n {
			if err := netlink.RuleDel(r.netlink()); err != nil && !gone(err) {
				errs = append(errs, fmt.Errorf("remove rule %d: %w", r.Priority, err))
			}
		}
	}
	return errors.Join(errs...)
}

// gone reports whether what was to be removed is not there.
func gone(err error) bool {
	return errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EADDRNOTAVAIL)
}

// slot is what the kernel keeps apart in a table: one route each.
type slot struct {
	table  int
	dst    netip.Prefix
	metric int
}

func (r Route) slot() slot { return slot{r.Table, r.Dst, r.Metric} }

// key is the route without what the kernel adds by itself.
func (r Route) key() Route {
	r.LinkDown = false
	if r.Type != Unicast {
		r.Ifindex, r.Gateway, r.OnLink = 0, netip.Addr{}, false
	}
	if !r.Gateway.IsValid() {
		r.OnLink = false
	}
	return r
}

// String returns the route as `ip route` would print it.
func (r Route) String() string { return r.netlink().String() }

func (r Route) netlink() *netlink.Route {
	types := map[RouteType]int{
		Unicast: unix.RTN_UNICAST, Unreachable: unix.RTN_UNREACHABLE, Prohibit: unix.RTN_PROHIBIT,
		Blackhole: unix.RTN_BLACKHOLE, Throw: unix.RTN_THROW, Local: unix.RTN_LOCAL,
	}
	out := &netlink.Route{
		Table: r.Table, Type: types[r.Type], Dst: ipNet(r.Dst), LinkIndex: r.Ifindex,
		Priority: r.Metric, Protocol: netlink.RouteProtocol(r.Protocol),
	}
	if r.Dst.Addr().Is6() {
		out.Family = netlink.FAMILY_V6
	} else {
		out.Family = netlink.FAMILY_V4
	}
	if r.Source.IsValid() {
		out.Src = r.Source.AsSlice()
	}
	switch {
	case r.Gateway.IsValid() && r.Gateway.Is6() != r.Dst.Addr().Is6():
		out.Via = &netlink.Via{AddrFamily: viaFamily(r.Gateway), Addr: r.Gateway.AsSlice()}
	case r.Gateway.IsValid():
		out.Gw = r.Gateway.AsSlice()
	case r.Type == Unicast && r.Dst.Addr().Is4():
		out.Scope = netlink.SCOPE_LINK
	}
	if r.OnLink && r.Gateway.IsValid() {
		out.Flags = unix.RTNH_F_ONLINK
	}
	return out
}

func viaFamily(a netip.Addr) int {
	if a.Is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// key is the rule without who made it: a rule of ours that was made by an
// earlier version counts.
func (r Rule) key() Rule {
	r.Protocol = Protocol
	return r
}

func (r Rule) netlink() *netlink.Rule {
	out := netlink.NewRule()
	out.Priority, out.IifName, out.OifName, out.Invert = r.Priority, r.Iif, r.Oif, r.Invert
	out.Protocol, out.Family = uint8(r.Protocol), netlink.FAMILY_V4
	if r.Is6 {
		out.Family = netlink.FAMILY_V6
	}
	out.Table = r.Table
	if r.Type == Unreachable {
		out.Type = unix.FR_ACT_UNREACHABLE
	}
	if r.Mask != 0 {
		mask := r.Mask
		out.Mark, out.Mask = r.Mark, &mask
	}
	if r.Src.IsValid() {
		out.Src = ipNet(r.Src)
	}
	if r.Dst.IsValid() {
		out.Dst = ipNet(r.Dst)
	}
	return out
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
