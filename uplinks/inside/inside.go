// Package inside reaches hosts by name within one provisioning domain: the
// domain's own resolvers say where the host is, and the connection leaves with
// the domain's source by its next hop (RFC 8801 4.1; RFC 6418 4.1: a name means
// something only in the network whose resolver gave it). It must not know what
// is said on the connection.
package inside

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"mifvif/pvd"
)

// Network is how a domain is asked and left. Both functions stay inside the
// domain they are given, honour ctx and are safe for concurrent use.
type Network struct {
	Dial   func(ctx context.Context, d *pvd.Domain, network string, dst netip.AddrPort) (net.Conn, error)
	Lookup func(ctx context.Context, d *pvd.Domain, name string) ([]netip.Addr, error)
}

// Complete reports whether both ways are there.
func (n Network) Complete() bool { return n.Dial != nil && n.Lookup != nil }

// DialHost connects to a "host:port" of d, by the first of its addresses that
// answers. Addresses that mean this host or a group are no network's and are
// passed over, whatever a resolver says. Safe for concurrent use.
func (n Network) DialHost(ctx context.Context, d *pvd.Domain, network, host string) (net.Conn, error) {
	name, text, err := net.SplitHostPort(host)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", host, err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", host, err)
	}
	addrs, err := n.addresses(ctx, d, name)
	if err != nil {
		return nil, err
	}
	failure := fmt.Errorf("%s has no address in %s", name, d.Name)
	for _, a := range addrs {
		if a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() {
			continue
		}
		c, err := n.Dial(ctx, d, network, netip.AddrPortFrom(a, uint16(port)))
		if err == nil {
			return c, nil
		}
		failure = errors.Join(failure, err)
	}
	return nil, failure
}

// addresses resolves a name, or reads the address that it is.
func (n Network) addresses(ctx context.Context, d *pvd.Domain, name string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	return n.Lookup(ctx, d, name)
}
