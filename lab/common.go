package lab

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"mifvif/lab/serve"
)

// A Layout says what the common laboratory is made of.
type Layout struct {
	Networks   []Network
	Congestion string // of all nodes, "": cubic
	LAN        bool   // a client behind the host, which does not forward by itself
	LANRouted  bool   // the client's addresses are n1's, routed to the host, which forwards
	// LANImpairment is the wire between host and client; nil is a plain veth.
	LANImpairment *WireConfig
	PortRange     string // of the host's own ports, such as "20000 21000"; "": the kernel's
}

// TwoNetworks is the laboratory's usual layout: n1 by e1 and n2 by e2, both
// with IPv4, IPv6 and the Internet.
func TwoNetworks() Layout {
	return Layout{Networks: []Network{
		{Name: "n1", Number: 1, Link: "e1"},
		{Name: "n2", Number: 2, Link: "e2"},
	}}
}

// WithTunnel is TwoNetworks and a corporate tunnel by e4 without Internet.
func WithTunnel() Layout {
	l := TwoNetworks()
	l.Networks = append(l.Networks, Network{Name: "vpn", Number: 8, Link: "e4", NoInternet: true})
	return l
}

// Common is the laboratory in which RFC 6418's problems are shown: the host h,
// access networks whose edges follow BCP 38, and the core with public servers.
// The host is laid out as a plain one: addresses and default routes with
// metrics, resolvers in /etc/resolv.conf, nothing else.
type Common struct {
	*World
	Layout Layout
	Host   *Node // "h"
	Core   *Node // "core"
	Client *Node // "client", behind the host; nil without a LAN
	// Resolvers are the networks' name servers by the network's name, and
	// "core" is the public web server's.
	Resolvers map[string]*serve.DNS
	// Dnsmasq are the DHCP servers of the networks that have one.
	Dnsmasq map[string]*Dnsmasq
	Web     *serve.HTTP // on Public4 and Public6, port 80
	// Authority vouches for the laboratory's TLS servers; the host has it at
	// CAPath.
	Authority *serve.Authority

	// Advertisers are the voices of the routers that advertise, by network, from
	// when the host is attached.
	Advertisers map[string]*Advertiser

	wires map[string]*Wire // by network
}

// NewCommon builds the laboratory.
func NewCommon(layout Layout, log *slog.Logger) (*Common, error) {
	c := &Common{
		World: New(log), Layout: layout,
		Resolvers: make(map[string]*serve.DNS), Dnsmasq: make(map[string]*Dnsmasq), Advertisers: make(map[string]*Advertiser), wires: make(map[string]*Wire),
	}
	if err := c.build(); err != nil {
		c.Close()
		return nil, fmt.Errorf("build the common laboratory: %w", err)
	}
	return c, nil
}

func (c *Common) build() (err error) {
	if c.Host, err = c.node("h"); err != nil {
		return err
	}
	if c.Core, err = c.node("core"); err != nil {
		return err
	}
	if err := c.certify(); err != nil {
		return err
	}
	if err := c.buildCore(); err != nil {
		return err
	}
	for _, n := range c.Layout.Networks {
		if err := c.buildNetwork(n); err != nil {
			return err
		}
	}
	if c.Layout.LAN {
		if err := c.buildLAN(); err != nil {
			return err
		}
	}
	if err := c.settings(); err != nil {
		return err
	}
	if err := c.WriteResolvConf(); err != nil {
		return err
	}
	return c.serveCore()
}

func (c *Common) settings() error {
	if c.Layout.PortRange == "" {
		return nil
	}
	return c.Host.SetSysctl("net/ipv4/ip_local_port_range", c.Layout.PortRange)
}

// node makes a node with the layout's congestion control.
func (c *Common) node(name string) (*Node, error) {
	n, err := c.NewNode(name)
	if err != nil || c.Layout.Congestion == "" {
		return n, err
	}
	return n, n.SetCongestion(c.Layout.Congestion)
}

// buildNetwork makes a network's router and joins it with host and core.
func (c *Common) buildNetwork(n Network) error {
	router, err := c.node(n.Name)
	if err != nil {
		return err
	}
	if err := router.Forward(); err != nil {
		return err
	}
	if err := c.joinHost(n, router); err != nil {
		return err
	}
	if err := router.AddAddress("lan", n.routerAddresses()...); err != nil {
		return err
	}
	if !n.NoInternet {
		if err := c.joinCore(n, router); err != nil {
			return err
		}
	}
	if n.Advert != nil { // 2: also when the host forwards
		if err := c.Host.SetSysctl("net/ipv6/conf/"+n.Link+"/accept_ra", "2"); err != nil {
			return err
		}
	}
	if !n.Detached {
		if err := c.Attach(n.Name); err != nil {
			return err
		}
	}
	if err := c.serveNetwork(n, router); err != nil || n.DHCP == nil {
		return err
	}
	c.Dnsmasq[n.Name], err = c.ServeDHCP(n.Name, *n.DHCP)
	return err
}

func (c *Common) joinHost(n Network, router *Node) error {
	host, lan := End{c.Host, n.Link}, End{router, "lan"}
	if n.Switch != "" {
		return c.joinSwitch(n.Switch, host, lan)
	}
	if n.Impairment == nil {
		return c.Veth(host, lan, 0)
	}
	wire, err := c.World.Wire(host, lan, *n.Impairment)
	c.wires[n.Name] = wire
	return err
}

// joinCore gives a network its way to the core, filtered at its edge.
func (c *Common) joinCore(n Network, router *Node) error {
	if err := c.Veth(End{router, "core"}, End{c.Core, n.Name}, 0); err != nil {
		return err
	}
	addr := func(format string) netip.Prefix { return netip.MustParsePrefix(fmt.Sprintf(format, n.Number)) }
	edge4, edge6 := addr("100.64.%d.2/24"), addr("fd64:%d::2/64")
	core4, core6 := addr("100.64.%d.1/24"), addr("fd64:%d::1/64")
	if err := router.AddAddress("core", edge4, edge6); err != nil {
		return err
	}
	if err := c.Core.AddAddress(n.Name, core4, core6); err != nil {
		return err
	}
	if err := c.Core.AddRoute(
		Route{To: n.Own4(), Via: edge4.Addr(), Dev: n.Name, Source: Public4()},
		Route{To: n.Own6(), Via: edge6.Addr(), Dev: n.Name, Source: Public6()}); err != nil {
		return err
	}
	if err := router.AddRoute(
		Route{To: netip.MustParsePrefix("0.0.0.0/0"), Via: core4.Addr(), Dev: "core"},
		Route{To: netip.MustParsePrefix("::/0"), Via: core6.Addr(), Dev: "core"}); err != nil {
		return err
	}
	return router.EdgeFilter("core", []netip.Prefix{n.Own4(), n.Own6()})
}

// Network returns the network of that name; it must be in the layout.
func (c *Common) Network(name string) Network {
	for _, n := range c.Layout.Networks {
		if n.Name == name {
			return n
		}
	}
	panic("lab: no network " + name)
}

// NetworkOf names the access network an address belongs to, "" for none.
func (c *Common) NetworkOf(a netip.Addr) string {
	for _, n := range c.Layout.Networks {
		if n.Owns(a) {
			return n.Name
		}
	}
	return ""
}

// Wire returns the wire between the host and a network, nil for a plain link.
func (c *Common) Wire(network string) *Wire { return c.wires[network] }

// Dropped38 returns how many packets the edges dropped, by network.
func (c *Common) Dropped38() (map[string]uint64, error) {
	all := make(map[string]uint64)
	for _, n := range c.Layout.Networks {
		if n.NoInternet {
			continue
		}
		dropped, err := c.Node(n.Name).Drop38()
		if err != nil {
			return nil, err
		}
		all[n.Name] = dropped
	}
	return all, nil
}

// WriteResolvConf writes the host's /etc/resolv.conf: all resolvers of all
// networks that are attached, in their order.
func (c *Common) WriteResolvConf() error {
	var b strings.Builder
	for _, n := range c.Layout.Networks {
		if n.Detached {
			continue
		}
		if !n.NoIPv4 {
			fmt.Fprintf(&b, "nameserver %v\n", n.Resolver4())
		} else {
			fmt.Fprintf(&b, "nameserver %v\n", n.Resolver6())
		}
	}
	return c.Host.WriteFile(resolvConf, []byte(b.String()))
}
