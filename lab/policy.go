package lab

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// AddRule has the node look into a table for packets to a prefix, before the
// main table.
func (n *Node) AddRule(priority int, to netip.Prefix, table int) error {
	rule := netlink.NewRule()
	rule.Priority, rule.Dst, rule.Table, rule.Family = priority, ipNet(to), table, netlink.FAMILY_V4
	if to.Addr().Is6() {
		rule.Family = netlink.FAMILY_V6
	}
	if err := n.netlink.RuleAdd(rule); err != nil {
		return fmt.Errorf("add rule %d to %s: %w", priority, n.Name, err)
	}
	return nil
}

// Masquerade gives IPv4 packets that leave by a link that link's source address,
// as home routers do.
func (n *Node) Masquerade(out string) error {
	conn, err := n.nft()
	if err != nil {
		return err
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "masquerade"})
	chain := conn.AddChain(&nftables.Chain{
		Name: "postrouting", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, out)
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name},
		&expr.Masq{},
	}})
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("masquerade in %s: %w", n.Name, err)
	}
	return nil
}
