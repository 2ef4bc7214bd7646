package tun

import (
	"net/netip"
	"testing"
)

// TestBranchesAreFoundByDestination: of both families, whatever the pieces are, and
// of nothing that is no packet.
func TestBranchesAreFoundByDestination(t *testing.T) {
	v4, v6 := netip.MustParseAddr("198.18.2.7"), netip.MustParseAddr("2001:2:0:3::7")
	var d, one, other Device
	d.Branch([]netip.Addr{v4, v6}, &one)
	d.Branch([]netip.Addr{netip.MustParseAddr("198.18.2.8")}, &other)
	packet4 := append([]byte{0: 0x45, 15: 9}, v4.AsSlice()...)
	packet6 := append([]byte{0: 0x60, 23: 9}, v6.AsSlice()...)
	elsewhere := append([]byte{0: 0x45, 15: 9}, 198, 18, 0, 1)
	cases := map[string]struct {
		bufs [][]byte
		want *Device
	}{
		"IPv4": {[][]byte{packet4}, &one}, "IPv6": {[][]byte{packet6}, &one}, "in pieces": {[][]byte{nil, packet4, packet6}, &one},
		"for nobody": {[][]byte{elsewhere}, nil}, "nothing": {nil, nil}, "empty": {[][]byte{{}, nil}, nil},
		"cut": {[][]byte{packet4[:19]}, nil}, "cut6": {[][]byte{packet6[:39]}, nil}, "of no version": {[][]byte{make([]byte, 40)}, nil},
	}
	for name, c := range cases {
		if got := d.branches.Load().of(c.bufs); got != c.want {
			t.Errorf("%s: a branch %p, want %p", name, got, c.want)
		}
	}
	all := d.branches.Load()
	if n := testing.AllocsPerRun(100, func() { all.of([][]byte{packet6}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	d.Unbranch(&one)
	if got := d.branches.Load().of([][]byte{packet4}); got != nil {
		t.Error("a branch that was taken away gets packets")
	}
	if d.Unbranch(&other); d.branches.Load() != nil {
		t.Error("without branches destinations are looked at")
	}
}
