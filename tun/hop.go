package tun

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hop is the next hop of mif0's IPv6 routes. Nobody has it and nothing is sent
// to it: it spares the kernel an entry in its table of neighbours for every
// destination. That table is one for the whole machine, and a network that
// floods it with router advertisements would stop every new IPv6 destination
// (RFC 6418 6-2). IPv4 has one entry for all of a point-to-point link by itself.
func hop(is6 bool) netip.Addr {
	if !is6 {
		return netip.Addr{}
	}
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: 1})
}

// addHop makes the hop's entry for good, so that it is not found missing when
// the table is full. A host without IPv6 does without.
func addHop(link netlink.Link) error {
	err := netlink.NeighSet(&netlink.Neigh{
		LinkIndex: link.Attrs().Index, Family: netlink.FAMILY_V6, State: netlink.NUD_PERMANENT, IP: hop(true).AsSlice(),
	})
	if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("make the next hop of %s: %w", link.Attrs().Name, err)
	}
	return nil
}
