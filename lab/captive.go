package lab

import (
	"fmt"
	"net/netip"

	"mifvif/lab/serve"
)

// A Captive is a network that wants a login: its resolver answers every name
// with the portal's address, and the portal answers every page.
type Captive struct {
	Portal netip.Addr  // 10.N.0.99
	Web    *serve.HTTP // the portal, which answers with a Seen line of its own name

	resolver *serve.DNS
}

// PortalName is what a portal calls its network.
func PortalName(network string) string { return network + "-portal" }

// MakeCaptive makes a network captive until LogIn.
func (c *Common) MakeCaptive(network string) (*Captive, error) {
	n := c.Network(network)
	captive := &Captive{Portal: n.addr4(99), resolver: c.Resolvers[network]}
	router := c.Node(network)
	if err := router.AddAddress("lan", netip.PrefixFrom(captive.Portal, 24)); err != nil {
		return nil, fmt.Errorf("make %s captive: %w", network, err)
	}
	l, err := router.ListenTCP(netip.AddrPortFrom(captive.Portal, 80))
	if err != nil {
		return nil, fmt.Errorf("make %s captive: %w", network, err)
	}
	captive.Web = serve.NewHTTP(l, func(netip.Addr) string { return PortalName(network) })
	c.OnClose(captive.Web.Close)
	captive.resolver.SetLie(captive.Portal)
	return captive, nil
}

// LogIn ends the captivity.
func (c *Captive) LogIn() { c.resolver.SetLie(netip.Addr{}) }
