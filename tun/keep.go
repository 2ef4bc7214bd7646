package tun

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"

	"mifvif/netwatch"
)

// ErrGone says that somebody has taken the device away, which nothing can bring back.
var ErrGone = errors.New("was removed or moved to another network namespace by somebody else (start mifvif again)")

// Gone reports whether the device is not in this network namespace any more, given
// what the kernel has now: somebody has moved it, and it draws nothing.
func (d *Device) Gone(st netwatch.State) bool { return d.at(st) < 0 }

// at returns where in the list of links the device is, -1 for nowhere.
func (d *Device) at(st netwatch.State) int {
	return slices.IndexFunc(st.Links, func(l netwatch.Link) bool { return l.Index == d.index })
}

// Keep makes the device again what Open made it, given what the kernel has now:
// its addresses, its MTU, up. Without them it would draw nothing, and what it
// should have drawn would leave by the kernel's own routes. It does nothing
// where nothing is to do; a device that is gone is not made again.
func (d *Device) Keep(st netwatch.State) error {
	at := d.at(st)
	if at < 0 {
		return nil
	}
	now := st.Links[at]
	link := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: d.index, Name: now.Name}}
	var errs []error
	if now.MTU != d.mtu {
		errs = append(errs, doing("set the MTU of", now.Name, netlink.LinkSetMTU(link, d.mtu)))
	}
	for _, p := range d.addresses {
		has := func(a netwatch.Address) bool { return a.Ifindex == d.index && a.Prefix == p }
		if !slices.ContainsFunc(st.Addresses, has) {
			errs = append(errs, addAddress(link, p))
		}
	}
	if !now.Up {
		errs = append(errs, doing("bring up", now.Name, netlink.LinkSetUp(link)), addHop(link))
	}
	return errors.Join(errs...)
}

func doing(what, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, name, err)
}
