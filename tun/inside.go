package tun

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// OpenInside opens a device in the network namespace of the calling thread, which
// is new, as its one way out: loopback and the device are up, and both families'
// default routes lead into it. Other threads may use the device then. It keeps
// the namespace until it is closed.
func OpenInside(cfg Config) (*Device, error) {
	if err := loopback(); err != nil {
		return nil, err
	}
	d, err := Open(cfg)
	if err != nil {
		return nil, err
	}
	for _, p := range cfg.Addresses {
		if err := d.leadInto(p.Addr()); err != nil {
			d.Close()
			return nil, err
		}
	}
	// Anybody may ping: without it the namespace lets nobody (icmp(7)).
	_ = os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 2147483647"), 0)
	return d, nil
}

func loopback() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("bring loopback up: %w", err)
	}
	return nil
}

// leadInto makes d the default route of the family of one of its addresses, which
// packets leave with.
func (d *Device) leadInto(src netip.Addr) error {
	route := netlink.Route{LinkIndex: d.index, Src: src.AsSlice(), Scope: netlink.SCOPE_UNIVERSE, Family: netlink.FAMILY_V4}
	if src.Is6() {
		route.Family, route.Gw = netlink.FAMILY_V6, hop(true).AsSlice()
	} else {
		route.Scope = netlink.SCOPE_LINK
	}
	err := netlink.RouteAdd(&route)
	if src.Is6() && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT)) {
		return nil // as in addAddress: a host without IPv6
	}
	if err != nil {
		return fmt.Errorf("make %s the default route: %w", d.name, err)
	}
	return nil
}
