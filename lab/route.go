package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Route is one entry of a node's routing tables.
type Route struct {
	To       netip.Prefix // must be set; "::/0" is a default route
	Via      netip.Addr   // zero: on link
	Dev      string       // "" only with Kind
	Source   netip.Addr   // preferred source, may be zero
	Metric   int
	Table    int    // 0: main
	Kind     string // "" (unicast), "blackhole", "prohibit", "unreachable", "throw"
	Protocol int    // 0: static
}

// AddRoute adds a route or replaces the one with the same key.
func (n *Node) AddRoute(routes ...Route) error {
	for _, r := range routes {
		if err := n.onRoute(r, n.netlink.RouteReplace); err != nil {
			return fmt.Errorf("add route %v via %v to %s: %w", r.To, r.Via, n.Name, err)
		}
	}
	return nil
}

// DeleteRoute removes routes, whoever made them with whatever attributes.
func (n *Node) DeleteRoute(routes ...Route) error {
	remove := func(r *netlink.Route) error {
		r.Protocol, r.Congctl, r.Scope = 0, "", netlink.SCOPE_NOWHERE
		return n.netlink.RouteDel(r)
	}
	for _, r := range routes {
		if err := n.onRoute(r, remove); err != nil {
			return fmt.Errorf("delete route %v via %v from %s: %w", r.To, r.Via, n.Name, err)
		}
	}
	return nil
}

func (n *Node) onRoute(r Route, f func(*netlink.Route) error) error {
	kind, err := routeKind(r.Kind)
	if err != nil {
		return err
	}
	out := netlink.Route{
		Dst: ipNet(r.To), Gw: ip(r.Via), Src: ip(r.Source), Priority: r.Metric, Table: r.Table,
		Type: kind, Protocol: netlink.RouteProtocol(r.Protocol), Scope: netlink.SCOPE_UNIVERSE,
	}
	if r.Protocol == 0 {
		out.Protocol = unix.RTPROT_STATIC
	}
	if r.Dev != "" {
		if out.LinkIndex, err = n.LinkIndex(r.Dev); err != nil {
			return err
		}
	}
	if kind == unix.RTN_UNICAST {
		out.Congctl = n.congestion
		if !r.Via.IsValid() {
			out.Scope = netlink.SCOPE_LINK
		}
	}
	return f(&out)
}

func routeKind(kind string) (int, error) {
	switch kind {
	case "":
		return unix.RTN_UNICAST, nil
	case "blackhole":
		return unix.RTN_BLACKHOLE, nil
	case "prohibit":
		return unix.RTN_PROHIBIT, nil
	case "unreachable":
		return unix.RTN_UNREACHABLE, nil
	case "throw":
		return unix.RTN_THROW, nil
	}
	return 0, fmt.Errorf("no such kind of route: %q", kind)
}

// Forward turns the node into a router for both families.
func (n *Node) Forward() error {
	for _, key := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		if err := n.SetSysctl(key, "1"); err != nil {
			return err
		}
	}
	return nil
}

// RouteOf asks the node's kernel where a packet from src to dst goes and
// returns the interface, as `ip route get DST from SRC` does. src may be zero.
func (n *Node) RouteOf(dst, src netip.Addr) (string, error) {
	opts := &netlink.RouteGetOptions{SrcAddr: ip(src)}
	routes, err := n.netlink.RouteGetWithOptions(ip(dst), opts)
	if err != nil {
		return "", fmt.Errorf("route of %v from %v in %s: %w", dst, src, n.Name, err)
	}
	link, err := n.netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return "", fmt.Errorf("route of %v from %v in %s: %w", dst, src, n.Name, err)
	}
	return link.Attrs().Name, nil
}

// ip returns a as package net has it, nil for the zero Addr.
func ip(a netip.Addr) net.IP {
	if !a.IsValid() {
		return nil
	}
	return a.AsSlice()
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// DeleteRules deletes the routing rules of both families whose priority is
// chosen and returns how many there were.
func (n *Node) DeleteRules(chosen func(priority int) bool) (deleted int, err error) {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		rules, err := n.netlink.RuleList(family)
		if err != nil {
			return deleted, fmt.Errorf("list rules of %s: %w", n.Name, err)
		}
		for _, r := range rules {
			if !chosen(r.Priority) {
				continue
			}
			r.Family = family
			if err := n.netlink.RuleDel(&r); err != nil {
				return deleted, fmt.Errorf("delete rule %v of %s: %w", r, n.Name, err)
			}
			deleted++
		}
	}
	return deleted, nil
}

// DeleteRoutes deletes the routes of both families whose table is chosen and
// returns how many there were. One that goes meanwhile does no harm.
func (n *Node) DeleteRoutes(chosen func(table int) bool) (deleted int, err error) {
	every := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		routes, err := n.netlink.RouteListFiltered(family, every, netlink.RT_FILTER_TABLE)
		if err != nil {
			return deleted, fmt.Errorf("list routes of %s: %w", n.Name, err)
		}
		for _, r := range routes {
			if !chosen(r.Table) {
				continue
			}
			if err := n.netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
				return deleted, fmt.Errorf("delete route %v of %s: %w", r, n.Name, err)
			}
			deleted++
		}
	}
	return deleted, nil
}
