package lab

import (
	"fmt"
	"net/netip"
	"time"

	"mifvif/lab/nd"
)

// A Network is one access network of the common laboratory: a router with its
// resolver, addressed by its number N. It owns 10.N.0.0/16 and
// 2001:db8:N::/48 (N as its decimal digits); the link to the host is the first
// /24 and /64 of these.
type Network struct {
	Name   string // of the router's node, such as "n1"
	Number int    // 1..255, not 9 and not 255
	Link   string // the host's interface, such as "e1"

	NoIPv4, NoIPv6 bool
	// NoInternet makes it a network with no way to the core. The host gets
	// routes to 10.9.0.0/16 and 2001:db8:9::/48, which are behind it, instead
	// of a default route.
	NoInternet bool
	// Metric of the host's routes, 0: 100 times Number.
	Metric int
	// Impairment is the wire between host and router; nil is a plain veth.
	Impairment *WireConfig
	// Detached leaves the host without addresses and routes until Attach.
	Detached bool
	// DHCP, if set, is served by dnsmasq on the router.
	DHCP *DHCP
	// Switch names the bridge that joins the host's link with the routers of
	// several networks; "" is a link of the network's own.
	Switch string
	// Advert makes the router advertise: the host gets its IPv6 configuration by
	// the kernel's own router discovery. nil: it gets it by hand.
	Advert func(Network) nd.RA
}

// behind is what lies behind a network without Internet.
const behind = 9

func (n Network) addr4(host int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("10.%d.0.%d", n.Number, host))
}

func (n Network) addr6(host int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("2001:db8:%d::%d", n.Number, host))
}

// Gateway4 is the router's IPv4 address on the link, 10.N.0.1.
func (n Network) Gateway4() netip.Addr { return n.addr4(1) }

// Gateway6 is the router's link-local address, fe80::N.
func (n Network) Gateway6() netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("fe80::%d", n.Number))
}

// Host4 is the host's IPv4 address, 10.N.0.2.
func (n Network) Host4() netip.Addr { return n.addr4(2) }

// Host6 is the host's IPv6 address, 2001:db8:N::2, unless the router advertises.
func (n Network) Host6() netip.Addr { return n.addr6(2) }

// Resolver4 is the network's resolver, 10.N.0.53, served by the router.
func (n Network) Resolver4() netip.Addr { return n.addr4(53) }

// Resolver6 is 2001:db8:N::53.
func (n Network) Resolver6() netip.Addr { return n.addr6(53) }

// Link6 is the prefix of the link to the host, 2001:db8:N::/64.
func (n Network) Link6() netip.Prefix { return netip.PrefixFrom(n.addr6(0), 64).Masked() }

// Own4 is what the network owns, 10.N.0.0/16.
func (n Network) Own4() netip.Prefix { return netip.PrefixFrom(n.addr4(0), 16).Masked() }

// Own6 is 2001:db8:N::/48.
func (n Network) Own6() netip.Prefix { return netip.PrefixFrom(n.addr6(0), 48).Masked() }

// Owns reports whether an address belongs to the network.
func (n Network) Owns(a netip.Addr) bool {
	if n.NoInternet && (behindPrefix4().Contains(a) || behindPrefix6().Contains(a)) {
		return true
	}
	return n.Own4().Contains(a) || n.Own6().Contains(a)
}

func behindPrefix4() netip.Prefix { return Network{Number: behind}.Own4() }
func behindPrefix6() netip.Prefix { return Network{Number: behind}.Own6() }

func (n Network) metric() int {
	if n.Metric != 0 {
		return n.Metric
	}
	return 100 * n.Number
}

// PlainAdvert is what an ordinary router of the network advertises: itself as
// default router, the link's prefix and the network's resolver, for half an hour.
func (n Network) PlainAdvert() nd.RA {
	const lifetime = 30 * time.Minute
	return nd.RA{HopLimit: 64, Lifetime: lifetime}.With(
		nd.Prefix(n.Link6(), lifetime, lifetime, nd.OnLink|nd.Auto),
		nd.Resolvers(lifetime, n.Resolver6()))
}

// configured6 reports whether the host's IPv6 addresses and routes are given to
// it by hand.
func (n Network) configured6() bool { return !n.NoIPv6 && n.Advert == nil }

// hostAddresses are the host's addresses on the link as far as they are given to
// it by hand.
func (n Network) hostAddresses() []netip.Prefix {
	var all []netip.Prefix
	if !n.NoIPv4 {
		all = append(all, netip.PrefixFrom(n.Host4(), 24))
	}
	if n.configured6() {
		all = append(all, netip.PrefixFrom(n.Host6(), 64))
	}
	return all
}

// HostRoutes are the routes that a DHCP client and the kernel's router
// discovery would give the host, without those of a router that advertises.
func (n Network) HostRoutes() []Route {
	const byRA, byDHCP = 9, 16 // RTPROT_RA, RTPROT_DHCP
	to4, to6 := netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")
	if n.NoInternet {
		to4, to6 = behindPrefix4(), behindPrefix6()
	}
	var all []Route
	if !n.NoIPv4 {
		all = append(all, Route{To: to4, Via: n.Gateway4(), Dev: n.Link, Metric: n.metric(), Protocol: byDHCP})
	}
	if n.configured6() {
		all = append(all, Route{To: to6, Via: n.Gateway6(), Dev: n.Link, Metric: n.metric(), Protocol: byRA})
	}
	if n.pointToPoint() {
		for i := range all {
			all[i].Via = netip.Addr{} // there is nobody to ask for a MAC address
		}
	}
	return all
}

func (n Network) pointToPoint() bool { return n.Impairment != nil && n.Impairment.PointToPoint }

// routerAddresses are the router's addresses on the link to the host: gateway
// and link-local address, resolver, one server for all that is the network's
// own, and the private address that exists in every network.
func (n Network) routerAddresses() []netip.Prefix {
	all := []netip.Prefix{
		netip.PrefixFrom(n.Gateway6(), 64),
		netip.PrefixFrom(n.Gateway4(), 24), netip.PrefixFrom(n.addr6(1), 64),
		netip.PrefixFrom(n.Resolver4(), 24), netip.PrefixFrom(n.Resolver6(), 64),
		netip.PrefixFrom(n.addr4(80), 24), netip.PrefixFrom(n.addr6(80), 64),
		netip.PrefixFrom(Overlap(), 32),
	}
	if n.NoInternet {
		inner := Network{Number: behind}
		all = append(all, netip.PrefixFrom(inner.addr4(80), 32), netip.PrefixFrom(inner.addr6(80), 128))
	}
	return all
}

// Behind is the IPv4 server behind a network without Internet, 10.9.0.80.
func Behind() netip.Addr { return Network{Number: behind}.addr4(80) }

// Overlap is the private server that exists in every access network,
// 192.168.50.80; each answers with its own name.
func Overlap() netip.Addr { return netip.AddrFrom4([4]byte{192, 168, 50, 80}) }
