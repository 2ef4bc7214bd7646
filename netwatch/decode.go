package netwatch

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// errShort says that a message of the kernel ends before what it announces.
var errShort = errors.New("a netlink message is cut short")

// parseRoute hands on what one message of the kernel's says. Copies of routes that
// single destinations have are left out.
func parseRoute(m []byte, hand func(*Route)) error {
	if len(m) < unix.SizeofRtMsg {
		return errShort
	}
	head := nl.DeserializeRtMsg(m)
	if head.Flags&unix.RTM_F_CLONED != 0 {
		return nil
	}
	r := Route{Table: int(head.Table), Type: routeType(int(head.Type)), Protocol: int(head.Protocol), Dst: AnyPrefix(head.Family == unix.AF_INET6)}
	r.flags(head.Flags)
	var hops []byte
	err := attributes(m[unix.SizeofRtMsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.RTA_DST:
			r.Dst = netip.PrefixFrom(address(value), int(head.Dst_len))
		case unix.RTA_SRC:
			r.From = netip.PrefixFrom(address(value), int(head.Src_len))
		case unix.RTA_PREFSRC:
			r.Source = address(value)
		case unix.RTA_OIF:
			r.Ifindex = number(value)
		case unix.RTA_PRIORITY:
			r.Metric = number(value)
		case unix.RTA_TABLE:
			r.Table = number(value)
		case unix.RTA_METRICS:
			_ = attributes(value, r.Path.read)
		case unix.RTA_MULTIPATH:
			hops = value
		default:
			r.gateway(kind, value)
		}
	})
	if err != nil || len(hops) == 0 {
		if err == nil {
			hand(&r)
		}
		return err
	}
	return nextHops(hops, r, hand)
}

// nextHops hands on r by each of the next hops of a multipath route.
func nextHops(b []byte, r Route, hand func(*Route)) error {
	for len(b) > 0 {
		if len(b) < unix.SizeofRtNexthop {
			return errShort
		}
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtNexthop || n > len(b) {
			return errShort
		}
		one := r
		one.flags(uint32(b[2]))
		one.Ifindex = number(b[4:8])
		if err := attributes(b[unix.SizeofRtNexthop:n], one.gateway); err != nil {
			return err
		}
		hand(&one)
		b = b[min(aligned(n), len(b)):]
	}
	return nil
}

func (r *Route) flags(bits uint32) {
	r.LinkDown = bits&(unix.RTNH_F_LINKDOWN|unix.RTNH_F_DEAD) != 0
	r.OnLink = bits&unix.RTNH_F_ONLINK != 0
}

// gateway takes the next hop, which may be of the other family (RFC 5549).
func (r *Route) gateway(kind uint16, value []byte) {
	switch {
	case kind == unix.RTA_GATEWAY:
		r.Gateway = address(value)
	case kind == unix.RTA_VIA && len(value) > 2: // family, address
		r.Gateway = address(value[2:])
	}
}

// attributes hands on each netlink attribute of b.
func attributes(b []byte, hand func(kind uint16, value []byte)) error {
	for len(b) >= unix.SizeofRtAttr {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtAttr || n > len(b) {
			return errShort
		}
		hand(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofRtAttr:n])
		b = b[min(aligned(n), len(b)):]
	}
	return nil
}

func aligned(n int) int { return (n + unix.RTA_ALIGNTO - 1) &^ (unix.RTA_ALIGNTO - 1) }

// number reads 32 bits, 0 where there are fewer.
func number(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	return int(binary.NativeEndian.Uint32(b))
}

func address(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a.Unmap()
}
