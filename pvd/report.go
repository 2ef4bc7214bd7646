package pvd

import (
	"net/netip"
	"time"
)

// Report is everything one network said in one message or exchange: a router
// advertisement, a DHCP answer, an additional-information object. Sources make
// reports from bytes they have parsed and bounded; the Builder sorts their
// objects into domains and forgets each when its time is over. A Report is
// immutable.
//
// A later report with the same Ifindex, Origin and Sender replaces what the
// earlier one said, except for router advertisements, of which each speaks only
// of what it names (RFC 4861 6.3.4). Lifetimes are in Until of each object; an
// object whose Until is not after Received withdraws what was said before.
type Report struct {
	Origin   Origin
	Ifindex  int
	Sender   netip.Addr // the router's link-local address, the DHCP server; zero where there is none
	Received time.Time
	// Until bounds every object of the report: the end of a lease or of an
	// additional-information object; zero where the objects have their own.
	Until time.Time

	// ID is the explicit domain this is about (RFC 8801), in lower case without
	// final dot; "" is the implicit one of (Ifindex, Sender).
	ID string
	RA *Advertisement // of FromRA only

	Adverts   []Advert
	Routes    []Route
	Resolvers []Resolver
	// Designated are encrypted resolvers without an address.
	Designated []Designation
	Zones      []Zone // routing hints and RFC 6731 lists
	Search     []Zone
	NTP        []TimeServer
	PREF64     []PREF64
	Portal     PortalAPI
	Selection  []PolicyRow
	// PreferPublic comes with Selection (RFC 7078 2: the privacy preference is off).
	PreferPublic bool
	MTU          int // bytes, 0: says nothing
	// Addresses are leased for this host by mifvif's own DHCP client, for whoever
	// puts addresses on interfaces. Until of the report bounds them.
	Addresses []Address
	// NextHops of DHCPv4 (option 3, or 121's default route).
	NextHops []NextHop
	// NoInternet is of FromJSON only (RFC 8801 4.3).
	NoInternet bool
}

// Advertisement is what only router advertisements say.
type Advertisement struct {
	Lifetime   time.Duration // as a default router; 0 is none
	Preference Preference
	Managed    bool // M
	Other      bool // O
	HopLimit   int  // 0: says nothing
	// The header of a PvD option, where ID is set (RFC 8801 3.1).
	HTTP     bool // H: additional information is offered
	Legacy   bool // L: DHCPv4 of the link belongs to this domain
	Delay    uint8
	Sequence uint16
	// Nested: what the kernel did not see because it stood inside the option.
	Nested Nested
}

// Nested names what stood inside a PvD option, which the kernel does not read.
type Nested struct {
	Header   bool // the router lifetime and preference (R flag)
	Prefixes []netip.Prefix
	Routes   []netip.Prefix
}

// Inputs is all that a Set is made of besides the kernel's state and the
// configuration. The Builder changes nothing in it.
type Inputs struct {
	Hints Hints
	// Validating: domains are taken for what their Verdicts say, and for
	// Connecting until there is one. Otherwise each is taken for what it looks
	// like.
	Validating bool
	Verdicts   map[Key]Verdict
	// Found64 are the NAT64 prefixes that resolvers showed, for domains that say
	// nothing of theirs (RFC 7050; RFC 8781 5.1 gives advertisements the precedence).
	Found64 map[Key][]netip.Prefix
	// Designated is what was found of the resolvers that domains only name; of each
	// the Name says whose it is.
	Designated map[Key][]Resolver
}
