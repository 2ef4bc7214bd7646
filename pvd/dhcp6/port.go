package dhcp6

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"mifvif/pvd/dhcp"
)

const (
	clientPort = 546
	serverPort = 547
)

// ErrLink says that a link cannot be asked on.
var ErrLink = errors.New("the link has no Ethernet address or no link-local address")

// servers is the group of all servers and relays of a link.
func servers() netip.Addr { return netip.MustParseAddr("ff02::1:2") }

// serversHardware is its hardware address (RFC 2464 7).
func serversHardware() [6]byte { return [6]byte{0x33, 0x33, 0, 1, 0, 2} }

// openPort opens the client's port on a link of the calling thread's network
// namespace.
func openPort(link Link) (*dhcp.Port, error) {
	i, err := net.InterfaceByIndex(link.Index)
	if err != nil {
		return nil, fmt.Errorf("ask on %s: %w", link.Name, err)
	}
	own, err := linkLocal(i)
	if err != nil || len(i.HardwareAddr) != 6 {
		return nil, errors.Join(ErrLink, err)
	}
	return dhcp.Open(i, netip.AddrPortFrom(own, clientPort), serverPort)
}

// linkLocal returns the link-local address of an interface.
func linkLocal(i *net.Interface) (netip.Addr, error) {
	all, err := i.Addrs()
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			if addr, _ := netip.AddrFromSlice(n.IP); addr.Is6() && addr.IsLinkLocalUnicast() {
				return addr, nil
			}
		}
	}
	return netip.Addr{}, errors.Join(ErrLink, err)
}
