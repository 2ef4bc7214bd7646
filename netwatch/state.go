package netwatch

import (
	"net/netip"
	"time"
)

// Forever is the lifetime of an address that does not expire.
const Forever = time.Duration(-1)

// State is everything the kernel says at one moment about one network
// namespace. It is immutable once delivered; slices are sorted so that two
// equal states compare equal.
type State struct {
	Links     []Link
	Addresses []Address
	Routes    []Route
	Rules     []Rule
	// Firewall is the generation of the nftables ruleset: it changes whenever
	// anybody commits a change. 0 where the kernel has no nftables.
	Firewall uint32
	// Transforms: there are policies of IPsec, so that the kernel may have to encrypt
	// what leaves.
	Transforms bool
}

// Link is one network interface.
type Link struct {
	Index        int
	Name         string
	Kind         string // rtnetlink kind: "veth", "tun", "wireguard", "ppp"; "" for hardware
	MTU          int    // bytes
	Up           bool   // IFF_UP
	Carrier      bool   // IFF_LOWER_UP and operational state up or unknown
	Loopback     bool
	PointToPoint bool // no neighbour resolution: a route needs no next hop
	Wireless     bool
}

// Address is one address of an interface.
type Address struct {
	Ifindex    int
	Prefix     netip.Prefix // address and on-link prefix length
	Peer       netip.Addr   // zero unless point-to-point
	Global     bool         // scope universe (or site)
	Deprecated bool         // RFC 4862 5.5.4
	Tentative  bool         // tentative or DAD failed: not usable
	Temporary  bool         // RFC 8981
	Home       bool         // of Mobile IPv6 (RFC 6275)
	Secondary  bool         // IPv4: another of its prefix was there before
	// Lifetimes are upper bounds in steps of an hour, so that a state does not
	// differ from the last one by the passing of time alone; or Forever.
	Valid     time.Duration
	Preferred time.Duration // 0 when Deprecated by age
	Protocol  int           // who made it: 64 mifvif; 0 where the kernel is older than 5.18 or nobody says
}

// RouteType is the kernel's route type as far as it matters here.
type RouteType uint8

// Route types.
const (
	Unicast RouteType = iota
	Unreachable
	Prohibit
	Blackhole
	Throw
	Local
	OtherType
)

// Route is one route with one next hop; a multipath route is delivered as one
// Route per next hop.
type Route struct {
	Table    int
	Type     RouteType
	Dst      netip.Prefix // 0.0.0.0/0 or ::/0 for a default route, never the zero Prefix
	From     netip.Prefix // IPv6: of packets with such a source only; zero: of all
	Gateway  netip.Addr   // zero for an on-link or point-to-point route
	Ifindex  int
	Source   netip.Addr // preferred source, zero if none
	Metric   int
	Protocol int // rtm_protocol: 2 kernel, 3 boot, 4 static, 9 ra, 16 dhcp, 64 mifvif
	LinkDown bool
	OnLink   bool
	Path     PathMetrics
}

// PathMetrics is what an operator, a DHCP client or a router advertisement has
// set on a route for the connections that take it (ip-route(8): mtu, advmss,
// initcwnd, congctl and so on); zero values leave the kernel's defaults.
type PathMetrics struct {
	MTU        int // bytes
	MTULock    bool
	AdvMSS     int // bytes
	HopLimit   int
	InitCwnd   int // segments
	InitRwnd   int // segments
	RTOMin     int // in the kernel's unit
	RTOMinLock bool
	QuickACK   int
	Congestion string // of TCP: "cubic", "bbr"
}

// Rule is one policy rule.
type Rule struct {
	Priority int
	Is6      bool
	Src, Dst netip.Prefix // zero Prefix: any
	Iif, Oif string
	Mark     uint32
	Mask     uint32
	Invert   bool
	Table    int
	// Spared is an interface group whose routes this rule takes for none
	// (ip-rule(8): suppress_ifgroup); 0 spares nothing.
	Spared int
	Goto   int // the priority that it goes on at, later than its own; 0: it does not
	// More: it asks for other things, too, such as ports or a user.
	More     bool
	Type     RouteType // Unicast: lookup Table; Unreachable, Prohibit, Blackhole: refuse
	Protocol int
}
