package uplinks

import (
	"net/netip"

	"mifvif/netwatch"
	"mifvif/pvd"
)

// othersBySource leads the host's own packets from an address on to the rule by which
// somebody else has them leave, as hosts with several networks have it without
// mifvif. Theirs come after ours, which would lead those packets into mif0: apps that
// bind such an address would leave by any network, and nobody who has connected to it
// from outside would get an answer. What is a domain's is left to the domain. A copy of
// their rule would be found in its place by whoever deletes it.
func othersBySource(set *pvd.Set, rules []netwatch.Rule) []netwatch.Rule {
	type source struct {
		src netip.Prefix
		is6 bool
	}
	owners, seen := addressOwners(set), make(map[source]bool)
	var out []netwatch.Rule
	for _, r := range rules { // by priority
		from := source{r.Src, r.Is6}
		if !bySourceAlone(r) || seen[from] || owned(owners, r.Src) || len(out) == maxSourced {
			continue
		}
		seen[from] = true
		out = append(out, netwatch.Rule{Priority: ruleDevice, Is6: r.Is6, Src: r.Src, Iif: "lo", Mask: pvd.MarkMask, Goto: r.Priority}) // none of our own
	}
	return out
}

// bySourceAlone reports whether a rule of somebody else's, behind ours, leads all
// packets from a prefix to a table of theirs.
func bySourceAlone(r netwatch.Rule) bool {
	plain := netwatch.Rule{Priority: r.Priority, Is6: r.Is6, Src: r.Src, Iif: r.Iif, Table: r.Table, Protocol: r.Protocol}
	const ours = 6419 // the last priority of mifvif's
	return r == plain && r.Protocol != netwatch.Protocol && r.Priority > ours && (r.Iif == "" || r.Iif == "lo") &&
		r.Src.IsValid() && r.Src.Bits() > 0 && !kernelTable(r.Table)
}

// owned reports whether p is the address of one living domain.
func owned(owners map[netip.Addr]ownership, p netip.Prefix) bool {
	o := owners[p.Addr()]
	return p.IsSingleIP() && o.first != nil && o.first.State != pvd.Offline && o.first.State != pvd.Disabled && o.only(o.first)
}

// kernelTable reports whether a table is one of the kernel's own: default, main and
// local. What is left to main is for mif0.
func kernelTable(table int) bool { return table == 0 || table >= 253 && table <= 255 }
