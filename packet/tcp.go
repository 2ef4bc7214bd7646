package packet

import (
	"encoding/binary"
	"net/netip"
)

// Offsets in a TCP header, and its size without options (RFC 9293 3.1).
const (
	TCPHeaderLen = 20
	tcpSum       = 16
)

// OptionMultipath is the kind of Multipath TCP's option (RFC 8684 3).
const OptionMultipath = 30

// Kinds of TCP options (IANA "TCP Option Kind Numbers").
const (
	optionEnd = 0
	optionNOP = 1
	optionMSS = 2
)

// Flags of a TCP header.
const (
	TCPFin = 1
	TCPSyn = 2
	TCPRst = 4
	TCPAck = 16
)

// TCPHeaders returns where the TCP header of a whole packet begins, and whether
// its headers are there and are all there is before the data: no IP options, no
// extension headers, no fragment.
func TCPHeaders(p []byte) (l4 int, ok bool) {
	switch {
	case len(p) >= IPv4HeaderLen+TCPHeaderLen && p[0] == 0x45:
		l4, ok = IPv4HeaderLen, p[9] == protoTCP && binary.BigEndian.Uint16(p[6:])&0x3fff == 0
	case len(p) >= IPv6HeaderLen+TCPHeaderLen && p[0]>>4 == 6:
		l4, ok = IPv6HeaderLen, p[6] == protoTCP
	}
	if !ok {
		return 0, false
	}
	header := int(p[l4+12]>>4) * 4
	return l4, header >= TCPHeaderLen && l4+header <= len(p)
}

// ReaddressSYN makes the headers of an app's SYN, as TCPHeaders knows them, those
// of the same SYN from another source: without data (it is sent again, RFC 7413
// 4.2.2 permits to ignore it), for segments of at most mss bytes (RFC 9293
// 3.7.1), and, unless multipath, without the offer of Multipath TCP. Sums are made
// anew.
func ReaddressSYN(p []byte, src netip.AddrPort, mss uint16, multipath bool) {
	l4, ok := TCPHeaders(p)
	if !ok {
		return
	}
	TCPOptions(p[l4+TCPHeaderLen:l4+int(p[l4+12]>>4)*4], func(kind byte, option []byte) {
		switch {
		case kind == optionMSS && len(option) == 4 && binary.BigEndian.Uint16(option[2:]) > mss:
			binary.BigEndian.PutUint16(option[2:], mss)
		case kind == OptionMultipath && !multipath:
			for i := range option {
				option[i] = optionNOP
			}
		}
	})
	binary.BigEndian.PutUint16(p[l4:], src.Port())
	setAddresses(p, src.Addr(), l4)
}

// TCPOptions calls see with each option of a TCP header that is whole, from its kind
// on, until the end or the first one that makes no sense (RFC 9293 3.2).
func TCPOptions(b []byte, see func(kind byte, option []byte)) {
	for len(b) > 0 {
		switch {
		case b[0] == optionEnd:
			return
		case b[0] == optionNOP:
			b = b[1:]
			continue
		case len(b) < 2 || b[1] < 2 || int(b[1]) > len(b):
			return
		}
		n := int(b[1])
		see(b[0], b[:n])
		b = b[n:]
	}
}

// setAddresses gives a packet another source, the length that it has, and sums.
func setAddresses(p []byte, src netip.Addr, l4 int) {
	var dst netip.Addr
	if l4 == IPv4HeaderLen {
		a := src.As4()
		copy(p[12:], a[:])
		dst = netip.AddrFrom4([4]byte(p[16:20]))
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		binary.BigEndian.PutUint16(p[10:], 0)
		binary.BigEndian.PutUint16(p[10:], ^Sum(p[:l4], 0))
	} else {
		a := src.As16()
		copy(p[8:], a[:])
		dst = netip.AddrFrom16([16]byte(p[24:40]))
		binary.BigEndian.PutUint16(p[4:], uint16(len(p)-l4))
	}
	binary.BigEndian.PutUint16(p[l4+tcpSum:], 0)
	binary.BigEndian.PutUint16(p[l4+tcpSum:], ^Sum(p[l4:], PseudoSum(src, dst, protoTCP, len(p)-l4)))
}

// AppendReset appends a whole packet that resets a connection (RFC 9293 3.10.7).
func AppendReset(dst []byte, from, to netip.AddrPort, seq, ack uint32) []byte {
	return appendTCP(dst, from, to, seq, ack, TCPRst|TCPAck)
}

// AppendAck appends a whole packet that acknowledges and carries nothing.
func AppendAck(dst []byte, from, to netip.AddrPort, seq, ack uint32) []byte {
	return appendTCP(dst, from, to, seq, ack, TCPAck)
}

func appendTCP(dst []byte, from, to netip.AddrPort, seq, ack uint32, flags byte) []byte {
	start := len(dst)
	dst = AppendIP(dst, Info{Src: from.Addr(), Dst: to.Addr(), Proto: protoTCP, TTL: 64, DF: true}, TCPHeaderLen)
	l4 := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, from.Port())
	dst = binary.BigEndian.AppendUint16(dst, to.Port())
	dst = binary.BigEndian.AppendUint32(dst, seq)
	dst = binary.BigEndian.AppendUint32(dst, ack)
	dst = append(dst, TCPHeaderLen/4<<4, flags, 0, 0, 0, 0, 0, 0)
	setAddresses(dst[start:], from.Addr(), l4-start)
	return dst
}

// QuotedTCP returns between whom the TCP segment went that an ICMP error quotes;
// ok is false where what is left of it does not say.
func QuotedTCP(quote []byte) (src, dst netip.AddrPort, ok bool) {
	l4 := 0
	var from, to netip.Addr
	switch {
	case len(quote) >= IPv4HeaderLen && quote[0]>>4 == 4:
		l4 = int(quote[0]&0xf) * 4
		if quote[9] != protoTCP || binary.BigEndian.Uint16(quote[6:])&0x1fff != 0 {
			return src, dst, false
		}
		from, to = netip.AddrFrom4([4]byte(quote[12:16])), netip.AddrFrom4([4]byte(quote[16:20]))
	case len(quote) >= IPv6HeaderLen && quote[0]>>4 == 6:
		l4 = IPv6HeaderLen
		if quote[6] != protoTCP {
			return src, dst, false
		}
		from, to = netip.AddrFrom16([16]byte(quote[8:24])), netip.AddrFrom16([16]byte(quote[24:40]))
	}
	if l4 < IPv4HeaderLen || len(quote) < l4+8 {
		return src, dst, false
	}
	ports := quote[l4:]
	return netip.AddrPortFrom(from, binary.BigEndian.Uint16(ports)), netip.AddrPortFrom(to, binary.BigEndian.Uint16(ports[2:])), true
}

// TCPSequence returns the sequence number of a segment that TCPHeaders or QuotedTCP
// knows.
func TCPSequence(p []byte) uint32 {
	l4 := IPv6HeaderLen
	if p[0]>>4 == 4 {
		l4 = int(p[0]&0xf) * 4
	}
	return binary.BigEndian.Uint32(p[l4+4:])
}

// RequoteTCP gives the segment that an ICMP error quotes other ends. QuotedTCP
// must have found one. The sum of the IP header is true afterwards; that of TCP
// nobody can check (RFC 5508 REQ-3).
func RequoteTCP(quote []byte, src, dst netip.AddrPort) {
	l4 := IPv6HeaderLen
	if quote[0]>>4 == 4 {
		l4 = int(quote[0]&0xf) * 4
		from, to := src.Addr().As4(), dst.Addr().As4()
		copy(quote[12:], from[:])
		copy(quote[16:], to[:])
		binary.BigEndian.PutUint16(quote[10:], 0)
		binary.BigEndian.PutUint16(quote[10:], ^Sum(quote[:l4], 0))
	} else {
		from, to := src.Addr().As16(), dst.Addr().As16()
		copy(quote[8:], from[:])
		copy(quote[24:], to[:])
	}
	binary.BigEndian.PutUint16(quote[l4:], src.Port())
	binary.BigEndian.PutUint16(quote[l4+2:], dst.Port())
}
