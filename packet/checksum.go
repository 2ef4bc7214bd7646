package packet

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// Sum adds b to the one's complement sum initial and returns the folded sum,
// not inverted (RFC 1071). An odd last byte counts as the high half of a word.
func Sum(b []byte, initial uint16) uint16 {
	var sum, carry uint64
	sum = uint64(initial)
	for len(b) >= 8 {
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b), 0)
		sum += carry
		b = b[8:]
	}
	if len(b) >= 4 {
		sum, carry = bits.Add64(sum, uint64(binary.BigEndian.Uint32(b)), 0)
		sum += carry
		b = b[4:]
	}
	if len(b) >= 2 {
		sum, carry = bits.Add64(sum, uint64(binary.BigEndian.Uint16(b)), 0)
		sum += carry
		b = b[2:]
	}
	if len(b) == 1 {
		sum, carry = bits.Add64(sum, uint64(b[0])<<8, 0)
		sum += carry
	}
	return fold(sum)
}

// fold brings a sum of words down to 16 bits.
func fold(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return uint16(sum)
}

// Update returns the checksum field after one 16-bit word changed from old to
// new: RFC 1624 Eqn 3, HC' = ~(~HC + ~m + m').
func Update(checksum, old, new uint16) uint16 {
	return ^fold(uint64(^checksum) + uint64(^old) + uint64(new))
}

// UpdateAddr returns the checksum field after an address changed; both are of
// one family.
func UpdateAddr(checksum uint16, old, new netip.Addr) uint16 {
	return ^fold(uint64(^checksum) + uint64(^sumAddr(old)) + uint64(sumAddr(new)))
}

// sumAddr is the folded sum of an address's words.
func sumAddr(a netip.Addr) uint16 {
	if a.Is4() {
		b := a.As4()
		return Sum(b[:], 0)
	}
	b := a.As16()
	return Sum(b[:], 0)
}

// PseudoSum returns the folded, un-inverted sum of the pseudo-header that TCP,
// UDP and ICMPv6 cover (RFC 9293 3.1, RFC 8200 8.1).
func PseudoSum(src, dst netip.Addr, proto uint8, length int) uint16 {
	return fold(uint64(sumAddr(src)) + uint64(sumAddr(dst)) + uint64(proto) + uint64(length>>16) + uint64(length&0xffff))
}

// udpField is how UDP writes a computed checksum: 0 means "none" (RFC 768).
func udpField(checksum uint16) uint16 {
	if checksum == 0 {
		return 0xffff
	}
	return checksum
}

// UDPSound reports whether the datagram's checksum holds. IPv4 may do without
// one, IPv6 may not (RFC 8200 8.1).
func UDPSound(i *Info, b []byte) bool {
	l4 := b[i.L4:i.End]
	if binary.BigEndian.Uint16(l4[6:]) == 0 {
		return !i.Is6()
	}
	return Sum(l4, PseudoSum(i.Src, i.Dst, protoUDP, len(l4))) == 0xffff
}

// ICMPSound reports whether the message's checksum holds.
func ICMPSound(i *Info, b []byte) bool {
	l4 := b[i.L4:i.End]
	var initial uint16
	if i.Is6() {
		initial = PseudoSum(i.Src, i.Dst, protoICMPv6, len(l4))
	}
	return Sum(l4, initial) == 0xffff
}
