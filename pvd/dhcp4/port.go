package dhcp4

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"mifvif/pvd/dhcp"
)

const (
	serverPort = 67
	clientPort = 68
)

// ErrLink says that a link cannot carry DHCPv4.
var ErrLink = errors.New("the link has no Ethernet address")

// everybody is the hardware address of all hosts of a link.
func everybody() [6]byte { return [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// openPort opens the client's port on a link of the calling thread's network
// namespace.
func openPort(link Link) (*dhcp.Port, error) {
	i, err := ethernet(link)
	if err != nil {
		return nil, err
	}
	return dhcp.Open(i, netip.AddrPortFrom(netip.IPv4Unspecified(), clientPort), serverPort)
}

// ethernet returns the interface of a link that has Ethernet addresses.
func ethernet(link Link) (*net.Interface, error) {
	i, err := net.InterfaceByIndex(link.Index)
	if err != nil {
		return nil, fmt.Errorf("ask on %s: %w", link.Name, err)
	}
	if len(i.HardwareAddr) != 6 || i.Flags&net.FlagPointToPoint != 0 {
		return nil, ErrLink
	}
	return i, nil
}
