package packet

import (
	"encoding/binary"
	"net/netip"
)

// ICMP and ICMPv6 types (RFC 792, 4443).
const (
	icmpEchoReply      = 0
	icmpUnreachable    = 3
	icmpEchoRequest    = 8
	icmpTimeExceeded   = 11
	icmpParameter      = 12
	icmp6Unreachable   = 1
	icmp6TooBig        = 2
	icmp6TimeExceeded  = 3
	icmp6Parameter     = 4
	icmp6EchoRequest   = 128
	icmp6EchoReply     = 129
	icmp4NeedsFragment = 4
)

// How much of the packet an error is about may be quoted, whole error included
// (RFC 1812 4.3.2.3, RFC 4443 2.4 (c)).
const (
	maxError4 = 576
	maxError6 = 1280
)

// Unreachable is a reason why a packet goes no further, in words that both
// families have.
type Unreachable uint8

// The reasons: ICMP 3/0, 3/1, 3/2, 3/3, 3/13 and ICMPv6 1/0, 1/3, 4/1, 1/4, 1/1.
const (
	NetUnreachable Unreachable = iota
	HostUnreachable
	ProtocolUnreachable
	PortUnreachable
	AdminProhibited
)

// codes returns type and code of u for a family.
func (u Unreachable) codes(is6 bool) (typ, code uint8) {
	codes4 := [...]uint8{0, 1, 2, 3, 13}
	codes6 := [...][2]uint8{{1, 0}, {1, 3}, {4, 1}, {1, 4}, {1, 1}}
	if is6 {
		return codes6[u][0], codes6[u][1]
	}
	return icmpUnreachable, codes4[u]
}

// Error is an ICMP error of either family, before it is about any packet.
type Error struct {
	Type, Code uint8
	Rest       uint32     // second word of the header: MTU, pointer or 0
	From       netip.Addr // whose error it is; the zero Addr means the original destination
}

// UnreachableError returns the error that says u in the given family. "Protocol
// unreachable" points at the field that names the protocol.
func UnreachableError(u Unreachable, is6 bool) Error {
	e := Error{}
	e.Type, e.Code = u.codes(is6)
	if is6 && u == ProtocolUnreachable {
		e.Rest = 6 // the next-header field of the IPv6 header
	}
	return e
}

// TooBigError returns the error that asks for packets of at most mtu bytes.
func TooBigError(mtu int, is6 bool) Error {
	if is6 {
		return Error{Type: icmp6TooBig, Rest: uint32(mtu)}
	}
	return Error{Type: icmpUnreachable, Code: icmp4NeedsFragment, Rest: uint32(mtu & 0xffff)}
}

// AppendUnreachable appends to dst a whole IP packet that tells the sender of
// original why it goes no further. It appends nothing where no error may be
// sent; original may be cut off behind its transport header.
func AppendUnreachable(dst []byte, u Unreachable, original []byte) []byte {
	is6 := len(original) > 0 && original[0]>>4 == 6
	return AppendError(dst, UnreachableError(u, is6), original)
}

// AppendError appends to dst a whole IP packet that carries e, about original,
// to original's sender. It appends nothing where no error may be sent (about an
// ICMP error, a fragment that is not the first, a group, a source that is no
// host: RFC 1122 3.2.2, RFC 4443 2.4 (e)).
func AppendError(dst []byte, e Error, original []byte) []byte {
	src, to, ok := quotable(original)
	if !ok {
		return dst
	}
	if !e.From.IsValid() || e.From.Is4() != to.Is4() {
		e.From = src
	}
	limit := maxError4 - IPv4HeaderLen - ICMPHeaderLen
	if to.Is6() {
		limit = maxError6 - IPv6HeaderLen - ICMPHeaderLen
	}
	quote := original[:min(len(original), limit)]
	proto := uint8(protoICMP)
	if to.Is6() {
		proto = protoICMPv6
	}
	dst = AppendIP(dst, Info{Src: e.From, Dst: to, Proto: proto, TTL: 64}, ICMPHeaderLen+len(quote))
	l4 := len(dst)
	dst = append(dst, e.Type, e.Code, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, e.Rest)
	dst = append(dst, quote...)
	var initial uint16
	if to.Is6() {
		initial = PseudoSum(e.From, to, proto, len(dst)-l4)
	}
	binary.BigEndian.PutUint16(dst[l4+2:], ^Sum(dst[l4:], initial))
	return dst
}

// quotable reports whether an error may be sent about original, and between
// whom: from its destination to its source.
func quotable(original []byte) (from, to netip.Addr, ok bool) {
	var proto, typ uint8
	switch {
	case len(original) >= IPv4HeaderLen+8 && original[0]>>4 == 4:
		hl := int(original[0]&0xf) * 4
		if hl < IPv4HeaderLen || hl+8 > len(original) || binary.BigEndian.Uint16(original[6:])&0x1fff != 0 {
			return from, to, false
		}
		from, to = netip.AddrFrom4([4]byte(original[16:20])), netip.AddrFrom4([4]byte(original[12:16]))
		proto, typ = original[9], original[hl]
		if proto == protoICMP && typ != icmpEchoRequest && typ != icmpEchoReply {
			return from, to, false
		}
	case len(original) >= IPv6HeaderLen+8 && original[0]>>4 == 6:
		from, to = netip.AddrFrom16([16]byte(original[24:40])), netip.AddrFrom16([16]byte(original[8:24]))
		proto, typ = original[6], original[IPv6HeaderLen]
		if proto == protoICMPv6 && typ < 128 {
			return from, to, false
		}
	default:
		return from, to, false
	}
	return from, to, !bad(from) && !bad(to)
}

// AppendEchoReply appends to dst the answer to the echo request that info
// describes, from the address that was asked.
func AppendEchoReply(dst []byte, info *Info, request []byte) []byte {
	msg := request[info.L4:info.End]
	dst = AppendIP(dst, Info{Src: info.Dst, Dst: info.Src, Proto: info.Proto, TTL: 64, TOS: info.TOS}, len(msg))
	l4 := len(dst)
	dst = append(dst, msg...)
	var initial uint16
	if dst[l4] = icmpEchoReply; info.Is6() {
		dst[l4] = icmp6EchoReply
		initial = PseudoSum(info.Dst, info.Src, protoICMPv6, len(msg))
	}
	dst[l4+2], dst[l4+3] = 0, 0
	binary.BigEndian.PutUint16(dst[l4+2:], ^Sum(dst[l4:], initial))
	return dst
}

// TooBig returns the MTU that an ICMP error asks for and the protocol of the packet
// it is about; 0 and 0 for a packet that is no such error.
func TooBig(p []byte) (mtu int, about uint8, is6 bool) {
	i, err := Parse(p)
	if err != nil || i.Fragment || i.End-i.L4 < ICMPHeaderLen {
		return 0, 0, false
	}
	message, quote := p[i.L4:], p[i.L4+ICMPHeaderLen:i.End]
	switch {
	case i.Is6() && i.Proto == protoICMPv6 && i.ICMPType == icmp6TooBig && len(quote) >= IPv6HeaderLen:
		return int(binary.BigEndian.Uint32(message[4:])), quote[6], true
	case !i.Is6() && i.Proto == protoICMP && i.ICMPType == icmpUnreachable && i.ICMPCode == icmp4NeedsFragment && len(quote) >= IPv4HeaderLen:
		return int(binary.BigEndian.Uint16(message[6:])), quote[9], false
	}
	return 0, 0, false
}
