package netwatch

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// attrProtocol is IFA_PROTO, which the netlink library does not know.
const attrProtocol = 11

func readAddresses(s *State) error {
	request := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
	request.AddData(nl.NewIfAddrmsg(netlink.FAMILY_ALL))
	var addresses []Address
	err := dump(request, func(message []byte) error {
		if a, ok := readAddress(message); ok {
			addresses = append(addresses, a)
		}
		return nil
	})
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("list addresses: %w", err)
	}
	slices.SortFunc(addresses, func(a, b Address) int {
		return cmp.Or(cmp.Compare(a.Ifindex, b.Ifindex), comparePrefix(a.Prefix, b.Prefix))
	})
	s.Addresses = addresses
	return err
}

// readAddress restates one RTM_NEWADDR message. IFA_LOCAL is the address and
// IFA_ADDRESS the peer's where both are there and differ; IPv6 has IFA_ADDRESS
// alone.
func readAddress(m []byte) (Address, bool) {
	if len(m) < unix.SizeofIfAddrmsg || m[0] != unix.AF_INET && m[0] != unix.AF_INET6 {
		return Address{}, false
	}
	family, bits, flags, scope := m[0], int(m[1]), uint32(m[2]), m[3]
	out := Address{Ifindex: number(m[4:]), Valid: Forever, Preferred: Forever}
	out.Global = scope == unix.RT_SCOPE_UNIVERSE || scope == unix.RT_SCOPE_SITE
	var local, other netip.Addr
	err := attributes(m[unix.SizeofIfAddrmsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(value)
		case unix.IFA_ADDRESS:
			other, _ = netip.AddrFromSlice(value)
		case unix.IFA_FLAGS:
			flags = uint32(number(value))
		case unix.IFA_CACHEINFO:
			if len(value) >= 8 {
				out.Preferred, out.Valid = lifetime(number(value)), lifetime(number(value[4:]))
			}
		case attrProtocol:
			if len(value) >= 1 {
				out.Protocol = int(value[0])
			}
		}
	})
	out.Deprecated = flags&unix.IFA_F_DEPRECATED != 0
	out.Tentative = flags&unix.IFA_F_TENTATIVE != 0 && flags&unix.IFA_F_OPTIMISTIC == 0 || flags&unix.IFA_F_DADFAILED != 0
	out.Temporary = flags&unix.IFA_F_TEMPORARY != 0 && family == unix.AF_INET6
	out.Secondary = flags&unix.IFA_F_SECONDARY != 0 && family == unix.AF_INET // the bit means two things
	out.Home = flags&unix.IFA_F_HOMEADDRESS != 0
	switch {
	case local.IsValid() && other.IsValid() && local != other:
		out.Peer, bits = other, local.BitLen() // the prefix is the peer's
	case !local.IsValid():
		local = other
	}
	out.Prefix = netip.PrefixFrom(local, bits)
	return out, err == nil && out.Prefix.IsValid()
}

// SyncAddresses makes the addresses that carry mifvif's protocol what want says:
// it adds what is missing, sets finite lifetimes anew, and removes what nobody
// wants any more. Addresses of others stay; one that is there already, whoever
// made it, is not taken over. Of want, Ifindex, Prefix, Valid, Preferred and
// Deprecated count: lifetimes are exact here and start now, Forever has no end.
// A link or a family that is gone or off is no error.
func SyncAddresses(have, want []Address) error {
	type place struct {
		ifindex int
		addr    netip.Addr
	}
	present := make(map[place]Address, len(have))
	for _, a := range have {
		present[place{a.Ifindex, a.Prefix.Addr()}] = a
	}
	var kernel talk
	defer kernel.end()
	var errs []error
	wanted := make(map[place]bool, len(want))
	for _, a := range want {
		at := place{a.Ifindex, a.Prefix.Addr()}
		if wanted[at] {
			continue
		}
		wanted[at] = true
		was, there := present[at]
		foreign := there && was.Protocol != Protocol
		settled := there && was.Prefix == a.Prefix && a.Valid == Forever && was.Valid == Forever &&
			was.Deprecated == a.deprecated() && (a.deprecated() || was.Preferred == a.Preferred)
		if foreign || settled {
			continue
		}
		if there && was.Prefix != a.Prefix {
			errs = append(errs, was.change(&kernel, unix.RTM_DELADDR, unix.NLM_F_ACK))
		}
		errs = append(errs, a.change(&kernel, unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE|unix.NLM_F_ACK))
	}
	for at, a := range present {
		if a.Protocol == Protocol && !wanted[at] {
			errs = append(errs, a.change(&kernel, unix.RTM_DELADDR, unix.NLM_F_ACK))
		}
	}
	return errors.Join(errs...)
}

func (a Address) deprecated() bool { return a.Deprecated || a.Preferred == 0 }

// change adds or deletes the address.
func (a Address) change(kernel *talk, what, flags int) error {
	family := unix.AF_INET
	if a.Prefix.Addr().Is6() {
		family = unix.AF_INET6
	}
	req := nl.NewNetlinkRequest(what, flags)
	header := nl.NewIfAddrmsg(family)
	header.Index, header.Prefixlen = uint32(a.Ifindex), uint8(a.Prefix.Bits())
	req.AddData(header)
	raw := a.Prefix.Addr().AsSlice()
	req.AddData(nl.NewRtAttr(unix.IFA_LOCAL, raw))
	req.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, raw))
	if family == unix.AF_INET && a.Prefix.Bits() < 31 {
		req.AddData(nl.NewRtAttr(unix.IFA_BROADCAST, broadcast(a.Prefix)))
	}
	if what == unix.RTM_NEWADDR {
		req.AddData(nl.NewRtAttr(attrProtocol, []byte{Protocol}))
		if family == unix.AF_INET6 { // its domain's table has the route, main shall not
			req.AddData(nl.NewRtAttr(unix.IFA_FLAGS, binary.NativeEndian.AppendUint32(nil, unix.IFA_F_NOPREFIXROUTE)))
		}
		info := binary.NativeEndian.AppendUint32(nil, seconds(a.preferred()))
		info = binary.NativeEndian.AppendUint32(info, seconds(a.Valid))
		req.AddData(nl.NewRtAttr(unix.IFA_CACHEINFO, append(info, make([]byte, 8)...)))
	}
	err := kernel.tell(req)
	switch {
	case err == nil, what == unix.RTM_NEWADDR && off(err), what == unix.RTM_DELADDR && gone(err):
		return nil
	case what == unix.RTM_NEWADDR:
		return fmt.Errorf("add address %s: %w", a.Prefix, err)
	}
	return fmt.Errorf("remove address %s: %w", a.Prefix, err)
}

func (a Address) preferred() time.Duration {
	if a.Deprecated {
		return 0
	}
	return a.Preferred
}

// seconds restates a lifetime for the kernel, which takes no valid one of zero.
func seconds(d time.Duration) uint32 {
	if d == Forever {
		return 0xffffffff
	}
	return uint32(min(d/time.Second, 0xfffffffe))
}

func broadcast(p netip.Prefix) []byte {
	raw := p.Addr().As4()
	host := uint32(1)<<(32-p.Bits()) - 1
	return binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(raw[:])|host)
}
