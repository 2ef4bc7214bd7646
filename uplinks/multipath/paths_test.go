package multipath

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"mifvif/flow"
)

func end(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// The messages as ip-mptcp's and mptcpd's library write them on a little-endian
// machine.
func TestMessagesAreTheKernels(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the bytes are written down for little-endian machines")
	}
	v4 := flow.Ends{Local: end("10.2.0.2:0"), Remote: end("203.0.113.81:9000")}
	v6 := flow.Ends{Local: end("[2001:db8:2::2]:4242"), Remote: end("[2001:db8:ff::81]:9000")}
	for _, tc := range []struct {
		name string
		got  []byte
		want string
	}{
		{"create", created(0x9d5cbc11, Subflow{Ends: v4, Ifindex: 7, ID: 2}), `
			2400 0180
			  0600 0100 0200 0000
			  0800 0300 0a020002
			  0500 0200 02 000000
			  0800 0700 07000000
			0800 0400 11bc5c9d
			1c00 0680
			  0600 0100 0200 0000
			  0800 0300 cb007151
			  0600 0500 2823 0000`},
		{"create a backup of the first address", created(1, Subflow{Ends: v4, Backup: true}), `
			1c00 0180
			  0600 0100 0200 0000
			  0800 0300 0a020002
			  0800 0600 04000000
			0800 0400 01000000
			1c00 0680
			  0600 0100 0200 0000
			  0800 0300 cb007151
			  0600 0500 2823 0000`},
		{"destroy", destroyed(0xffffffff, v6), `
			2800 0180
			  0600 0100 0a00 0000
			  1400 0400 20010db8000200000000000000000002
			  0600 0500 9210 0000
			0800 0400 ffffffff
			2800 0680
			  0600 0100 0a00 0000
			  1400 0400 20010db800ff00000000000000000081
			  0600 0500 2823 0000`},
		{"withdraw", withdrawn(1, 0), `
			0800 0400 01000000
			0500 0500 00 000000`},
	} {
		want := strings.Join(strings.Fields(tc.want), "")
		if diff := cmp.Diff(want, hex.EncodeToString(tc.got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestSubflowsAreThoseThatCarry(t *testing.T) {
	const closed = 7
	states := []byte{established, 0, 0, 0, closed, 0, 0, 0, established, 0, 0, 0, synSent, 0, 0, 0, established, 0, 0, 0}
	addrs := make([]byte, 5*addrsSize)
	put := func(i int, a netip.AddrPort) {
		b := addrs[i*storageSize:]
		binary.BigEndian.PutUint16(b[2:], a.Port())
		if a.Addr().Is4() {
			binary.NativeEndian.PutUint16(b, unix.AF_INET)
			copy(b[4:], a.Addr().AsSlice())
			return
		}
		binary.NativeEndian.PutUint16(b, unix.AF_INET6)
		copy(b[8:], a.Addr().AsSlice())
	}
	for i := range 4 { // the last one's family is none that is known
		put(2*i, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 2}), uint16(4000+i)))
		put(2*i+1, end("203.0.113.81:9000"))
	}
	put(4, end("[2001:db8:2::2]:4242"))
	put(5, end("[2001:db8:ff::81]:9000"))
	want := []flow.Ends{
		{Local: end("10.0.0.2:4000"), Remote: end("203.0.113.81:9000")},
		{Local: end("[2001:db8:2::2]:4242"), Remote: end("[2001:db8:ff::81]:9000")},
	}
	under := []flow.Ends{{Local: end("10.3.0.2:4003"), Remote: end("203.0.113.81:9000")}}
	connected, begun := subflows(states, addrs)
	if diff := cmp.Diff([][]flow.Ends{want, under}, [][]flow.Ends{connected, begun}, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("subflows, connected and begun (-want +got):\n%s", diff)
	}
}
