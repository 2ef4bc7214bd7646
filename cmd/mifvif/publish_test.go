package main

import (
	"net/netip"
	"testing"

	"mifvif/netwatch"
)

// TestAPrefixTheKernelLeadsElsewhereIsNotLeftToIt is about what a router on one
// link can make the kernel believe of another's prefix.
func TestAPrefixTheKernelLeadsElsewhereIsNotLeftToIt(t *testing.T) {
	const owner, other = 2, 3
	m := netip.MustParsePrefix("2001:db8:2::/64")
	for title, tt := range map[string]struct {
		route netwatch.Route
		want  bool
	}{
		"its own route":        {netwatch.Route{Table: 254, Dst: m, Ifindex: owner}, false},
		"the same on another":  {netwatch.Route{Table: 254, Dst: m, Ifindex: other}, true},
		"a part on another":    {netwatch.Route{Table: 254, Dst: netip.MustParsePrefix("2001:db8:2::/96"), Ifindex: other}, true},
		"another default":      {netwatch.Route{Table: 254, Dst: netip.MustParsePrefix("::/0"), Ifindex: other}, false},
		"another prefix":       {netwatch.Route{Table: 254, Dst: netip.MustParsePrefix("2001:db8:3::/96"), Ifindex: other}, false},
		"in a table of ours":   {netwatch.Route{Table: 64201, Dst: m, Ifindex: other}, false},
		"refused, not carried": {netwatch.Route{Table: 254, Dst: m, Ifindex: other, Type: netwatch.Unreachable}, false},
	} {
		if got := astray(m, owner, []netwatch.Route{tt.route}); got != tt.want {
			t.Errorf("%s: astray %v, want %v", title, got, tt.want)
		}
	}
}
