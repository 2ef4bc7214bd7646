package scheduler

import (
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
)

// index finds the first of many matches that is about a flow by looking at few
// of them. It is a tree: each node tells its matches apart by what they say of
// one property, and keeps those that say nothing of it aside. What it finds by
// key is always compared in full, so that a key may be a hash. It is immutable:
// safe for concurrent use.
type index struct {
	matches []*Match
	root    *node // nil: there are none
	// naming: the index is of what tells destinations apart; whose flow it is does
	// not matter to it.
	naming bool
}

// node is one place of the tree: a leaf with its matches, or a property with a
// branch for each value.
type node struct {
	least int32   // the first match below: nothing here comes before it
	list  []int32 // of a leaf, in order

	by    property
	keyed map[uint64]*node      // of a property with keys
	nets  *bart.Table[*netNode] // of a property with prefixes
	rest  *node                 // matches that do not limit the property
}

// netNode is the branch of one prefix, with that of the next wider one.
type netNode struct {
	node  *node
	wider *netNode
}

// property is something of a flow that matches can be told apart by.
type property uint8

const (
	byDst property = iota
	bySrc
	byName
	byPort
	byUser
	byProcess
	byCgroup
	byIngress
	byDSCP
	byProto
	properties
)

// ofOwner reports whether the property is one of whose flow it is.
func (p property) ofOwner() bool { return p == byUser || p == byProcess || p == byCgroup }

// Bounds of the tree: it is not worth looking anything up for so few matches,
// and a match with more values than that is kept aside below the first node, or
// a policy of many long lists would be multiplied with itself.
const (
	leafSize  = 4
	fewValues = 16
	anyValues = 1 << 14
)

// newIndex returns the index of matches, which are in canonical form.
func newIndex(matches []*Match, naming bool) *index {
	x := &index{matches: matches, naming: naming}
	if len(matches) > 0 {
		all := make([]int32, len(matches))
		for i := range all {
			all[i] = int32(i)
		}
		x.root = x.build(all, 0, anyValues)
	}
	return x
}

// build makes the node of some matches, in order; used are the properties that
// were told apart above.
func (x *index) build(list []int32, used uint16, most int) *node {
	n := &node{least: list[0]}
	by, cost := properties, len(list)
	for p := range properties {
		if len(list) > leafSize && used&(1<<p) == 0 && (!x.naming || !p.ofOwner()) {
			if c := x.cost(list, p, most); c < cost {
				by, cost = p, c
			}
		}
	}
	if by == properties {
		n.list = list
		return n
	}
	n.by, used = by, used|1<<by
	var rest []int32
	if by == byDst || by == bySrc {
		groups := make(map[netip.Prefix][]int32)
		for _, i := range list {
			rest = group(groups, rest, i, x.matches[i].nets(by), most)
		}
		n.nets = new(bart.Table[*netNode])
		for _, p := range sortedPrefixes(groups) {
			wider, _ := n.nets.Lookup(p.Addr())
			n.nets.Insert(p, &netNode{x.build(groups[p], used, fewValues), wider})
		}
	} else {
		groups := make(map[uint64][]int32)
		for _, i := range list {
			rest = group(groups, rest, i, x.matches[i].keys(by), most)
		}
		n.keyed = make(map[uint64]*node, len(groups))
		for k, g := range groups {
			n.keyed[k] = x.build(g, used, fewValues)
		}
	}
	if len(rest) > 0 {
		n.rest = x.build(rest, used, most)
	}
	return n
}

// group puts match i where its values belong, or aside.
func group[K comparable](groups map[K][]int32, rest []int32, i int32, values []K, most int) []int32 {
	if len(values) == 0 || len(values) > most {
		return append(rest, i)
	}
	for _, v := range values {
		if g := groups[v]; len(g) == 0 || g[len(g)-1] != i {
			groups[v] = append(g, i)
		}
	}
	return rest
}

// cost is how many matches may have to be looked at when list is told apart by p.
func (x *index) cost(list []int32, p property, most int) int {
	var rest []int32
	largest := 0
	if p == byDst || p == bySrc {
		groups := make(map[netip.Prefix][]int32)
		for _, i := range list {
			rest = group(groups, rest, i, x.matches[i].nets(p), most)
		}
		for _, g := range groups {
			largest = max(largest, len(g))
		}
	} else {
		groups := make(map[uint64][]int32)
		for _, i := range list {
			rest = group(groups, rest, i, x.matches[i].keys(p), most)
		}
		for _, g := range groups {
			largest = max(largest, len(g))
		}
	}
	return largest + len(rest)
}

// sortedPrefixes returns the keys, wider prefixes first.
func sortedPrefixes(groups map[netip.Prefix][]int32) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(groups))
	for p := range groups {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b netip.Prefix) int { return a.Bits() - b.Bits() })
	return out
}

// first returns the place of the first match that is about f, -1 if there is
// none. It does not allocate.
func (x *index) first(f *subject) int32 {
	best := int32(len(x.matches))
	if x.root != nil {
		best = x.below(x.root, f, best)
	}
	if best == int32(len(x.matches)) {
		return -1
	}
	return best
}

// below returns the first match below n that is about f, or best if none of them
// comes before it.
func (x *index) below(n *node, f *subject, best int32) int32 {
	if n == nil || n.least >= best {
		return best
	}
	for _, i := range n.list {
		if i >= best {
			return best
		}
		if x.about(x.matches[i], f) {
			return i
		}
	}
	best = x.below(n.rest, f, best)
	switch n.by {
	case byDst, bySrc:
		if n.nets != nil {
			best = x.belowNets(n, f, best)
		}
	case byName:
		best = x.belowNames(n, f, best)
	case byCgroup:
		best = x.belowCgroups(n, f, best)
	default:
		best = x.below(n.keyed[f.key(n.by)], f, best)
	}
	return best
}

// about reports whether a match is about f as far as the index cares.
func (x *index) about(m *Match, f *subject) bool {
	if x.naming {
		return m.tellsApart(f.family) && m.concerns(f)
	}
	return m.matches(f)
}

// belowNets looks at the prefixes around an address, the longest first.
func (x *index) belowNets(n *node, f *subject, best int32) int32 {
	addr := f.dst
	if n.by == bySrc {
		addr = f.src
	}
	at, _ := n.nets.Lookup(addr)
	for ; at != nil; at = at.wider {
		best = x.below(at.node, f, best)
	}
	return best
}

// belowNames looks at a name and at all domains it lies in.
func (x *index) belowNames(n *node, f *subject, best int32) int32 {
	if f.Name == "" || n.keyed == nil {
		return best
	}
	best = x.below(n.keyed[exactKey(f.Name)], f, best)
	for i := range len(f.Name) {
		if f.Name[i] == '.' {
			best = x.below(n.keyed[belowKey(f.Name[i+1:])], f, best)
		}
	}
	return best
}

// belowCgroups looks at a group and at all groups it lies in.
func (x *index) belowCgroups(n *node, f *subject, best int32) int32 {
	group := f.Owner.Cgroup
	for i := 1; i <= len(group); i++ {
		if i == len(group) || group[i] == '/' {
			best = x.below(n.keyed[hashString(hashSeed, group[:i])], f, best)
		}
	}
	return best
}
