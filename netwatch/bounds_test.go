package netwatch

import (
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAFloodedLinkKeepsItsOwnRoutesAndItsBounds has thousands of routers and
// prefixes on one link, and an ordinary other one.
func TestAFloodedLinkKeepsItsOwnRoutesAndItsBounds(t *testing.T) {
	const flooded, other = 2, 3
	p := netip.MustParsePrefix
	k := newKeeper([]Address{{Ifindex: flooded, Prefix: p("2001:db8:1::2/64")}, {Ifindex: other, Prefix: p("2001:db8:2::2/64")}})
	keeps := func(ifindex, protocol int, dst string) bool {
		return k.keeps(&Route{Table: mainTable, Ifindex: ifindex, Protocol: protocol, Dst: p(dst)})
	}
	kept := map[string]int{}
	note := func(what string, is bool) {
		if is {
			kept[what]++
		}
	}
	for i := range 10_000 {
		note("routers", keeps(flooded, 9, "::/0"))
		note("prefixes", keeps(flooded, unix.RTPROT_KERNEL, fmt.Sprintf("2001:db8:6600:%x::/64", i)))
		note("parts of the other link's", keeps(flooded, unix.RTPROT_KERNEL, fmt.Sprintf("2001:db8:2::%x:0/112", i)))
	}
	for what, most := range map[string]int{"routers": maxDefaults, "prefixes": maxAdvertised, "parts of the other link's": maxAdvertised} {
		if kept[what] != most {
			t.Errorf("%d %s are kept, want %d", kept[what], what, most)
		}
	}
	for what, is := range map[string]bool{
		"the prefix of an own address":   keeps(flooded, unix.RTPROT_KERNEL, "2001:db8:1::/64"),
		"a route that somebody set":      keeps(flooded, unix.RTPROT_STATIC, "2001:db8:77::/48"),
		"another family's default route": keeps(flooded, 9, "0.0.0.0/0"),
		"the other link's default route": keeps(other, 9, "::/0"),
		"the other link's prefix":        keeps(other, unix.RTPROT_KERNEL, "2001:db8:2::/64"),
		"the other link's prefix, again": keeps(other, unix.RTPROT_KERNEL, "2001:db8:2::/64"),
		"a prefix on the other link":     keeps(other, unix.RTPROT_KERNEL, "2001:db8:88::/64"),
	} {
		if !is {
			t.Errorf("%s is not kept", what)
		}
	}
}
