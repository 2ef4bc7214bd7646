package lab

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"mifvif/lab/serve"
)

// The ports of the public servers. PortEcho and the sixteen from PortEchoFirst
// greet with a Seen line and echo, TCP and UDP alike; rules tell the latter
// apart by port.
const (
	PortEcho       = 7
	PortCount      = 9
	PortSource     = 19 // reads a number, sends as many bytes; also from 7100 up
	PortEchoFirst  = 7000
	PortSourceFrom = 7100
	PortCloseFirst = 8000 // sixteen ports; the server closes first
	PortReset      = 8100
	PortClosed     = 6666 // nobody listens
	// PortMultipath and the one after it are PortEcho and PortSource with Multipath
	// TCP; all others are of plain TCP.
	PortMultipath = 7200
	Ports         = 16
)

// Public4 is the public server in the core, 203.0.113.80.
func Public4() netip.Addr { return netip.MustParseAddr("203.0.113.80") }

// Public6 is 2001:db8:ff::80.
func Public6() netip.Addr { return netip.MustParseAddr("2001:db8:ff::80") }

// Second4 is another address of the public server, 203.0.113.81.
func Second4() netip.Addr { return netip.MustParseAddr("203.0.113.81") }

// Silent4 is a public address that swallows every packet.
func Silent4() netip.Addr { return netip.MustParseAddr("203.0.113.99") }

// Prohibited4 answers with ICMP "administratively prohibited" (3/13).
func Prohibited4() netip.Addr { return netip.MustParseAddr("203.0.113.98") }

// Unreachable4 answers with ICMP "host unreachable" (3/1).
func Unreachable4() netip.Addr { return netip.MustParseAddr("203.0.113.97") }

// Silent6 is the same for IPv6.
func Silent6() netip.Addr { return netip.MustParseAddr("2001:db8:ff::99") }

// Prohibited6 answers with ICMPv6 "administratively prohibited" (1/1).
func Prohibited6() netip.Addr { return netip.MustParseAddr("2001:db8:ff::98") }

// Unreachable6 answers with ICMPv6 "no route to destination" (1/0).
func Unreachable6() netip.Addr { return netip.MustParseAddr("2001:db8:ff::97") }

// buildCore gives the core its public addresses and its dead ends.
func (c *Common) buildCore() error {
	if err := c.Core.Forward(); err != nil {
		return err
	}
	public := []netip.Prefix{host(Public4()), host(Second4()), host(Public6())}
	if err := c.Core.AddAddress("lo", public...); err != nil {
		return err
	}
	return c.Core.AddRoute(
		Route{To: host(Silent4()), Kind: "blackhole"},
		Route{To: host(Prohibited4()), Kind: "prohibit"},
		Route{To: host(Unreachable4()), Kind: "unreachable"},
		Route{To: host(Silent6()), Kind: "blackhole", Dev: "lo"},
		Route{To: host(Prohibited6()), Kind: "prohibit", Dev: "lo"},
		Route{To: host(Unreachable6()), Kind: "unreachable", Dev: "lo"},
	)
}

func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// serveCore starts the public servers.
func (c *Common) serveCore() error {
	echo := serve.Echo(c.NetworkOf)
	tcp := map[uint16]serve.Handler{
		PortEcho: echo, PortCount: serve.Count, PortSource: serve.Source, PortReset: serve.Reset(c.NetworkOf),
	}
	for i := range uint16(Ports) {
		tcp[PortEchoFirst+i] = echo
		tcp[PortSourceFrom+i] = serve.Source
		tcp[PortCloseFirst+i] = serve.CloseFirst(c.NetworkOf)
	}
	for port, handler := range tcp {
		if err := c.ServeTCP(c.Core, port, handler); err != nil {
			return err
		}
	}
	for i, handler := range []serve.Handler{echo, serve.Source} {
		l, err := c.Core.ListenMultipath(netip.AddrPortFrom(netip.IPv6Unspecified(), PortMultipath+uint16(i)))
		if err != nil {
			return err
		}
		c.OnClose(serve.NewTCP(l, handler).Close)
	}
	for _, addr := range []netip.Addr{Public4(), Second4(), Public6()} {
		for i := range uint16(Ports) {
			if err := c.ServeUDP(c.Core, netip.AddrPortFrom(addr, PortEchoFirst+i), c.NetworkOf); err != nil {
				return err
			}
		}
		if err := c.ServeUDP(c.Core, netip.AddrPortFrom(addr, PortEcho), c.NetworkOf); err != nil {
			return err
		}
	}
	l, err := c.Core.ListenTCP(netip.AddrPortFrom(netip.IPv6Unspecified(), 80))
	if err != nil {
		return err
	}
	c.Web = serve.NewHTTP(l, c.NetworkOf)
	c.OnClose(c.Web.Close)
	return nil
}

// ServeTCP serves a port of all addresses of a node until the world closes.
func (w *World) ServeTCP(n *Node, port uint16, handler serve.Handler) error {
	l, err := n.ListenTCP(netip.AddrPortFrom(netip.IPv6Unspecified(), port))
	if err != nil {
		return err
	}
	w.onClose(serve.NewTCP(l, handler).Close)
	return nil
}

// ServeUDP answers on one UDP address of a node until the world closes.
func (w *World) ServeUDP(n *Node, at netip.AddrPort, name serve.Namer) error {
	conn, err := n.ListenUDP(SocketOptions{Source: at})
	if err != nil {
		return err
	}
	w.onClose(serve.NewUDP(conn, name).Close)
	return nil
}

// serveNetwork starts a network's own servers on its router: resolver and echo
// peers, which call themselves by the network's name whoever asks.
func (c *Common) serveNetwork(n Network, router *Node) error {
	self := func(netip.Addr) string { return n.Name }
	if err := c.ServeTCP(router, PortEcho, serve.Echo(self)); err != nil {
		return err
	}
	at := []netip.Addr{n.addr4(80), n.addr6(80), Overlap()}
	if n.NoInternet {
		at = append(at, Behind())
	}
	for _, addr := range at {
		if err := c.ServeUDP(router, netip.AddrPortFrom(addr, PortEcho), self); err != nil {
			return err
		}
	}
	resolver, err := router.serveDNS(n.zone(), n.Resolver4(), n.Resolver6())
	if err != nil {
		return err
	}
	c.Resolvers[n.Name] = resolver
	c.OnClose(resolver.Close)
	return nil
}

// serveDNS serves records on port 53 of the given addresses.
func (n *Node) serveDNS(zone string, addrs ...netip.Addr) (*serve.DNS, error) {
	var udp []net.PacketConn
	var tcp []net.Listener
	for _, addr := range addrs {
		at := netip.AddrPortFrom(addr, 53)
		u, err := n.ListenUDP(SocketOptions{Source: at})
		if err != nil {
			return nil, err
		}
		t, err := n.ListenTCP(at)
		if err != nil {
			return nil, err
		}
		udp, tcp = append(udp, u), append(tcp, t)
	}
	return serve.NewDNS(zone, udp, tcp)
}

// AddRecords adds records, in master-file syntax with absolute names, to what a
// network's resolver knows. They replace those that were added before.
func (c *Common) AddRecords(network string, records ...string) error {
	return c.Resolvers[network].SetZone(c.Network(network).zone() + strings.Join(records, "\n") + "\n")
}

// zone is what a network's resolver knows: the public names, its own names, and
// who it is.
func (n Network) zone() string {
	var b strings.Builder
	fmt.Fprintf(&b, "example.net. SOA ns.example.net. admin.example.net. 1 3600 600 86400 60\n")
	fmt.Fprintf(&b, "www.example.net. A %v\nwww.example.net. AAAA %v\n", Public4(), Public6())
	fmt.Fprintf(&b, "alias.example.net. CNAME www.example.net.\n")
	for i := range 120 {
		fmt.Fprintf(&b, "large.example.net. TXT \"%03d %s\"\n", i, strings.Repeat("x", 40))
	}
	fmt.Fprintf(&b, "whoami.example.net. TXT \"%s\"\n", n.Name)
	fmt.Fprintf(&b, "own.%s.example.com. A %v\nown.%s.example.com. AAAA %v\n", n.Name, n.addr4(80), n.Name, n.addr6(80))
	fmt.Fprintf(&b, "shared.%s.example.com. A %v\n", n.Name, Overlap())
	return b.String()
}
