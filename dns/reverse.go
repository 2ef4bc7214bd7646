package dns

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"mifvif/pvd"
)

// reversePrefix returns the prefix a reverse name stands for: the longest that
// its labels spell, so that names of classless delegations (RFC 2317) fall
// under their network. It is the zero Prefix for a name of another kind.
func reversePrefix(name string) netip.Prefix {
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa."); ok {
		return spelt(rest, 4, 10, 3, 8)
	}
	if rest, ok := strings.CutSuffix(name, ".ip6.arpa."); ok {
		return spelt(rest, 32, 16, 1, 4)
	}
	return netip.Prefix{}
}

// spelt reads labels from the right: at most count numbers of the given base,
// each of at most digits digits and worth bits bits.
func spelt(labels string, count, base, digits, bits int) netip.Prefix {
	raw := make([]byte, count*bits/8)
	n := 0
	for label := range backwards(labels) {
		v, err := strconv.ParseUint(label, base, bits)
		if n == count || err != nil || len(label) > digits || len(label) > 1 && label[0] == '0' {
			break
		}
		raw[n*bits/8] |= byte(v) << (8 - bits - n*bits%8)
		n++
	}
	if n == 0 {
		return netip.Prefix{}
	}
	addr, _ := netip.AddrFromSlice(raw)
	return netip.PrefixFrom(addr, n*bits)
}

// backwards yields the labels of a name from the last to the first.
func backwards(name string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name != "" {
			i := strings.LastIndexByte(name, '.')
			if !yield(name[i+1:]) || i < 0 {
				return
			}
			name = name[:i]
		}
	}
}

// locallyServed reports whether a reverse name lies in one of the zones that
// mean nothing in the public DNS: private, link-local, shared, documentation
// and loopback addresses (RFC 6303 4, RFC 6761 6.1, RFC 7793).
func locallyServed(p netip.Prefix) bool {
	return slices.ContainsFunc(localZones(), func(z netip.Prefix) bool { return inside(p, z) })
}

func localZones() []netip.Prefix {
	return []netip.Prefix{
		v4(0, 0, 8), v4(10, 0, 8), v4(100, 64, 10), v4(127, 0, 8), v4(169, 254, 16), v4(172, 16, 12), v4(192, 168, 16),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, 0}), 24),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, 0}), 24),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, 0}), 24),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), 32),
		netip.PrefixFrom(netip.IPv6Unspecified(), 128),
		netip.PrefixFrom(netip.IPv6Loopback(), 128),
		v6(0xfd, 0, 0, 0, 8), v6(0xfe, 0x80, 0, 0, 10), v6(0x20, 0x01, 0x0d, 0xb8, 32),
	}
}

func v4(a, b byte, bits int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{a, b}), bits)
}

func v6(a, b, c, d byte, bits int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{a, b, c, d}), bits)
}

// inside reports whether all of p lies in z.
func inside(p, z netip.Prefix) bool { return p.Bits() >= z.Bits() && z.Contains(p.Addr()) }

// Claims reports whether domain d owns, routes or was declared to have
// something of the prefix of a reverse name, so that its resolvers are the ones
// to ask. A default route claims nothing. A Chooser names such domains first.
func Claims(d *pvd.Domain, reverse netip.Prefix) bool {
	if !reverse.IsValid() {
		return false
	}
	claims := func(p netip.Prefix) bool { return p.Bits() > 0 && p.Masked().Overlaps(reverse) }
	return slices.ContainsFunc(d.Addresses, func(a pvd.Address) bool { return claims(a.Prefix) }) ||
		slices.ContainsFunc(d.Routes, func(r pvd.Route) bool { return claims(r.Dst) }) ||
		slices.ContainsFunc(d.Prefixes, claims)
}
