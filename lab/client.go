package lab

import (
	"fmt"
	"net/netip"
)

// LANLink is the host's interface to its LAN.
const LANLink = "lan0"

// WithLAN is TwoNetworks and a client behind the host, which is its default
// router. The host does not forward by itself.
func WithLAN() Layout {
	l := TwoNetworks()
	l.LAN = true
	return l
}

// Client4 is the LAN client's IPv4 address, unless its network is routed.
func Client4() netip.Addr { return lan(Layout{}, 9)[0].Addr() }

// Client6 is the LAN client's IPv6 address, unless its network is routed.
func Client6() netip.Addr { return lan(Layout{}, 9)[1].Addr() }

// lan returns the addresses of one of the LAN's hosts, with their prefixes.
func lan(l Layout, host int) []netip.Prefix {
	format4, format6 := "192.168.1.%d/24", "fd12:3456:789a:1::%d/64"
	if l.LANRouted { // out of what belongs to the first network
		format4, format6 = "10.1.64.%d/24", "2001:db8:1:64::%d/64"
	}
	return []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf(format4, host)), netip.MustParsePrefix(fmt.Sprintf(format6, host))}
}

func (c *Common) buildLAN() (err error) {
	if c.Client, err = c.node("client"); err != nil {
		return err
	}
	if err := c.joinLAN(); err != nil {
		return err
	}
	here, there := lan(c.Layout, 1), lan(c.Layout, 9)
	if err := c.Host.AddAddress(LANLink, here...); err != nil {
		return err
	}
	if err := c.Client.AddAddress("eth0", there...); err != nil {
		return err
	}
	for i, all := range []string{"0.0.0.0/0", "::/0"} {
		if err := c.Client.AddRoute(Route{To: netip.MustParsePrefix(all), Via: here[i].Addr(), Dev: "eth0"}); err != nil {
			return err
		}
	}
	if c.Layout.LANRouted {
		return c.routeLAN(here)
	}
	return nil
}

func (c *Common) joinLAN() (err error) {
	host, client := End{c.Host, LANLink}, End{c.Client, "eth0"}
	if c.Layout.LANImpairment == nil {
		return c.Veth(host, client, 0)
	}
	_, err = c.World.Wire(host, client, *c.Layout.LANImpairment)
	return err
}

// routeLAN has the first network's router know the LAN, and the host forward.
func (c *Common) routeLAN(here []netip.Prefix) error {
	if err := c.Host.Forward(); err != nil {
		return err
	}
	n := c.Layout.Networks[0]
	return c.Node(n.Name).AddRoute(
		Route{To: here[0].Masked(), Via: n.Host4(), Dev: "lan"},
		Route{To: here[1].Masked(), Via: n.Host6(), Dev: "lan"})
}
