package lab

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Snapshot is the state of a node's network as sorted lines of text, without
// what changes by itself (counters, lifetimes, indices). Two snapshots that are
// equal prove that a system is "as before".
type Snapshot []string

// String returns one line per fact.
func (s Snapshot) String() string { return strings.Join(s, "\n") }

// Differences returns what other has more ("+") and less ("-") than s.
func (s Snapshot) Differences(other Snapshot) []string {
	var all []string
	for _, line := range s {
		if !slices.Contains(other, line) {
			all = append(all, "- "+line)
		}
	}
	for _, line := range other {
		if !slices.Contains(s, line) {
			all = append(all, "+ "+line)
		}
	}
	return all
}

// Snapshot reads the node's links, addresses, routes of all tables, rules,
// nftables, the settings that mifvif may change, /etc/resolv.conf, and the programs
// that see packets.
func (n *Node) Snapshot() (Snapshot, error) {
	var s Snapshot
	for _, part := range []func() ([]string, error){n.links, n.routes, n.rules, n.filters, n.settings, n.resolvers, n.programs} {
		lines, err := part()
		if err != nil {
			return nil, fmt.Errorf("snapshot of %s: %w", n.Name, err)
		}
		s = append(s, lines...)
	}
	slices.Sort(s)
	return s, nil
}

// links lists links and their addresses.
func (n *Node) links() ([]string, error) {
	links, err := n.netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	var lines []string
	for _, l := range links {
		a := l.Attrs()
		lines = append(lines, fmt.Sprintf("link %s %s mtu %d %v", a.Name, l.Type(), a.MTU, a.Flags))
		addrs, err := n.netlink.AddrList(l, unix.AF_UNSPEC)
		if err != nil {
			return nil, fmt.Errorf("list addresses: %w", err)
		}
		for _, addr := range addrs {
			lines = append(lines, fmt.Sprintf("address %v on %s scope %d flags %#x", addr.IPNet, a.Name, addr.Scope, addr.Flags))
		}
	}
	return lines, nil
}

func (n *Node) routes() ([]string, error) {
	names, err := n.linkNames()
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		every := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
		routes, err := n.netlink.RouteListFiltered(family, every, netlink.RT_FILTER_TABLE)
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		for _, r := range routes {
			lines = append(lines, fmt.Sprintf("route %v table %d via %v dev %s src %v metric %d type %d protocol %d",
				r.Dst, r.Table, r.Gw, names[r.LinkIndex], r.Src, r.Priority, r.Type, r.Protocol))
		}
	}
	return lines, nil
}

func (n *Node) linkNames() (map[int]string, error) {
	links, err := n.netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	names := make(map[int]string)
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	return names, nil
}

func (n *Node) rules() ([]string, error) {
	var lines []string
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		rules, err := n.netlink.RuleList(family)
		if err != nil {
			return nil, fmt.Errorf("list rules: %w", err)
		}
		for _, r := range rules {
			lines = append(lines, fmt.Sprintf("rule family %d mark %#x %v", family, r.Mark, r))
		}
	}
	return lines, nil
}

// filters lists nftables: tables, and the chains of each with their number of
// rules.
func (n *Node) filters() ([]string, error) {
	conn, err := n.nft()
	if err != nil {
		return nil, err
	}
	tables, err := conn.ListTables()
	if err != nil {
		return nil, fmt.Errorf("list nftables: %w", err)
	}
	var lines []string
	for _, t := range tables {
		lines = append(lines, fmt.Sprintf("nft table %d %s", t.Family, t.Name))
	}
	chains, err := conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list nftables: %w", err)
	}
	for _, c := range chains {
		rules, err := conn.GetRules(c.Table, c)
		if err != nil {
			return nil, fmt.Errorf("list nftables: %w", err)
		}
		lines = append(lines, fmt.Sprintf("nft chain %s %s: %d rules", c.Table.Name, c.Name, len(rules)))
	}
	return lines, nil
}

// settings reads the sysctls that mifvif may change, of every interface.
func (n *Node) settings() ([]string, error) {
	var lines []string
	err := n.Do(func() error {
		for _, pattern := range []string{
			"ipv4/ip_forward", "ipv4/conf/*/forwarding", "ipv4/conf/*/rp_filter", "ipv4/conf/*/arp_ignore",
			"ipv4/conf/*/arp_announce", "ipv4/conf/*/accept_local", "ipv4/conf/*/src_valid_mark",
			"ipv6/conf/*/forwarding", "ipv6/conf/*/force_forwarding", "ipv6/conf/*/accept_ra", "ipv6/conf/*/disable_ipv6", "mptcp/pm_type",
		} {
			found, err := readSettings(pattern)
			if err != nil {
				return err
			}
			lines = append(lines, found...)
		}
		return nil
	})
	return lines, err
}

func (n *Node) resolvers() ([]string, error) {
	content, err := n.ReadFile(resolvConf)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(string(content)) {
		lines = append(lines, filepath.Base(resolvConf)+" "+strings.TrimSpace(line))
	}
	return lines, nil
}
