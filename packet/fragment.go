package packet

import "encoding/binary"

// FragmentHeaders is the size in bytes of what precedes the data of a fragment that
// AppendFragment makes.
const FragmentHeaders = IPv6HeaderLen + fragHeaderLen

// FragmentRoom returns how many bytes of a datagram each of its IPv6 fragments holds
// but for the last, on a link of that MTU (RFC 8200 4.5: a multiple of 8).
func FragmentRoom(mtu int) int { return (mtu - FragmentHeaders) &^ 7 }

// AppendFragment appends the headers of the IPv6 fragment that holds length bytes of
// the datagram behind header from offset on. header is the datagram's own IPv6
// header, with no extension headers behind it.
func AppendFragment(dst, header []byte, id uint32, offset, length int, more bool) []byte {
	start := len(dst)
	dst = append(dst, header[:IPv6HeaderLen]...)
	binary.BigEndian.PutUint16(dst[start+4:], uint16(fragHeaderLen+length))
	dst[start+6] = protoFragment
	place := uint16(offset)
	if more {
		place |= 1
	}
	dst = append(dst, header[6], 0)
	dst = binary.BigEndian.AppendUint16(dst, place)
	return binary.BigEndian.AppendUint32(dst, id)
}
