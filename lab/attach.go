package lab

// Attach gives the host what a DHCP client and router discovery would on a
// network's link: addresses and routes. Where the router advertises it starts to
// do so, and the host's kernel does the rest. What is there already stays.
func (c *Common) Attach(network string) error {
	n := c.Network(network)
	if n.Advert != nil && c.Advertisers[network] == nil {
		if err := c.advertise(n); err != nil {
			return err
		}
	}
	if err := c.Host.AddAddress(n.Link, n.hostAddresses()...); err != nil {
		return err
	}
	return c.Host.AddRoute(n.HostRoutes()...)
}

// Detach takes the host's addresses on a network's link away; the kernel drops
// their routes with them. What a router advertised is the router's to withdraw.
func (c *Common) Detach(network string) error {
	n := c.Network(network)
	if err := c.Host.DeleteRoute(n.HostRoutes()...); err != nil {
		return err
	}
	return c.Host.DeleteAddress(n.Link, n.hostAddresses()...)
}

// LinkDown takes the host's link to a network down, as an administrator does.
func (c *Common) LinkDown(network string) error {
	return c.Host.LinkDown(c.Network(network).Link)
}

// LinkUp takes the link up again and attaches the host.
func (c *Common) LinkUp(network string) error {
	if err := c.Host.LinkUp(c.Network(network).Link); err != nil {
		return err
	}
	return c.Attach(network)
}

// Unplug pulls the cable: the host's link stays up, keeps its addresses and
// routes, and has no carrier.
func (c *Common) Unplug(network string) error {
	if wire := c.wires[network]; wire != nil {
		return wire.SetCarrier(false)
	}
	return c.Node(network).LinkDown("lan")
}

// Plug puts the cable back.
func (c *Common) Plug(network string) error {
	if wire := c.wires[network]; wire != nil {
		return wire.SetCarrier(true)
	}
	n, router := c.Network(network), c.Node(network)
	if err := router.LinkUp("lan"); err != nil {
		return err
	}
	return router.AddAddress("lan", n.routerAddresses()...) // IPv6 ones went with the link
}
