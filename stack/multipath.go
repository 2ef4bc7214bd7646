package stack

// The TCP option of Multipath TCP and its first subtype (RFC 8684 3.1, 7.2).
const (
	optionEnd   = 0
	optionNone  = 1
	optionMPTCP = 30
	capable     = 0 // MP_CAPABLE, in the upper half of the octet after the length
	leastMPTCP  = 4 // octets of MP_CAPABLE in a SYN: kind, length, subtype and version, flags
)

// asksMultipath reports whether the options of an app's SYN ask for Multipath TCP:
// its socket is of IPPROTO_MPTCP. Options that make no sense ask for nothing.
func asksMultipath(options []byte) bool {
	for len(options) > 0 {
		switch options[0] {
		case optionEnd:
			return false
		case optionNone:
			options = options[1:]
			continue
		}
		if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
			return false
		}
		length := int(options[1])
		if options[0] == optionMPTCP && length >= leastMPTCP && options[2]>>4 == capable {
			return true
		}
		options = options[length:]
	}
	return false
}
