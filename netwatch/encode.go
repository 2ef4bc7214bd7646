package netwatch

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// replace puts r in its slot, whatever was there.
func (r *Route) replace(kernel *talk) error {
	return kernel.tell(r.request(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE))
}

// remove takes r away.
func (r *Route) remove(kernel *talk) error { return kernel.tell(r.request(unix.RTM_DELROUTE, 0)) }

// request is r as the kernel wants to be told of it.
func (r *Route) request(kind, flags int) *nl.NetlinkRequest {
	types := map[RouteType]uint8{
		Unicast: unix.RTN_UNICAST, Unreachable: unix.RTN_UNREACHABLE, Prohibit: unix.RTN_PROHIBIT,
		Blackhole: unix.RTN_BLACKHOLE, Throw: unix.RTN_THROW,
	}
	head := &nl.RtMsg{RtMsg: unix.RtMsg{
		Family: family(r.Dst.Addr()), Dst_len: uint8(r.Dst.Bits()), Protocol: uint8(r.Protocol), Type: types[r.Type], Scope: unix.RT_SCOPE_UNIVERSE,
	}}
	if r.OnLink && r.Gateway.IsValid() {
		head.Flags = unix.RTNH_F_ONLINK
	}
	if r.Type == Unicast && !r.Gateway.IsValid() && r.Dst.Addr().Is4() {
		head.Scope = unix.RT_SCOPE_LINK
	}
	if r.From.IsValid() {
		head.Src_len = uint8(r.From.Bits())
	}
	req := nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)
	req.AddData(head)
	add := func(kind int, value []byte) { req.AddData(nl.NewRtAttr(kind, value)) }
	add(unix.RTA_TABLE, nl.Uint32Attr(uint32(r.Table)))
	add(unix.RTA_DST, r.Dst.Addr().AsSlice())
	add(unix.RTA_PRIORITY, nl.Uint32Attr(uint32(r.Metric)))
	if r.From.IsValid() {
		add(unix.RTA_SRC, r.From.Addr().AsSlice())
	}
	if r.Source.IsValid() {
		add(unix.RTA_PREFSRC, r.Source.AsSlice())
	}
	if r.Ifindex != 0 {
		add(unix.RTA_OIF, nl.Uint32Attr(uint32(r.Ifindex)))
	}
	switch {
	case !r.Gateway.IsValid():
	case r.Gateway.Is6() == r.Dst.Addr().Is6():
		add(unix.RTA_GATEWAY, r.Gateway.AsSlice())
	default:
		add(unix.RTA_VIA, append(binary.NativeEndian.AppendUint16(nil, uint16(family(r.Gateway))), r.Gateway.AsSlice()...))
	}
	if m := r.Path.attribute(); m != nil && kind == unix.RTM_NEWROUTE {
		req.AddData(m)
	}
	return req
}

func family(a netip.Addr) uint8 {
	if a.Is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// String returns the route much as ip(8) would print it.
func (r Route) String() string {
	var b strings.Builder
	fmt.Fprint(&b, r.Dst)
	if r.From.IsValid() {
		fmt.Fprint(&b, " from ", r.From)
	}
	if r.Gateway.IsValid() {
		fmt.Fprint(&b, " via ", r.Gateway)
	}
	if r.Type != Unicast {
		fmt.Fprintf(&b, " type %d", r.Type)
	}
	fmt.Fprintf(&b, " interface %d table %d metric %d", r.Ifindex, r.Table, r.Metric)
	return b.String()
}
