package nat

import (
	"bytes"
	"net/netip"
	"testing"

	"mifvif/packet"
)

// whole returns the next datagram an app gets, put together where it comes in
// fragments, and how many packets it came in.
func (m *mif0) whole(t *testing.T, mtu int) (packet.Info, []byte, int) {
	t.Helper()
	together := packet.NewReassembler()
	for n := 1; ; n++ {
		i, b := m.next(t)
		if len(b) > mtu {
			t.Errorf("a packet of %d bytes, at most %d", len(b), mtu)
		}
		if !i.Fragment {
			return i, b, n
		}
		if b, ok := together.Add(&i, b); ok {
			i, err := packet.Parse(b)
			if err != nil {
				t.Fatalf("parse what was put together: %v", err)
			}
			return i, b, n
		}
	}
}

// TestLongIPv6DatagramsComeInFragments: a host behind a LAN gets nothing else.
func TestLongIPv6DatagramsComeInFragments(t *testing.T) {
	const mtu = 1280
	table, out, _ := newTable(t, Config{Max: 8, PerSource: 1, MTU: mtu})
	from, to := netip.MustParseAddrPort("[2001:db8::80]:7"), netip.MustParseAddrPort("[2001:2::1]:4000")
	for size, packets := range map[int]int{0: 1, 1232: 1, 1233: 2, 4000: 4, 65527: 54} {
		payload := make([]byte, size)
		for i := range payload {
			payload[i] = byte(i * 7)
		}
		table.Answer(from, to, payload)
		i, b, n := out.whole(t, mtu)
		if !packet.UDPSound(&i, b) || !bytes.Equal(i.Payload(b), payload) || i.Src != from.Addr() || i.DstPort != to.Port() {
			t.Errorf("of %d bytes something else comes: %+v", size, i)
		}
		if n != packets {
			t.Errorf("%d bytes came in %d packets, want %d", size, n, packets)
		}
	}
}

// TestBurstsOfLongIPv6DatagramsComeInFragments: what a jumbo uplink brings as one.
func TestBurstsOfLongIPv6DatagramsComeInFragments(t *testing.T) {
	const mtu = 1280
	table, out, _ := newTable(t, Config{Max: 8, PerSource: 1, MTU: mtu})
	b := &binding{table: table, app: appKey{app: netip.MustParseAddrPort("[2001:2::1]:4000")}}
	b.choice.Source = netip.MustParseAddr("2001:db8::2")
	b.arrived([]arrival{{from: netip.MustParseAddrPort("[2001:db8::80]:7"), ttl: 60, segment: 2000, data: make([]byte, 5000)}})
	for _, size := range []int{2000, 2000, 1000} {
		i, p, _ := out.whole(t, mtu)
		if !packet.UDPSound(&i, p) || len(i.Payload(p)) != size || i.TTL != 60 {
			t.Errorf("%+v comes, want %d bytes", i, size)
		}
	}
	if table.single.Load() {
		t.Error("short bursts are taken apart from now on")
	}
}

// TestDatagramsHaveNumbersOfTheirOwn: a router between us and a LAN's client may
// have to cut two of them, and nobody must mix up their fragments.
func TestDatagramsHaveNumbersOfTheirOwn(t *testing.T) {
	table, out, _ := newTable(t, Config{Max: 8, PerSource: 1, MTU: 1500})
	seen := make(map[uint32]bool)
	for range 3 {
		table.Answer(netip.MustParseAddrPort("192.0.2.1:7"), app, make([]byte, 3000))
		i, _ := out.next(t)
		seen[i.ID] = true
	}
	if len(seen) != 3 {
		t.Errorf("three datagrams have %d numbers", len(seen))
	}
}
