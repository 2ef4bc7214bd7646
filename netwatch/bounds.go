package netwatch

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// Bounds on the routes of one table by one interface that a State holds. Anybody
// on a link can make the kernel take on routers and prefixes without end (RFC 4861
// 6.3.4), and every reading costs as much as it holds.
const (
	// maxRoutes bounds the routes that somebody has set: a host with a full
	// Internet table gets as many as fit, in the kernel's order.
	maxRoutes = 4096
	// maxDefaults bounds the next hops for everything in the main table, the first
	// ones first: those that were there before a flood stay. Whoever needs more of
	// them is no host (RFC 4861 6.3.4: at least two).
	maxDefaults = 8
	// maxAdvertised bounds the prefixes that routers say are on the link, those
	// inside each prefix of another interface by themselves: that there are some is
	// never overlooked. Those behind routers (RFC 4191) count among them.
	maxAdvertised = 16
)

// quota is what a bound holds for.
type quota struct {
	table, ifindex int
	why            reason
	within         netip.Prefix // of another interface, zero for none
	from           netip.Prefix // of next hops: for whose packets
	is6            bool
}

// reason is why there are routes of a kind.
type reason uint8

const (
	somebody   reason = iota // has set it
	everything               // is behind a router
	advertised               // to be on the link, or behind a router
)

// keeper decides which routes a reading keeps.
type keeper struct {
	addresses []Address
	count     map[quota]int
}

func newKeeper(addresses []Address) *keeper {
	return &keeper{addresses: addresses, count: make(map[quota]int)}
}

// keeps reports whether there is room for a route, and takes it. Routes to the
// prefixes of the host's own addresses are always kept.
func (k *keeper) keeps(r *Route) bool {
	q, most := quota{table: r.Table, ifindex: r.Ifindex, is6: r.Dst.Addr().Is6()}, maxRoutes
	switch {
	case r.Table != mainTable: // ours, which we know better than to flood
	case r.Dst.Bits() == 0:
		q.why, q.from, most = everything, r.From, maxDefaults
	case r.Protocol == unix.RTPROT_KERNEL && k.connected(r):
		return true
	case r.Protocol == unix.RTPROT_KERNEL, r.Protocol == unix.RTPROT_RA:
		q.why, q.within, most = advertised, k.within(r), maxAdvertised
	}
	k.count[q]++
	return k.count[q] <= most
}

// connected reports whether a route follows from an address of its interface.
func (k *keeper) connected(r *Route) bool {
	for i := range k.addresses {
		a := &k.addresses[i]
		if a.Ifindex == r.Ifindex && (a.Prefix.Masked() == r.Dst || a.Peer.IsValid() && r.Dst.Contains(a.Peer)) {
			return true
		}
	}
	return false
}

// within returns the prefix of another interface that a route speaks of.
func (k *keeper) within(r *Route) netip.Prefix {
	for i := range k.addresses {
		a := &k.addresses[i]
		if a.Ifindex != r.Ifindex && a.Prefix.Bits() <= r.Dst.Bits() && a.Prefix.Contains(r.Dst.Addr()) {
			return a.Prefix.Masked()
		}
	}
	return netip.Prefix{}
}
