package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"mifvif/pvd"
)

// errNoLink says that a domain has no address to ask its neighbours from.
var errNoLink = errors.New("the domain has no address on its link")

// multicastTTL is the TTL of multicast DNS (RFC 6762 11).
const multicastTTL = 255

// multicast implements dns.MulticastFunc by a socket of the domain.
func (d *daemon) multicast(on *pvd.Domain) (net.PacketConn, error) {
	src := netip.Addr{}
	for _, a := range on.Addresses {
		if !a.Deprecated && !a.Prefix.IsSingleIP() && (!src.IsValid() || src.Is6() && a.Prefix.Addr().Is4()) {
			src = a.Prefix.Addr()
		}
	}
	if !src.IsValid() {
		return nil, errNoLink
	}
	fd, err := d.uplinks.OpenUDP(on, src)
	if err != nil {
		return nil, err //nolint:wrapcheck // says what and where
	}
	file := os.NewFile(uintptr(fd), "multicast")
	defer file.Close() // the connection has one of its own
	conn, err := net.FilePacketConn(file)
	if err != nil {
		return nil, fmt.Errorf("open a socket on %s: %w", on.Name, err)
	}
	if src.Is4() {
		err = ipv4.NewPacketConn(conn).SetMulticastTTL(multicastTTL)
	} else {
		err = ipv6.NewPacketConn(conn).SetMulticastHopLimit(multicastTTL)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("set the reach of multicast on %s: %w", on.Name, err)
	}
	return conn, nil
}
