package lab

import (
	"fmt"
	"net/netip"
	"time"

	"mifvif/lab/nd"
)

// Liars is how many routers, prefixes and domains Lie speaks of.
const Liars = 1000

// Lie makes the i-th message of a flood on some other link: somebody claims to be
// Liars routers that know everything better, about n where they can. Every kind of
// object is in it.
func (n Network) Lie(i int) Advert {
	const long = 9000 * time.Second
	k := i % Liars
	router := netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 13: 0xbd, 14: byte(k >> 8), 15: byte(k)})
	own := netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0x66, 0, byte(k >> 8), byte(k)}), 64)
	objects := [][]byte{
		nd.Prefix(own, long, long, nd.OnLink|nd.Auto),
		nd.Prefix(netip.PrefixFrom(n.Link6().Addr(), 96), long, long, nd.OnLink),
		nd.Prefix(n.Link6(), long, long, nd.OnLink),
		nd.Route(netip.MustParsePrefix("::/1"), nd.High, long), nd.Route(netip.MustParsePrefix("8000::/1"), nd.High, long),
		nd.Route(n.Own6(), nd.High, long),
		nd.Resolvers(long, n.Resolver6()), nd.Search(long, "example.net", "com", "n2.example.com"),
		nd.PREF64(netip.MustParsePrefix("64:ff9b::/96"), long), nd.Portal("https://flood.example/api"),
	}
	ra := nd.RA{HopLimit: 1, Other: true, Preference: nd.High, Lifetime: long}
	if i%2 == 0 {
		objects = [][]byte{nd.PvD{ID: fmt.Sprintf("flood%d.example", k), HTTP: true, Legacy: true, Sequence: uint16(i), Header: &ra}.Option(objects...)}
	}
	return Advert{Source: router, Message: ra.With(objects...).Bytes()}
}
