package pvd

import "net/netip"

// State is what a domain can be used for now; the words are those of JSON.
type State string

// The states of a domain.
const (
	Online     State = "online"
	Connecting State = "connecting"
	Degraded   State = "degraded"
	Captive    State = "captive"
	Offline    State = "offline"
	Disabled   State = "disabled"
	Draining   State = "draining"
)

// Connectivity is what validation found behind a domain.
type Connectivity string

// The words of Connectivity.
const (
	Full    Connectivity = "full"
	Portal  Connectivity = "portal"
	Limited Connectivity = "limited"
	None    Connectivity = "none"
	Unknown Connectivity = "unknown"
)

// Domain is one provisioning domain (RFC 7556) with its way out: one
// consistent set of configuration. A Domain is immutable; a change makes a new
// one with the same Name and Slot. Compare instances by Key.
type Domain struct {
	Name     string // stable handle: PvD id, interface, or the configuration's name
	ID       string // explicit PvD id (FQDN), "" for an implicit one
	Explicit bool
	// Shared: its id was proven here and on other links, so that they are one
	// domain for policy (RFC 7556 2.3): rules by the id and its zones mean all of
	// them. Addresses, next hops, answers and caches stay each instance's own.
	Shared    bool
	Slot      uint16 // small number, unique among living domains: table and mark follow from it
	Attached  uint64 // attachment generation: a new number after every loss of the link
	Interface string
	Ifindex   int
	P2P       bool // point-to-point link: routes need no next hop
	MTU       int  // bytes

	Addresses []Address
	// Wanted are the addresses that mifvif has to put on the interface, because the
	// kernel does not form them: those of prefixes inside a PvD option. They are
	// among Addresses once they are there and usable.
	Wanted    []Wanted
	NextHops  []NextHop
	Adverts   []Advert
	Routes    []Route
	Prefixes  []netip.Prefix // declared as being behind the domain
	Resolvers []Resolver
	// Designated are named only; what is found of them is among Resolvers.
	Designated []Designation
	Zones      []Zone
	Search     []Zone
	NTP        []TimeServer
	PREF64     []PREF64
	Portal     PortalAPI
	// Additional is of explicit domains only.
	Additional Additional
	PortalURL  string // where a person logs in while State is Captive, "" if not known
	Check      Check
	// Selection is the domain's own address selection table, empty for the default
	// one (RFC 6724 2.1).
	Selection []PolicyRow
	// PreferPublic turns rule 7 of RFC 6724 section 5 around.
	PreferPublic bool

	State        State
	Connectivity Connectivity
	Reason       string // why State is what it is, for people
	Internet     bool   // false: only its zones, prefixes and routes
	NoInternet   bool   // its network says that it leads to nothing else (RFC 8801 4.3)
	// Isolated: validation found no Internet behind it while another domain has
	// it, so that it is left to its own zones, prefixes and routes.
	Isolated  bool
	Trust     Trust
	Metered   bool
	Weight    int // of the weighted algorithm, at least 1
	Bandwidth Bandwidth
	Cap       Cap
}

// Bandwidth is what a domain can carry, as declared; bits per second, 0 if it is
// not known.
type Bandwidth struct{ Down, Up uint64 }

// Cap is how much data a domain may carry in a month. The zero Cap is none.
type Cap struct {
	Bytes    uint64 // both directions together
	ResetDay int    // day of the month on which it begins again
	Stop     bool   // when it is reached no new flow is put there; else only where nothing else is left
}

// Numbers that every domain's table and mark are derived from (contract: own
// values on the system).
const (
	FirstTable = 64200
	MarkMask   = 0xfff00000
	markShift  = 20
	// SourceRoutedMark is the one mark without a domain: its packets are routed
	// by their source address (MPTCP copies a mark to every subflow).
	SourceRoutedMark = 0xfff00000
	// MaxDomains bounds Slot, so that every domain has a mark of its own.
	MaxDomains = 1024
)

// Key tells one instance of a domain from every other that ever lived in this
// process: the same network after a loss of the link is a new instance.
type Key struct {
	Slot     uint16
	Attached uint64
}

// Key returns the identity of this instance.
func (d *Domain) Key() Key { return Key{d.Slot, d.Attached} }

// Table returns the number of the domain's routing table.
func (d *Domain) Table() int { return FirstTable + int(d.Slot) }

// Mark returns the fwmark of the domain's sockets, inside MarkMask.
func (d *Domain) Mark() uint32 { return (uint32(d.Slot) + 1) << markShift }

// Usable reports whether new flows of the family may be put on the domain:
// its state allows it, it has a source address that is not deprecated, and a
// next hop (or a link that needs none).
func (d *Domain) Usable(is6 bool) bool {
	return d.State.takesFlows() && d.HasSource(is6) && d.HasNextHop(is6)
}

// takesFlows reports whether a domain in this state gets new general flows.
func (s State) takesFlows() bool { return s == Online || s == Degraded }

// Leads reports whether destinations that no domain claims may be reached by d.
func (d *Domain) Leads(is6 bool) bool { return d.Internet && !d.Isolated && d.HasDefault(is6) }

// HasSource reports whether the domain has a preferred source address of the
// family.
func (d *Domain) HasSource(is6 bool) bool {
	for _, a := range d.Addresses {
		if a.Prefix.Addr().Is6() == is6 && !a.Deprecated {
			return true
		}
	}
	return false
}

// HasNextHop reports whether the domain has a way to the rest of the world, or
// to its own prefixes, for the family.
func (d *Domain) HasNextHop(is6 bool) bool {
	if d.HasDefault(is6) || !d.Internet && d.onLinkOnly(is6) {
		return true
	}
	for _, r := range d.Routes {
		if r.Dst.Addr().Is6() == is6 {
			return true
		}
	}
	return false
}

// HasHop reports whether d has a next hop of the family.
func (d *Domain) HasHop(is6 bool) bool {
	for _, h := range d.NextHops {
		if h.Is6 == is6 {
			return true
		}
	}
	return false
}

// HasAddress reports whether d has any address of the family.
func (d *Domain) HasAddress(is6 bool) bool {
	for _, a := range d.Addresses {
		if a.Prefix.Addr().Is6() == is6 {
			return true
		}
	}
	return false
}

// HasDefault reports whether the domain has a next hop of the family for
// destinations that none of its routes names.
func (d *Domain) HasDefault(is6 bool) bool {
	for _, n := range d.NextHops {
		if n.Is6 == is6 {
			return true
		}
	}
	return d.P2P && len(d.NextHops) == 0
}

// onLinkOnly reports whether the domain has neighbours of the family on its link.
func (d *Domain) onLinkOnly(is6 bool) bool {
	for _, a := range d.Addresses {
		if a.Prefix.Addr().Is6() == is6 && !a.Prefix.IsSingleIP() {
			return true
		}
	}
	return false
}

// OnLink reports whether an address lies in a prefix of the domain's link.
func (d *Domain) OnLink(a netip.Addr) bool {
	_, ok := d.onLink(a)
	return ok
}

// Alive reports whether flows that are on the domain may stay: its link is up
// and it has an address. A domain whose next hop is missing for a moment is
// alive, although it takes no new flows.
func (d *Domain) Alive() bool { return len(d.Addresses) > 0 }

// Inside reports whether the domain has a private address of the family: a
// private network may lie behind its router.
func (d *Domain) Inside(is6 bool) bool {
	for _, a := range d.Addresses {
		if a.Prefix.Addr().Is6() == is6 && Private(a.Prefix.Addr()) {
			return true
		}
	}
	return false
}

// Private reports whether an address means something only inside some network
// (RFC 1918, RFC 4193, RFC 6598).
func Private(a netip.Addr) bool {
	if a.Is4() {
		b := a.As4()
		return a.IsPrivate() || b[0] == 100 && b[1]&0xc0 == 64
	}
	return a.IsPrivate()
}

// Owns reports whether addr is one of the domain's own addresses.
func (d *Domain) Owns(addr netip.Addr) bool {
	for _, a := range d.Addresses {
		if a.Prefix.Addr() == addr {
			return true
		}
	}
	return false
}
