package pvd

import (
	"net/netip"
	"testing"
)

// The vectors of RFC 6052 2.4 and the forms of ipv4only.arpa behind each prefix.
func TestEmbeddingAnIPv4Address(t *testing.T) {
	tests := []struct{ prefix, v4, want string }{
		{"2001:db8::/32", "192.0.2.33", "2001:db8:c000:221::"},
		{"2001:db8:100::/40", "192.0.2.33", "2001:db8:1c0:2:21::"},
		{"2001:db8:122::/48", "192.0.2.33", "2001:db8:122:c000:2:2100::"},
		{"2001:db8:122:300::/56", "192.0.2.33", "2001:db8:122:3c0:0:221::"},
		{"2001:db8:122:344::/64", "192.0.2.33", "2001:db8:122:344:c0:2:2100:0"},
		{"2001:db8:122:344::/96", "192.0.2.33", "2001:db8:122:344::c000:221"},
		{"64:ff9b::/96", "192.0.2.33", "64:ff9b::c000:221"},
		{"2001:db8::/32", "192.0.0.170", "2001:db8:c000:aa::"},
		{"2001:db8:100::/40", "192.0.0.171", "2001:db8:1c0:0:ab::"},
		{"2001:db8:122::/48", "192.0.0.170", "2001:db8:122:c000:0:aa00::"},
		{"2001:db8:122:300::/56", "192.0.0.171", "2001:db8:122:3c0:0:ab::"},
		{"2001:db8:122:344::/64", "192.0.0.171", "2001:db8:122:344:c0:0:ab00:0"},
		{"64:ff9b::/96", "10.0.0.1", ""},
		{"64:ff9b::/96", "100.64.0.1", ""},
		{"64:ff9b::/96", "127.0.0.1", ""},
		{"64:ff9b::/96", "224.0.0.1", ""},
		{"2001:db8:122:344::/96", "10.0.0.1", "2001:db8:122:344::a00:1"},
		{"2001:db8:122:344::/72", "192.0.2.33", ""},
		{"192.0.2.0/24", "192.0.2.33", ""},
		{"64:ff9b::/96", "2001:db8::1", ""},
	}
	for _, tt := range tests {
		prefix, v4 := netip.MustParsePrefix(tt.prefix), netip.MustParseAddr(tt.v4)
		got, ok := Embed64(prefix, v4)
		if ok != (tt.want != "") || ok && got != netip.MustParseAddr(tt.want) {
			t.Errorf("%s in %s: %v %v, want %s", tt.v4, tt.prefix, got, ok, tt.want)
		}
		if !ok {
			continue
		}
		if back, ok := Extract64(prefix, got); !ok || back != v4 {
			t.Errorf("%v in %s is %v, want %v", got, tt.prefix, back, v4)
		}
	}
}
