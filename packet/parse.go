package packet

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Protocol numbers this package looks into.
const (
	protoICMP     = 1
	protoTCP      = 6
	protoUDP      = 17
	protoFragment = 44
	protoICMPv6   = 58
)

// Header sizes in bytes.
const (
	IPv4HeaderLen = 20
	IPv6HeaderLen = 40
	UDPHeaderLen  = 8
	ICMPHeaderLen = 8
	tcpHeaderLen  = 20
	fragHeaderLen = 8
)

// maxExtensions bounds the walk along IPv6 extension headers.
const maxExtensions = 8

// Errors of Parse.
var (
	ErrShort    = errors.New("packet is cut short")
	ErrVersion  = errors.New("neither IPv4 nor IPv6")
	ErrHeader   = errors.New("IP header contradicts itself")
	ErrChecksum = errors.New("IPv4 header checksum is wrong")
	ErrFragment = errors.New("fragment is malformed")
)

// Info is what the headers of one packet say. It refers to no memory but its own.
type Info struct {
	Src, Dst netip.Addr
	// SrcPort and DstPort are those of TCP and UDP; for an ICMP echo request
	// SrcPort is the identifier, for an echo reply DstPort is. 0 in fragments
	// that are not the first, and for everything else.
	SrcPort, DstPort uint16
	Proto            uint8 // transport protocol, behind all extension headers
	TOS              uint8 // DSCP and ECN
	TTL              uint8 // or hop limit
	ICMPType         uint8
	ICMPCode         uint8
	DF               bool // IPv4 "don't fragment"; always true for IPv6 without fragment header
	Fragment         bool // part of a larger datagram
	More             bool // more fragments follow
	FragOffset       int  // bytes
	ID               uint32
	L4               int // offset of the transport header (of the payload in a fragment)
	End              int // end of the packet as the IP header says; bytes behind it are padding
	extension        int // offset of the next-header byte that names the fragment header, IPv6
}

// Is6 reports whether the packet is IPv6.
func (i *Info) Is6() bool { return i.Src.Is6() }

// Payload returns what follows the UDP or ICMP header in the packet Info was
// parsed from.
func (i *Info) Payload(packet []byte) []byte { return packet[i.L4+UDPHeaderLen : i.End] }

// EchoRequest reports whether the packet is an ICMP or ICMPv6 echo request.
func (i *Info) EchoRequest() bool {
	return i.Proto == protoICMP && i.ICMPType == icmpEchoRequest && !i.Is6() ||
		i.Proto == protoICMPv6 && i.ICMPType == icmp6EchoRequest && i.Is6()
}

// EchoReply reports whether the packet is an ICMP or ICMPv6 echo reply.
func (i *Info) EchoReply() bool {
	return i.Proto == protoICMP && i.ICMPType == icmpEchoReply && !i.Is6() ||
		i.Proto == protoICMPv6 && i.ICMPType == icmp6EchoReply && i.Is6()
}

// Martian reports whether no honest host sends such a packet to one other host:
// a source that is nobody's or a group's, a loopback address, a destination
// that is a group or nobody (RFC 1812 5.3.7, RFC 4291 2.5, 2.7).
func (i *Info) Martian() bool {
	return bad(i.Src) || bad(i.Dst) || i.Src.IsLinkLocalUnicast() || i.Dst.IsLinkLocalUnicast()
}

// bad reports whether a is no unicast address of the Internet or a private network.
func bad(a netip.Addr) bool {
	if a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.Is4In6() {
		return true
	}
	if !a.Is4() {
		return false
	}
	b := a.As4()
	return b[0] == 0 || b[0] >= 240
}

// Parse reads the headers of one packet. It does not allocate.
func Parse(b []byte) (Info, error) {
	if len(b) == 0 {
		return Info{}, ErrShort
	}
	switch b[0] >> 4 {
	case 4:
		return parse4(b)
	case 6:
		return parse6(b)
	}
	return Info{}, ErrVersion
}

func parse4(b []byte) (Info, error) {
	if len(b) < IPv4HeaderLen {
		return Info{}, ErrShort
	}
	hl, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	if hl < IPv4HeaderLen || total < hl {
		return Info{}, ErrHeader
	}
	if total > len(b) {
		return Info{}, ErrShort
	}
	if Sum(b[:hl], 0) != 0xffff {
		return Info{}, ErrChecksum
	}
	flags := binary.BigEndian.Uint16(b[6:])
	i := Info{
		Src: netip.AddrFrom4([4]byte(b[12:16])), Dst: netip.AddrFrom4([4]byte(b[16:20])),
		Proto: b[9], TOS: b[1], TTL: b[8],
		DF: flags&0x4000 != 0, More: flags&0x2000 != 0, FragOffset: int(flags&0x1fff) * 8,
		ID: uint32(binary.BigEndian.Uint16(b[4:])), L4: hl, End: total,
	}
	i.Fragment = i.More || i.FragOffset > 0
	return i, i.transport(b)
}

func parse6(b []byte) (Info, error) {
	if len(b) < IPv6HeaderLen {
		return Info{}, ErrShort
	}
	total := IPv6HeaderLen + int(binary.BigEndian.Uint16(b[4:]))
	if total > len(b) {
		return Info{}, ErrShort
	}
	i := Info{
		Src: netip.AddrFrom16([16]byte(b[8:24])), Dst: netip.AddrFrom16([16]byte(b[24:40])),
		Proto: b[6], TOS: b[0]<<4 | b[1]>>4, TTL: b[7],
		DF: true, L4: IPv6HeaderLen, End: total, extension: 6,
	}
	if err := i.extensions(b[:total]); err != nil {
		return i, err
	}
	return i, i.transport(b)
}

// extensions walks to the transport header or the first fragment header
// (RFC 8200 4.1: what precedes it is in every fragment).
func (i *Info) extensions(b []byte) error {
	for range maxExtensions {
		switch i.Proto {
		case 0, 43, 60: // hop-by-hop, routing, destination options
			if i.L4+8 > len(b) {
				return ErrShort
			}
			next := i.L4 + 8 + int(b[i.L4+1])*8
			if next > len(b) {
				return ErrShort
			}
			i.Proto, i.extension, i.L4 = b[i.L4], i.L4, next
		case protoFragment:
			return i.fragment6(b)
		default:
			return nil
		}
	}
	return ErrHeader
}

// fragment6 reads a fragment header (RFC 8200 4.5). An "atomic" fragment, the
// only one of its datagram, is an ordinary packet (RFC 6946).
func (i *Info) fragment6(b []byte) error {
	if i.L4+fragHeaderLen > len(b) {
		return ErrShort
	}
	h := b[i.L4:]
	word := binary.BigEndian.Uint16(h[2:])
	i.FragOffset, i.More = int(word&^7), word&1 != 0
	i.ID, i.DF = binary.BigEndian.Uint32(h[4:]), false
	i.Fragment = i.More || i.FragOffset > 0
	i.Proto = h[0]
	i.L4 += fragHeaderLen
	return nil
}

// transport reads the ports of a whole packet or a first fragment.
func (i *Info) transport(b []byte) error {
	if i.FragOffset > 0 {
		return nil
	}
	l4 := b[i.L4:i.End]
	switch i.Proto {
	case protoTCP:
		return i.ports(l4, tcpHeaderLen)
	case protoUDP:
		return i.udp(l4)
	case protoICMP, protoICMPv6:
		return i.icmp(l4)
	}
	return nil
}

func (i *Info) udp(l4 []byte) error {
	if err := i.ports(l4, UDPHeaderLen); err != nil || i.Fragment {
		return err
	}
	n := int(binary.BigEndian.Uint16(l4[4:]))
	switch {
	case n < UDPHeaderLen:
		return ErrHeader
	case n > len(l4):
		return ErrShort
	}
	i.End = i.L4 + n
	return nil
}

func (i *Info) ports(l4 []byte, minimum int) error {
	if len(l4) < minimum {
		return ErrShort
	}
	i.SrcPort, i.DstPort = binary.BigEndian.Uint16(l4), binary.BigEndian.Uint16(l4[2:])
	return nil
}

func (i *Info) icmp(l4 []byte) error {
	if len(l4) < ICMPHeaderLen {
		return ErrShort
	}
	i.ICMPType, i.ICMPCode = l4[0], l4[1]
	switch {
	case i.EchoRequest():
		i.SrcPort = binary.BigEndian.Uint16(l4[4:])
	case i.EchoReply():
		i.DstPort = binary.BigEndian.Uint16(l4[4:])
	}
	return nil
}
