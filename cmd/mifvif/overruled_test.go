package main

import (
	"net/netip"
	"strings"
	"testing"

	"mifvif/netwatch"
)

func TestWhoIsPassedOverIsSaid(t *testing.T) {
	for what, test := range map[string]struct {
		rule netwatch.Rule
		want bool
	}{
		"a VPN for everything":    {netwatch.Rule{Priority: 32765, Mark: 0xca6c, Mask: 0xffffffff, Invert: true, Table: 51820}, true},
		"a VPN for a destination": {netwatch.Rule{Priority: 7000, Dst: netip.MustParsePrefix("10.0.0.0/8"), Table: 7}, true},
		"one before mifvif":       {netwatch.Rule{Priority: 5270, Table: 52}, false},
		"mifvif's own":            {netwatch.Rule{Priority: 6416, Table: 64180, Protocol: netwatch.Protocol}, false},
		"main":                    {netwatch.Rule{Priority: 32764, Table: 254}, false},
		"a refusal":               {netwatch.Rule{Priority: 7000, Type: netwatch.Unreachable}, false},
		"one for others' packets": {netwatch.Rule{Priority: 7000, Iif: "docker0", Table: 7}, false},
		"one by source":           {netwatch.Rule{Priority: 7000, Src: netip.MustParsePrefix("10.1.0.2/32"), Table: 7}, false},
	} {
		both := []netwatch.Rule{test.rule, test.rule}
		both[1].Is6 = true
		got := overruled(both)
		if (len(got) == 1) != test.want || len(got) > 1 {
			t.Errorf("%s: said %q", what, got)
		}
		for _, text := range got {
			if !strings.Contains(text, "pvds") {
				t.Errorf("%q does not say what to do", text)
			}
		}
	}
}
