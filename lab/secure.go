package lab

import (
	"fmt"
	"net/netip"

	"mifvif/lab/serve"
)

// CAPath is where the host finds the laboratory's authority (discovery.ca).
const CAPath = "/run/mifvif-ca.pem"

// ServePages serves documents over TLS on port 443 of an address of a node, as
// the server of that name, until the world closes. The laboratory's authority
// vouches for the name.
func (c *Common) ServePages(n *Node, at netip.Addr, name string) (*serve.Pages, error) {
	config, err := c.Authority.Config(name)
	if err != nil {
		return nil, err
	}
	l, err := n.ListenTCP(netip.AddrPortFrom(at, 443))
	if err != nil {
		return nil, fmt.Errorf("serve pages as %s: %w", name, err)
	}
	pages := serve.NewPages(l, config)
	c.OnClose(pages.Close)
	return pages, nil
}

// certify makes the laboratory's authority and puts it on the host.
func (c *Common) certify() (err error) {
	if c.Authority, err = serve.NewAuthority(); err != nil {
		return err
	}
	return c.Host.WriteFile(CAPath, c.Authority.PEM())
}
