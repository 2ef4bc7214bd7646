package nd

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Option returns an option of any type: body is what follows the length octet
// and is padded with zeros to a multiple of eight.
func Option(kind uint8, body ...byte) []byte {
	b := append([]byte{kind, 0}, body...)
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	b[1] = uint8(len(b) / 8)
	return b
}

// SourceMAC is the router's link-layer address (RFC 4861 4.6.1).
func SourceMAC(mac [6]byte) []byte { return Option(1, mac[:]...) }

// MTU is the link's MTU in bytes (RFC 4861 4.6.4).
func MTU(bytes int) []byte {
	return Option(5, binary.BigEndian.AppendUint32([]byte{0, 0}, uint32(bytes))...)
}

// The flags of Prefix.
const (
	OnLink = 0x80 // L
	Auto   = 0x40 // A: hosts form addresses of it (RFC 4862)
)

// Prefix is prefix information (RFC 4861 4.6.2); flags is OnLink, Auto, both or
// none.
func Prefix(p netip.Prefix, valid, preferred time.Duration, flags uint8) []byte {
	b := append([]byte{uint8(p.Bits()), flags}, slices.Concat(seconds(valid), seconds(preferred), make([]byte, 4))...)
	return Option(3, append(b, p.Addr().AsSlice()...)...)
}

// Route is route information (RFC 4191 2.3) as short as its prefix allows.
func Route(p netip.Prefix, preference uint8, lifetime time.Duration) []byte {
	octets := (p.Bits() + 63) / 64 * 8
	b := append([]byte{uint8(p.Bits()), preference << 3 & 0x18}, seconds(lifetime)...)
	return Option(24, append(b, p.Addr().AsSlice()[:octets]...)...)
}

// Resolvers is the list of name servers (RFC 8106 5.1).
func Resolvers(lifetime time.Duration, servers ...netip.Addr) []byte {
	b := append([]byte{0, 0}, seconds(lifetime)...)
	for _, s := range servers {
		b = append(b, s.AsSlice()...)
	}
	return Option(25, b...)
}

// Search is the DNS search list (RFC 8106 5.2).
func Search(lifetime time.Duration, names ...string) []byte {
	b := append([]byte{0, 0}, seconds(lifetime)...)
	for _, n := range names {
		b = append(b, Name(n)...)
	}
	return Option(31, b...)
}

// Portal is the captive portal API's URI (RFC 8910 2.3).
func Portal(uri string) []byte { return Option(37, []byte(uri)...) }

// PREF64 is a NAT64 prefix (RFC 8781 4) of one of the six lengths; the lifetime
// is cut to multiples of eight seconds.
func PREF64(p netip.Prefix, lifetime time.Duration) []byte {
	code := slices.Index([]int{96, 64, 56, 48, 40, 32}, p.Bits())
	scaled := min(lifetime/(8*time.Second), 8191)
	b := binary.BigEndian.AppendUint16(nil, uint16(scaled)<<3|uint16(code)&7)
	return Option(38, append(b, p.Addr().AsSlice()[:12]...)...)
}

// Encrypted is an encrypted DNS server (RFC 9463 6.1): its authentication name,
// its addresses, and its service parameters as they go on the wire. With neither
// addresses nor parameters it is the form that names the server only.
func Encrypted(priority uint16, lifetime time.Duration, name string, params []byte, addrs ...netip.Addr) []byte {
	u16 := func(b []byte, v int) []byte { return binary.BigEndian.AppendUint16(b, uint16(v)) }
	b := append(u16(nil, int(priority)), seconds(lifetime)...)
	wire := Name(name)
	b = append(u16(b, len(wire)), wire...)
	if len(addrs) > 0 || len(params) > 0 {
		b = u16(b, 16*len(addrs))
		for _, a := range addrs {
			b = append(b, a.AsSlice()...)
		}
		b = append(u16(b, len(params)), params...)
	}
	return Option(144, b...)
}

// PvD is the header of a provisioning domain option (RFC 8801 3.1).
type PvD struct {
	ID       string
	HTTP     bool  // H: additional information is offered
	Legacy   bool  // L: DHCPv4 of the link belongs to it
	Delay    uint8 // 0..15
	Sequence uint16
	// Header is an inner header for hosts that know the option (R flag), nil: none.
	Header *RA
}

// Option returns the option with others nested in it.
func (p PvD) Option(nested ...[]byte) []byte {
	flags := uint16(p.Delay & 15)
	for i, set := range []bool{p.HTTP, p.Legacy, p.Header != nil} {
		if set {
			flags |= 0x8000 >> i
		}
	}
	b := binary.BigEndian.AppendUint16(nil, flags)
	b = append(binary.BigEndian.AppendUint16(b, p.Sequence), Name(p.ID)...)
	for (len(b)+2)%8 != 0 {
		b = append(b, 0)
	}
	if p.Header != nil {
		b = append(b, p.Header.header()...)
	}
	return Option(21, append(b, slices.Concat(nested...)...)...)
}

// Name returns a domain name in DNS wire form, uncompressed.
func Name(name string) []byte {
	var b []byte
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		b = append(append(b, uint8(len(label))), label...)
	}
	return append(b, 0)
}

func seconds(d time.Duration) []byte {
	return binary.BigEndian.AppendUint32(nil, uint32(min(d/time.Second, math.MaxUint32)))
}
