package lab

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The names of the edge filter, as `nft list ruleset` shows them.
const (
	filterTable   = "lab"
	filterCounter = "drop38"
)

// EdgeFilter makes the node a border router that follows BCP 38 (RFC 2827): of
// all packets it forwards out of the link named out it passes those from the
// network's own prefixes and drops the rest. Drop38 counts them. The counter
// proves that nobody sent a source out of the wrong network.
func (n *Node) EdgeFilter(out string, own []netip.Prefix) error {
	conn, err := n.nft()
	if err != nil {
		return err
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: filterTable})
	chain := conn.AddChain(&nftables.Chain{
		Name: "forward", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
	})
	conn.AddObj(&nftables.CounterObj{Table: table, Name: filterCounter})
	for _, p := range own {
		pass := append(leavingBy(out), fromPrefix(p)...)
		pass = append(pass, &expr.Verdict{Kind: expr.VerdictAccept})
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: pass})
	}
	drop := append(leavingBy(out),
		&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: filterCounter},
		&expr.Verdict{Kind: expr.VerdictDrop})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: drop})
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("set the edge filter of %s: %w", n.Name, err)
	}
	return nil
}

// Drop38 returns how many packets the node's edge filter has dropped.
func (n *Node) Drop38() (uint64, error) {
	conn, err := n.nft()
	if err != nil {
		return 0, err
	}
	table := &nftables.Table{Family: nftables.TableFamilyINet, Name: filterTable}
	obj, err := conn.GetObject(&nftables.CounterObj{Table: table, Name: filterCounter})
	if err != nil {
		return 0, fmt.Errorf("read %s of %s: %w", filterCounter, n.Name, err)
	}
	return obj.(*nftables.CounterObj).Packets, nil
}

// DeleteFilter deletes an nftables table of the family inet.
func (n *Node) DeleteFilter(table string) error {
	conn, err := n.nft()
	if err != nil {
		return err
	}
	conn.DelTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: table})
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("delete the table %s of %s: %w", table, n.Name, err)
	}
	return nil
}

func (n *Node) nft() (*nftables.Conn, error) {
	conn, err := nftables.New(nftables.WithNetNSFd(int(n.ns.Fd())))
	if err != nil {
		return nil, fmt.Errorf("open nftables of %s: %w", n.Name, err)
	}
	return conn, nil
}

// leavingBy matches packets from inside that leave by a link. What came in by
// it and turns round, because the way inside is down, has its sender outside.
func leavingBy(link string) []expr.Any {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, link)
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: name},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name},
	}
}

// fromPrefix matches packets of p's family whose source is in p.
func fromPrefix(p netip.Prefix) []expr.Any {
	family, offset := byte(unix.NFPROTO_IPV4), uint32(12)
	if p.Addr().Is6() {
		family, offset = unix.NFPROTO_IPV6, 8
	}
	size := uint32(p.Addr().BitLen() / 8)
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size, Mask: ipNet(p).Mask, Xor: make([]byte, size)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: p.Masked().Addr().AsSlice()},
	}
}
