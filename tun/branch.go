package tun

import (
	"maps"
	"net/netip"
)

// branches are devices that get part of what is written to another one, by
// destination. The map never changes.
type branches map[netip.Addr]*Device

// Branch has what is written to d for one of the addresses written to another
// device instead, until Unbranch. Safe for concurrent use, as is Unbranch.
func (d *Device) Branch(addrs []netip.Addr, to *Device) {
	d.changeBranches(func(all branches) {
		for _, a := range addrs {
			all[a] = to
		}
	})
}

// Unbranch undoes Branch for a device.
func (d *Device) Unbranch(from *Device) {
	d.changeBranches(func(all branches) {
		maps.DeleteFunc(all, func(_ netip.Addr, to *Device) bool { return to == from })
	})
}

func (d *Device) changeBranches(change func(branches)) {
	d.branching.Lock()
	defer d.branching.Unlock()
	all := make(branches)
	if old := d.branches.Load(); old != nil {
		maps.Copy(all, *old)
	}
	if change(all); len(all) == 0 {
		d.branches.Store(nil) // so that nobody looks at destinations
		return
	}
	d.branches.Store(&all)
}

// of returns the branch for an IP packet in pieces, nil if there is none.
func (b branches) of(bufs [][]byte) *Device {
	const v4, v6 = 20, 40 // bytes of the headers
	for _, first := range bufs {
		switch {
		case len(first) == 0:
			continue
		case len(first) >= v4 && first[0]>>4 == 4:
			return b[netip.AddrFrom4([4]byte(first[16:v4]))]
		case len(first) >= v6 && first[0]>>4 == 6:
			return b[netip.AddrFrom16([16]byte(first[24:v6]))]
		}
		return nil
	}
	return nil
}
