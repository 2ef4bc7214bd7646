package lab

import "net/netip"

// LANLink is the host's interface to its LAN.
const LANLink = "lan0"

// WithLAN is TwoNetworks and a client behind the host, which is its default
// router. The host does not forward by itself.
func WithLAN() Layout {
	l := TwoNetworks()
	l.LAN = true
	return l
}

// The LAN's prefixes and the addresses of host and client in them.
func lanHost() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("192.168.1.1/24"), netip.MustParsePrefix("fd12:3456:789a:1::1/64")}
}

func lanClient() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("192.168.1.9/24"), netip.MustParsePrefix("fd12:3456:789a:1::9/64")}
}

// Client4 is the LAN client's IPv4 address.
func Client4() netip.Addr { return lanClient()[0].Addr() }

// Client6 is the LAN client's IPv6 address.
func Client6() netip.Addr { return lanClient()[1].Addr() }

func (c *Common) buildLAN() (err error) {
	if c.Client, err = c.node("client"); err != nil {
		return err
	}
	if err := c.Veth(End{c.Host, LANLink}, End{c.Client, "eth0"}, 0); err != nil {
		return err
	}
	if err := c.Host.AddAddress(LANLink, lanHost()...); err != nil {
		return err
	}
	if err := c.Client.AddAddress("eth0", lanClient()...); err != nil {
		return err
	}
	for i, all := range []string{"0.0.0.0/0", "::/0"} {
		if err := c.Client.AddRoute(Route{To: netip.MustParsePrefix(all), Via: lanHost()[i].Addr(), Dev: "eth0"}); err != nil {
			return err
		}
	}
	return nil
}
