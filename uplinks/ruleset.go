package uplinks

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// guardTable is the name of our nftables table (contract).
const guardTable = "mifvif"

// The sets of the guard.
const (
	setUplinks = "uplinks" // interfaces
	setLANs    = "lans"    // likewise
	setSame    = "same"    // every uplink paired with itself
	setOwned4  = "owned4"  // addresses of any uplink
	setOwned6  = "owned6"
	setHere4   = "here4" // uplink and address where they belong together
	setHere6   = "here6"
	setOurs4   = "ours4" // all addresses of this host
	setOurs6   = "ours6"
)

// The chains of the guard. What does not come from an uplink, or leave by one, leaves
// the base chains at their first rule.
const (
	chainInput   = "input"
	chainForward = "forward"
	chainOutput  = "output"
	chainStrong  = "strong"
	chainApart   = "apart"
	chainSource  = "source"
)

// house are the addresses that live on mif0 and nowhere else.
func house() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("2001:2::/48")}
}

func ourTable() *nftables.Table {
	return &nftables.Table{Family: nftables.TableFamilyINet, Name: guardTable}
}

func guardSets() []*nftables.Set {
	set := func(name string, types ...nftables.SetDatatype) *nftables.Set {
		if len(types) == 1 {
			set := &nftables.Set{Table: ourTable(), Name: name, KeyType: types[0]}
			if types[0] == nftables.TypeIFName {
				set.KeyByteOrder = binaryutil.NativeEndian // else nft(8) shows empty names
			}
			return set
		}
		return &nftables.Set{Table: ourTable(), Name: name, KeyType: nftables.MustConcatSetType(types...), Concatenation: true}
	}
	return []*nftables.Set{
		set(setUplinks, nftables.TypeIFName), set(setLANs, nftables.TypeIFName), set(setSame, nftables.TypeIFName, nftables.TypeIFName),
		set(setOwned4, nftables.TypeIPAddr), set(setOwned6, nftables.TypeIP6Addr),
		set(setHere4, nftables.TypeIFName, nftables.TypeIPAddr), set(setHere6, nftables.TypeIFName, nftables.TypeIP6Addr),
		set(setOurs4, nftables.TypeIPAddr), set(setOurs6, nftables.TypeIP6Addr),
	}
}

// guardChains returns the chains; those that are jumped to come first.
func guardChains(table *nftables.Table) []*nftables.Chain {
	accept := nftables.ChainPolicyAccept
	base := func(name string, hook *nftables.ChainHook) *nftables.Chain {
		return &nftables.Chain{
			Name: name, Table: table, Type: nftables.ChainTypeFilter, Policy: &accept,
			Hooknum: hook, Priority: nftables.ChainPriorityFilter,
		}
	}
	return []*nftables.Chain{
		{Name: chainStrong, Table: table},
		{Name: chainApart, Table: table},
		{Name: chainSource, Table: table},
		base(chainInput, nftables.ChainHookInput), base(chainForward, nftables.ChainHookForward), base(chainOutput, nftables.ChainHookOutput),
	}
}

// rules returns the rules of a chain. Each carries its own words as a comment,
// by which it is known again.
func (g *guard) rules(table *nftables.Table, chain string) []*nftables.Rule {
	var rules []*nftables.Rule
	add := func(comment string, parts ...[]expr.Any) {
		r := &nftables.Rule{Table: table, Chain: &nftables.Chain{Name: chain, Table: table}}
		r.UserData = userdata.AppendString(nil, userdata.TypeComment, comment)
		for _, p := range parts {
			r.Exprs = append(r.Exprs, p...)
		}
		rules = append(rules, r)
	}
	in, out := name(expr.MetaKeyIIFNAME, 1), name(expr.MetaKeyOIFNAME, 1)
	switch chain {
	case chainInput:
		add("from an uplink", in, among(setUplinks), jump(chainStrong))
	case chainForward:
		add("from an uplink", in, among(setUplinks), jump(chainApart))
		add("from a LAN to an uplink", in, among(setLANs), out, among(setUplinks), drop())
		add("from a LAN by this host's address", in, among(setLANs), family(false), saddr(false, 1), among(setOurs4), drop())
		add("from a LAN by this host's address", in, among(setLANs), family(true), saddr(true, 1), among(setOurs6), drop())
	case chainOutput:
		add("by an uplink", out, among(setUplinks), jump(chainSource))
	case chainStrong:
		add("its own address", family(false), in, daddr(false, 2), among(setHere4), stop(expr.VerdictReturn))
		add("its own address", family(true), in, daddr(true, 2), among(setHere6), stop(expr.VerdictReturn))
		add("another uplink's address", family(false), daddr(false, 1), among(setOwned4), drop())
		add("another uplink's address", family(true), daddr(true, 1), among(setOwned6), drop())
		for _, p := range house() {
			is6 := p.Addr().Is6()
			add("an address of mif0's", family(is6), daddr(is6, 1), within(p), drop())
		}
	case chainSource:
		add("its own address", family(false), out, saddr(false, 2), among(setHere4), stop(expr.VerdictReturn))
		add("its own address", family(true), out, saddr(true, 2), among(setHere6), stop(expr.VerdictReturn))
		add("another uplink's address", family(false), saddr(false, 1), among(setOwned4), drop())
		add("another uplink's address", family(true), saddr(true, 1), among(setOwned6), drop())
		for _, p := range house() {
			is6 := p.Addr().Is6()
			add("an address of mif0's", family(is6), saddr(is6, 1), within(p), drop())
		}
	case chainApart:
		add("back where it came from", in, name(expr.MetaKeyOIFNAME, 2), among(setSame), stop(expr.VerdictReturn))
		add("to another uplink", out, among(setUplinks), drop())
		add("to "+g.own, out, equal([]byte(nameKey(g.own))), drop())
	}
	return rules
}

// nameKey is an interface's name as nftables compares it.
func nameKey(ifname string) string {
	var key [unix.IFNAMSIZ]byte
	copy(key[:], ifname)
	return string(key[:])
}

func name(key expr.MetaKey, register uint32) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: register}}
}

func family(is6 bool) []expr.Any {
	proto := byte(unix.NFPROTO_IPV4)
	if is6 {
		proto = unix.NFPROTO_IPV6
	}
	return append([]expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}}, equal([]byte{proto})...)
}

// daddr loads the destination address from the IP header.
func daddr(is6 bool, register uint32) []expr.Any {
	if is6 {
		return address(24, 16, register)
	}
	return address(16, 4, register)
}

// saddr loads the source address.
func saddr(is6 bool, register uint32) []expr.Any {
	if is6 {
		return address(8, 16, register)
	}
	return address(12, 4, register)
}

func address(offset, length, register uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}}
}

// among matches what was loaded, from the first register on, with a set.
func among(set string) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: set}}
}

func equal(data []byte) []expr.Any {
	return []expr.Any{&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data}}
}

// within matches the address in the first register with a prefix.
func within(p netip.Prefix) []expr.Any {
	length := p.Addr().BitLen() / 8
	mask := make([]byte, length)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return append([]expr.Any{&expr.Bitwise{
		SourceRegister: 1, DestRegister: 1, Len: uint32(length), Mask: mask, Xor: make([]byte, length),
	}}, equal(p.Masked().Addr().AsSlice())...)
}

func jump(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
}

func stop(kind expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: kind}} }

func drop() []expr.Any { return append([]expr.Any{&expr.Counter{}}, stop(expr.VerdictDrop)...) }
