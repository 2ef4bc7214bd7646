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
		note("prefixes", keeps(flooded, unix.RTPROT_RA, fmt.Sprintf("2001:db8:6700:%x::/64", i)))
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
		"a default route of ours":        k.keeps(&Route{Table: firstTable, Ifindex: flooded, Dst: p("::/0"), Protocol: Protocol}),
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

func TestADumpThatBeginsAnewIsNoticed(t *testing.T) {
	hop := func(dst string, gateway int) *Route {
		return &Route{Table: mainTable, Dst: netip.MustParsePrefix(dst), Gateway: netip.AddrFrom16([16]byte{0xfe, 0x80, 15: byte(gateway)})}
	}
	var d restarts
	for i := range 100 { // as it should be
		d.look(hop("::/0", i))
	}
	if d.count != 0 {
		t.Errorf("%d of 100 routes are taken for a beginning", d.count)
	}
	for range 2 * endless { // the second half is never reached
		for i := range 50 {
			d.look(hop("::/0", i))
		}
	}
	if d.count <= endless {
		t.Errorf("%d beginnings of %d are noticed", d.count, 2*endless)
	}
	if d.look(hop("2001:db8::/32", 1)); d.count != 0 {
		t.Errorf("another destination has begun %d times", d.count)
	}
}
