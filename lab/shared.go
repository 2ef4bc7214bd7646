package lab

import "mifvif/lab/nd"

// TwoRouters is TwoNetworks and a third link e3, a bridge that the routers of
// two more networks share: r3a and r3b advertise a prefix and a resolver each
// (RFC 6418 4.5; IPv6 only). advert says what each advertises, nil is
// Network.PlainAdvert.
func TwoRouters(advert func(Network) nd.RA) Layout {
	if advert == nil {
		advert = Network.PlainAdvert
	}
	l := TwoNetworks()
	l.Networks = append(l.Networks,
		Network{Name: "r3a", Number: 3, Link: "e3", Switch: "sw3", NoIPv4: true, Advert: advert},
		Network{Name: "r3b", Number: 4, Link: "e3", Switch: "sw3", NoIPv4: true, Advert: advert})
	return l
}

// joinSwitch joins a router with the bridge of a switch's node. The first one
// makes the switch and the host's link to it.
func (c *Common) joinSwitch(name string, host, router End) error {
	const bridge = "sw"
	node := c.Node(name)
	if node == nil {
		var err error
		if node, err = c.NewNode(name); err != nil {
			return err
		}
		if err := c.Veth(host, End{node, host.Link}, 0); err != nil {
			return err
		}
		if err := node.Bridge(bridge, host.Link); err != nil {
			return err
		}
	}
	port := End{node, router.Node.Name}
	if err := c.Veth(router, port, 0); err != nil {
		return err
	}
	return node.Bridge(bridge, port.Link)
}

// advertise gives a network's router its voice and has the host listen.
func (c *Common) advertise(n Network) (err error) {
	c.Advertisers[n.Name], err = c.Node(n.Name).Advertise("lan", n.Gateway6(), n.Advert(n))
	return err
}
