package uplinks

import (
	"net/netip"

	"mifvif/netwatch"
	"mifvif/pvd"
)

// Priorities of the rules, before the kernel's own main table (32766). The
// letters are those of ARCHITECTURE.md, "How traffic is drawn in, and out".
const (
	ruleMark   = 6410 // (a) a domain's mark -> its table
	ruleLocal  = 6411 // (a2) the host's own networks
	ruleSource = 6413 // (b) a domain's address -> its table
	ruleDevice = 6414 // (b2) apps bound to an uplink's device, and others' rules by source
	ruleLost   = 6415 // (b3) any other mark of ours -> unreachable
)

// rulesOf returns the rules that lead to the domains' tables.
func rulesOf(set *pvd.Set) []netwatch.Rule {
	var rules []netwatch.Rule
	both := func(r netwatch.Rule) {
		rules = append(rules, r)
		r.Is6 = true
		rules = append(rules, r)
	}
	owners := addressOwners(set)
	for _, d := range set.All() {
		if d.State == pvd.Disabled {
			continue
		}
		both(netwatch.Rule{Priority: ruleMark, Mark: d.Mark(), Mask: pvd.MarkMask, Table: d.Table()})
		if d.State == pvd.Offline {
			continue
		}
		for _, a := range d.Addresses {
			addr := a.Prefix.Addr()
			if owners[addr].only(d) {
				rules = append(rules, netwatch.Rule{
					Priority: ruleSource, Is6: addr.Is6(), Src: netip.PrefixFrom(addr, addr.BitLen()), Table: d.Table(),
				})
			}
		}
		for _, is6 := range []bool{false, true} {
			if forDevice(set, d.Interface, is6) == d {
				rules = append(rules, netwatch.Rule{Priority: ruleDevice, Is6: is6, Oif: d.Interface, Table: d.Table()})
			}
		}
	}
	both(netwatch.Rule{Priority: ruleLocal, Mark: 0, Mask: pvd.MarkMask, Table: localTable})
	both(netwatch.Rule{Priority: ruleLost, Mark: 0, Mask: pvd.MarkMask, Invert: true, Type: netwatch.Unreachable})
	return rules
}

// forDevice returns the domain whose table apps get that bind a device and no
// address: of those on it the first that has a default route for the family, else
// the first.
func forDevice(set *pvd.Set, ifname string, is6 bool) *pvd.Domain {
	var first *pvd.Domain
	for _, d := range set.All() {
		if d.Interface != ifname || d.State == pvd.Disabled || d.State == pvd.Offline {
			continue
		}
		if d.HasAddress(is6) && d.HasDefault(is6) {
			return d
		}
		if first == nil {
			first = d
		}
	}
	return first
}

// ownership says on how many interfaces an address is, and which domain has it
// first.
type ownership struct {
	first  *pvd.Domain
	shared bool // on another interface too
}

// only reports whether packets from the address belong to d: of an address that is
// on two interfaces nobody can say, so it gets no rule of its own.
func (o ownership) only(d *pvd.Domain) bool { return o.first == d && !o.shared }

func addressOwners(set *pvd.Set) map[netip.Addr]ownership {
	owners := make(map[netip.Addr]ownership)
	for _, d := range set.All() {
		for _, a := range d.Addresses {
			o := owners[a.Prefix.Addr()]
			if o.first == nil {
				o.first = d
			}
			o.shared = o.shared || o.first.Ifindex != d.Ifindex
			owners[a.Prefix.Addr()] = o
		}
	}
	return owners
}

// ownRule reports whether a priority is one of this package's.
func ownRule(priority int) bool {
	switch priority {
	case ruleMark, ruleLocal, ruleSource, ruleDevice, ruleLost:
		return true
	}
	return false
}

// ownTable reports whether a table is one of this package's.
func ownTable(table int) bool {
	return table == localTable || table >= pvd.FirstTable && table < pvd.FirstTable+pvd.MaxDomains
}

// isUplink reports whether the domain's interface is treated as a way out: not
// while it leads nowhere, when its networks are the host's own like any other
// interface's.
func isUplink(d *pvd.Domain) bool { return d.State != pvd.Offline }
