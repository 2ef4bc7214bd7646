package tun

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// RemoveDead deletes the device of that name if it is a TUN device that somebody
// made persistent and no process holds: it would keep the name, and routes into
// it would lead nowhere. A device in use, one of another kind, and none at all
// are left as they are. mifvif's own goes with its process.
func RemoveDead(name string) error {
	link, err := netlink.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for %s: %w", name, err)
	}
	device, ok := link.(*netlink.Tuntap)
	held := link.Attrs().RawFlags&unix.IFF_LOWER_UP != 0 && link.Attrs().Flags&net.FlagUp != 0
	if !ok || device.Mode != netlink.TUNTAP_MODE_TUN || device.NonPersist || held {
		return nil
	}
	if err := netlink.LinkDel(link); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}
