package packet

import (
	"encoding/binary"
)

// AppendIP appends the IP header for a transport payload of length bytes, with
// i's addresses, protocol, TOS, TTL, DF and (IPv4) the low half of ID; the
// IPv4 checksum is complete.
func AppendIP(dst []byte, i Info, length int) []byte {
	start := len(dst)
	if i.Dst.Is4() {
		src, to := i.Src.As4(), i.Dst.As4()
		var flags uint16
		if i.DF {
			flags = 0x4000
		}
		dst = append(dst, 0x45, i.TOS)
		dst = binary.BigEndian.AppendUint16(dst, uint16(IPv4HeaderLen+length))
		dst = binary.BigEndian.AppendUint16(dst, uint16(i.ID))
		dst = binary.BigEndian.AppendUint16(dst, flags)
		dst = append(dst, i.TTL, i.Proto, 0, 0)
		dst = append(dst, src[:]...)
		dst = append(dst, to[:]...)
		binary.BigEndian.PutUint16(dst[start+10:], ^Sum(dst[start:], 0))
		return dst
	}
	src, to := i.Src.As16(), i.Dst.As16()
	dst = append(dst, 0x60|i.TOS>>4, i.TOS<<4, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(length))
	dst = append(dst, i.Proto, i.TTL)
	dst = append(dst, src[:]...)
	return append(dst, to[:]...)
}

// AppendUDP appends IP and UDP headers for a payload of length bytes. The UDP
// checksum field holds the un-inverted pseudo-header sum, for a device that
// completes it (NeedsChecksum).
func AppendUDP(dst []byte, i Info, length int) []byte {
	i.Proto = protoUDP
	dst = AppendIP(dst, i, UDPHeaderLen+length)
	dst = binary.BigEndian.AppendUint16(dst, i.SrcPort)
	dst = binary.BigEndian.AppendUint16(dst, i.DstPort)
	dst = binary.BigEndian.AppendUint16(dst, uint16(UDPHeaderLen+length))
	return binary.BigEndian.AppendUint16(dst, PseudoSum(i.Src, i.Dst, protoUDP, UDPHeaderLen+length))
}

// FinishUDP completes the checksum of the datagram whose UDP header begins at
// l4 of the packet b.
func FinishUDP(b []byte, l4 int) { Complete(b, l4, 6) }

// Complete does what a sender left to the device: it sums b from start on, where
// the field at start+offset holds the sum of a pseudo-header, and writes the
// checksum there. The field must lie in b.
func Complete(b []byte, start, offset int) {
	binary.BigEndian.PutUint16(b[start+offset:], udpField(^Sum(b[start:], 0)))
}

// Rewrite gives the transport header at offset l4 of b another identifier or
// port at byte offset field and keeps the checksum at offset sum right.
func Rewrite(b []byte, l4, field, sum int, value uint16) {
	old := binary.BigEndian.Uint16(b[l4+field:])
	binary.BigEndian.PutUint16(b[l4+field:], value)
	c := binary.BigEndian.Uint16(b[l4+sum:])
	binary.BigEndian.PutUint16(b[l4+sum:], Update(c, old, value))
}
