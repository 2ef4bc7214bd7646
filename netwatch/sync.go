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
// route of another protocol. Of several wanted routes with the same table,
// destination and metric the first counts. have is a state just read; an older
// one does no harm, the next makes it good. Routes the kernel refuses are
// reported together, the others are in place all the same; a link or a family
// that is off is no error, its return brings a new state.
func SyncRoutes(have, want []Route, owned func(table int) bool) error {
	var kernel talk
	defer kernel.end()
	var errs []error
	present := make(map[Route]bool, len(have))
	for _, r := range have {
		if owned(r.Table) && r.Protocol == Protocol {
			present[r.key()] = true
		}
	}
	wanted := make(map[slot]Route, len(want))
	for _, r := range want {
		r.Protocol = Protocol
		if _, taken := wanted[r.slot()]; taken {
			continue
		}
		wanted[r.slot()] = r.key()
		if present[r.key()] {
			continue
		}
		if err := r.replace(&kernel); err != nil && !off(err) {
			errs = append(errs, fmt.Errorf("add route %s: %w", r, err))
		}
	}
	for r := range present {
		if w, ok := wanted[r.slot()]; ok && (w == r || r.removedBy(w)) {
			continue
		}
		if err := r.remove(&kernel); err != nil && !gone(err) {
			errs = append(errs, fmt.Errorf("remove route %s: %w", r, err))
		}
	}
	return errors.Join(errs...)
}

// removedBy reports whether deleting r could only hurt now that w has been put
// in its slot: IPv4 keeps one route per slot, and IPv6 takes a deletion to mean
// any route with that interface and gateway, or with any where none is named.
func (r Route) removedBy(w Route) bool {
	if r.Dst.Addr().Is4() {
		return true
	}
	return (r.Ifindex == 0 || r.Ifindex == w.Ifindex) && (!r.Gateway.IsValid() || r.Gateway == w.Gateway)
}

// SyncRules makes the rules of ours at the priorities that owned accepts what
// want says, adding before it removes. Rules of others stay, whatever their
// priority.
func SyncRules(have, want []Rule, owned func(priority int) bool) error {
	var errs []error
	present := make(map[Rule]int, len(have))
	for _, r := range have {
		if owned(r.Priority) && r.Protocol == Protocol {
			present[r]++
		}
	}
	for _, r := range want {
		r.Protocol = Protocol
		if present[r] > 0 {
			present[r]--
			continue
		}
		if err := r.add(); err != nil && !errors.Is(err, unix.EEXIST) && !off(err) {
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

// off reports whether an addition failed because its link has just gone or gone
// down, or because its family is switched off there.
func off(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENETDOWN) ||
		errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EACCES)
}

// gone reports whether what was to be removed is not there.
func gone(err error) bool {
	return errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EADDRNOTAVAIL)
}

// slot is what the kernel keeps apart in a table: one route each.
type slot struct {
	table  int
	dst    netip.Prefix
	from   netip.Prefix
	metric int
}

func (r Route) slot() slot { return slot{r.Table, r.Dst, r.From, r.Metric} }

// key is the route without what the kernel adds by itself.
func (r Route) key() Route {
	r.LinkDown = false
	if r.Type != Unicast {
		r.Ifindex, r.Gateway, r.OnLink, r.Path = 0, netip.Addr{}, false, PathMetrics{}
	}
	if !r.Gateway.IsValid() {
		r.OnLink = false
	}
	return r
}

func (r Rule) add() error {
	if r.Spared != 0 {
		return addSparing(r)
	}
	return netlink.RuleAdd(r.netlink())
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
	if r.Goto != 0 {
		out.Goto = r.Goto
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
