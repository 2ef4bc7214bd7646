package uplinks

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"mifvif/pvd"
)

// guardTable is the name of our nftables table (contract).
const guardTable = "mifvif"

// house are the addresses that live on mif0 and nowhere else.
func house() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("2001:2::/48")}
}

// guard keeps uplinks apart (RFC 1122 3.3.4.2, strong host): what arrives on
// one for the address of another is dropped, and nothing is forwarded from one
// to another or into mif0 (RFC 6418 3.2-9), whatever ip_forward says.
type guard struct {
	own     string
	applied string // what is in the kernel, in words
	rules   int
}

func newGuard(own string) guard { return guard{own: own} }

// verdict is one rule of the guard, as its matches; all of them drop.
type verdict struct {
	chain string // input or forward
	iif   string
	oif   string
	dst   netip.Prefix
}

// verdicts returns the rules for the domains of set, in a stable order.
func (g *guard) verdicts(set *pvd.Set) []verdict {
	var out []verdict
	owners := addressOwners(set)
	for _, d := range set.All() {
		if d.State == pvd.Offline || d.State == pvd.Disabled {
			continue
		}
		for _, p := range house() {
			out = append(out, verdict{chain: "input", iif: d.Interface, dst: p})
		}
		out = append(out, verdict{chain: "forward", iif: d.Interface, oif: g.own})
		for _, other := range set.All() {
			if other.Interface == d.Interface || other.State == pvd.Offline || other.State == pvd.Disabled {
				continue
			}
			out = append(out, verdict{chain: "forward", iif: d.Interface, oif: other.Interface})
			for _, a := range other.Addresses {
				if addr := a.Prefix.Addr(); owners[addr] == 1 {
					out = append(out, verdict{chain: "input", iif: d.Interface, dst: netip.PrefixFrom(addr, addr.BitLen())})
				}
			}
		}
	}
	return slices.CompactFunc(out, func(a, b verdict) bool { return a == b })
}

// apply makes the guard's table what set asks for, in one transaction.
func (g *guard) apply(set *pvd.Set) error {
	verdicts := g.verdicts(set)
	var words strings.Builder
	for _, v := range verdicts {
		fmt.Fprintln(&words, v.chain, v.iif, v.oif, v.dst)
	}
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("reach nftables: %w", err)
	}
	if g.applied == words.String() && g.intact(conn) {
		return nil
	}
	table := &nftables.Table{Family: nftables.TableFamilyINet, Name: guardTable}
	conn.AddTable(table)
	conn.FlushTable(table)
	accept := nftables.ChainPolicyAccept
	chains := map[string]*nftables.Chain{
		"input": conn.AddChain(&nftables.Chain{
			Name: "input", Table: table, Type: nftables.ChainTypeFilter, Policy: &accept,
			Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter,
		}),
		"forward": conn.AddChain(&nftables.Chain{
			Name: "forward", Table: table, Type: nftables.ChainTypeFilter, Policy: &accept,
			Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
		}),
	}
	for _, v := range verdicts {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chains[v.chain], Exprs: v.exprs()})
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("write the nftables table %s: %w", guardTable, err)
	}
	g.applied, g.rules = words.String(), len(verdicts)
	return nil
}

// intact reports whether every rule that was written is still there.
func (g *guard) intact(conn *nftables.Conn) bool {
	table := &nftables.Table{Family: nftables.TableFamilyINet, Name: guardTable}
	count := 0
	for _, name := range []string{"input", "forward"} {
		rules, err := conn.GetRules(table, &nftables.Chain{Name: name, Table: table})
		if err != nil {
			return false
		}
		count += len(rules)
	}
	return count == g.rules
}

// exprs returns the rule: its matches, a counter, drop.
func (v verdict) exprs() []expr.Any {
	e := ifname(expr.MetaKeyIIFNAME, v.iif)
	if v.oif != "" {
		e = append(e, ifname(expr.MetaKeyOIFNAME, v.oif)...)
	}
	if v.dst.IsValid() {
		e = append(e, destination(v.dst)...)
	}
	return append(e, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop})
}

// ifname matches an interface by name.
func ifname(key expr.MetaKey, name string) []expr.Any {
	data := make([]byte, unix.IFNAMSIZ)
	copy(data, name)
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data},
	}
}

// destination matches packets of the prefix's family to the prefix.
func destination(p netip.Prefix) []expr.Any {
	family, offset, length := byte(unix.NFPROTO_IPV4), uint32(16), uint32(4)
	if p.Addr().Is6() {
		family, offset, length = unix.NFPROTO_IPV6, 24, 16
	}
	mask := make([]byte, length)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: length, Mask: mask, Xor: make([]byte, length)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: p.Masked().Addr().AsSlice()},
	}
}

// removeGuard deletes the table, if there is one.
func removeGuard() error {
	conn, err := nftables.New()
	if err != nil {
		return nil //nolint:nilerr // a kernel without nftables has no table of ours
	}
	conn.DelTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: guardTable})
	err = conn.Flush()
	if err == nil || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil
	}
	return fmt.Errorf("remove the nftables table %s: %w", guardTable, err)
}
