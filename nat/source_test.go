package nat

import (
	"net/netip"
	"testing"

	"mifvif/pvd"
)

// TestSourceSelection is the source half of RFC 6724's own examples, as far as
// they concern one domain.
func TestSourceSelection(t *testing.T) {
	tmp := func(s string) pvd.Address {
		return pvd.Address{Prefix: netip.MustParsePrefix(s + "/64"), Temporary: true}
	}
	plain := func(s string) pvd.Address { return pvd.Address{Prefix: netip.MustParsePrefix(s + "/64")} }
	old := func(s string) pvd.Address {
		return pvd.Address{Prefix: netip.MustParsePrefix(s + "/64"), Deprecated: true}
	}
	tests := []struct {
		name, dst string
		have      []pvd.Address
		want      string
	}{
		{"rule 2: scope", "2001:db8:1::1", []pvd.Address{plain("2001:db8:3::1"), plain("fe80::1")}, "2001:db8:3::1"},
		{"rule 2: site multicast", "ff05::1", []pvd.Address{plain("2001:db8:3::1"), plain("fe80::1")}, "2001:db8:3::1"},
		{"rule 1: same address", "2001:db8:1::1", []pvd.Address{old("2001:db8:1::1"), plain("2001:db8:2::1")}, "2001:db8:1::1"},
		{"rule 8: longest prefix", "2001:db8:1::1", []pvd.Address{plain("2001:db8:1::2"), plain("2001:db8:3::2")}, "2001:db8:1::2"},
		{"rule 6: label", "2002:c633:6401::1", []pvd.Address{tmp("2002:c633:6401::d5e3:7953:13eb:22e8"), plain("2001:db8:1::2")}, "2002:c633:6401::d5e3:7953:13eb:22e8"},
		{"rule 7: temporary", "2001:db8:1::d5e3:0:0:1", []pvd.Address{plain("2001:db8:1::2"), tmp("2001:db8:1::d5e3:7953:13eb:22e8")}, "2001:db8:1::d5e3:7953:13eb:22e8"},
		{"rule 6: ULA for global multicast", "ff0e::1", []pvd.Address{plain("2001:db8:1::1"), plain("fd11:1111:1111:1::1")}, "2001:db8:1::1"},
		{"only deprecated", "2001:db8:1::1", []pvd.Address{old("2001:db8:2::1")}, ""},
		{"other family", "203.0.113.1", []pvd.Address{plain("2001:db8:2::1")}, ""},
	}
	for _, tt := range tests {
		for _, order := range [][]pvd.Address{tt.have, reversed(tt.have)} {
			got, ok := SelectSource(&pvd.Domain{Addresses: order}, netip.MustParseAddr(tt.dst))
			if ok != (tt.want != "") || ok && got != netip.MustParseAddr(tt.want) {
				t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
			}
		}
	}
}

func reversed(list []pvd.Address) []pvd.Address {
	var out []pvd.Address
	for _, a := range list {
		out = append([]pvd.Address{a}, out...)
	}
	return out
}
