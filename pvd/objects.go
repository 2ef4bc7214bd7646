package pvd

import (
	"net/netip"
	"time"

	"mifvif/netwatch"
)

// Origin says who told us about an object (RFC 7556: every item of
// configuration belongs to the network that sent it).
type Origin string

// The origins there are.
const (
	FromKernel Origin = "kernel"
	FromConfig Origin = "config"
	FromRA     Origin = "ra"
	FromDHCPv4 Origin = "dhcp4"
	FromDHCPv6 Origin = "dhcp6"
	FromJSON   Origin = "json"
	FromDNS    Origin = "dns" // RFC 7050
	// FromManager marks what another network manager of this host has a link use,
	// its user's own settings included.
	FromManager Origin = "manager"
	// FromMemory marks a next hop that the kernel forgot when the link went
	// down and that is used again now that the same link with the same prefix
	// is back.
	FromMemory Origin = "memory"
)

// Trust is how far what a domain says is believed about others than itself (RFC
// 7556 7). More is greater.
type Trust uint8

// The degrees of trust.
const (
	Untrusted     Trust = iota
	Authenticated       // its id was proven by TLS (RFC 8801 4.1)
	Trusted             // the configuration says so
)

// Preference is the two-bit preference of RFC 4191 and RFC 6731; more is
// greater.
type Preference int8

// The preferences there are. The zero Preference is the default one.
const (
	Low    Preference = -1
	Medium Preference = 0
	High   Preference = 1
)

// Address is a source address of a domain.
type Address struct {
	Prefix     netip.Prefix // address and on-link prefix length
	Deprecated bool         // keeps old flows, gets no new ones
	Temporary  bool         // RFC 8981
	Home       bool         // of Mobile IPv6 (RFC 6275)
	Secondary  bool         // not the first IPv4 address of its prefix
	Valid      time.Duration
	Preferred  time.Duration
	Origin     Origin
	// Ours: mifvif put it on the interface, because the kernel does not read
	// where it came from (RFC 8801 3.1: nested in a PvD option), or leased it.
	Ours bool
}

// Wanted is an address that is to be on the interface of its domain.
type Wanted struct {
	Prefix           netip.Prefix
	Valid, Preferred time.Time // until when; zero: for good
}

// NextHop is a default router of a domain for one family.
type NextHop struct {
	Addr       netip.Addr // zero on a point-to-point link
	Is6        bool
	Metric     int // of the kernel route it was seen in; lower is better
	Preference Preference
	Origin     Origin
	Until      time.Time // zero: as long as the kernel's route
	// Overrides: seen as a pair of half-defaults (0.0.0.0/1 and 128.0.0.0/1),
	// which VPN clients set so that every default route of the host is overridden.
	Overrides bool
	// Source is what the kernel's route prefers, zero for nothing.
	Source netip.Addr
	// Path is what was set on that route for connections by it.
	Path netwatch.PathMetrics
}

// Advert is a prefix that a router of the domain advertised: it carries packets
// from it, whatever else it says of it (RFC 8028 2.1).
type Advert struct {
	Prefix netip.Prefix
	Router netip.Addr
	OnLink bool // L flag
	Auto   bool // A flag
	Until  time.Time
	// Preferred is until when addresses formed of it are preferred; zero is for
	// ever, not after the report is deprecated (RFC 4862 5.5.4).
	Preferred time.Time
	// Nested: it stood inside a PvD option, so the kernel has not read it.
	Nested bool
}

// Route is a destination that is reached inside the domain besides its default.
type Route struct {
	Dst        netip.Prefix
	Via        netip.Addr // zero: on-link
	Preference Preference // RFC 4191
	Origin     Origin
	Until      time.Time // zero: as long as the domain
}

// Transport is how a resolver is spoken to.
type Transport uint8

// The transports there are.
const (
	Plain Transport = iota // UDP and TCP, RFC 1035, RFC 7766
	DoT                    // RFC 7858
	DoH                    // RFC 8484
)

// Resolver is a DNS server of a domain.
type Resolver struct {
	Addr       netip.AddrPort
	Transport  Transport
	Name       string // authentication domain name of DoT and DoH (RFC 9463), "" for Plain
	Path       string // URI template of DoH (dohpath)
	Priority   int    // of encrypted resolvers, lower first (RFC 9463 3.1.1)
	Preference Preference
	// Only: it is asked about the zones that name it and nothing else (RFC 6731:
	// a list without the root).
	Only   bool
	Origin Origin
	Until  time.Time // zero: as long as the domain
}

// Designation is an encrypted resolver that a network has only named: what it speaks
// and where is looked up by the domain's other resolvers (RFC 9463 3.1.9).
type Designation struct {
	Name     string // authentication domain name
	Priority int    // lower first
	Origin   Origin
	Until    time.Time // zero: as long as the domain
}

// Zone is a part of the name space that belongs to a domain, reverse zones
// included, or an entry of its search list.
type Zone struct {
	Name       string // lower case, without final dot
	Preference Preference
	Server     netip.AddrPort // RFC 6731: the resolver that knows it; zero: all of the domain's
	Origin     Origin
	Until      time.Time // zero: as long as the domain
}

// TimeServer is an NTP server, by address or by name.
type TimeServer struct {
	Addr   netip.Addr
	Name   string
	Origin Origin
	Until  time.Time
}

// PREF64 is a NAT64 prefix (RFC 8781, RFC 7050).
type PREF64 struct {
	Prefix netip.Prefix
	Origin Origin
	Until  time.Time
}

// PortalAPI is the captive portal API of a network (RFC 8910). The zero PortalAPI is
// none.
type PortalAPI struct {
	URI    string
	Origin Origin
	Until  time.Time
}

// PolicyRow is one row of an address selection table (RFC 6724 2.1, RFC 7078).
type PolicyRow struct {
	Prefix     netip.Prefix
	Precedence uint8
	Label      uint8
	Origin     Origin
}

// Additional is how a domain offers additional information (RFC 8801 3.1). The
// zero Additional is no offer.
type Additional struct {
	HTTP     bool   // H: there is an object to fetch
	Delay    uint8  // 0 to 15: how far fetches after a change are spread
	Sequence uint16 // another one means that the object has changed
}
