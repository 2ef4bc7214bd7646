package stack

import "mifvif/packet"

// The first subtype of Multipath TCP's option (RFC 8684 3.1, 7.2).
const (
	capable    = 0 // MP_CAPABLE, in the upper half of the octet after the length
	leastMPTCP = 4 // octets of MP_CAPABLE in a SYN: kind, length, subtype and version, flags
)

// asksMultipath reports whether the options of an app's SYN ask for Multipath TCP:
// its socket is of IPPROTO_MPTCP. Options that make no sense ask for nothing.
func asksMultipath(options []byte) (asks bool) {
	packet.TCPOptions(options, func(kind byte, option []byte) {
		asks = asks || kind == packet.OptionMultipath && len(option) >= leastMPTCP && option[2]>>4 == capable
	})
	return asks
}
