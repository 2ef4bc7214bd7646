package packet

import (
	"net/netip"
	"testing"
)

func TestErrorsQuoteAndAreSound(t *testing.T) {
	for _, ends := range [][2]string{{"198.18.0.1", "203.0.113.80"}, {"2001:2::1", "2001:db8::80"}} {
		src, dst := netip.MustParseAddr(ends[0]), netip.MustParseAddr(ends[1])
		original := append(AppendUDP(nil, Info{Src: src, Dst: dst, SrcPort: 1000, DstPort: 2000, TTL: 3}, 1400), make([]byte, 1400)...)
		for _, e := range []Error{UnreachableError(PortUnreachable, src.Is6()), TooBigError(1400, src.Is6())} {
			b := AppendError(nil, e, original)
			i, err := Parse(b)
			if err != nil {
				t.Fatalf("%s: parse the error: %v", dst, err)
			}
			if i.Src != dst || i.Dst != src || i.ICMPType != e.Type || i.ICMPCode != e.Code || !ICMPSound(&i, b) {
				t.Errorf("%s: error is %+v, sound %t", dst, i, ICMPSound(&i, b))
			}
			if limit := map[bool]int{false: maxError4, true: maxError6}[src.Is6()]; len(b) > limit {
				t.Errorf("%s: error of %d bytes, at most %d", dst, len(b), limit)
			}
		}
	}
}

func TestNoErrorAboutErrorsFragmentsAndGroups(t *testing.T) {
	src, dst := netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("203.0.113.80")
	udp := append(AppendUDP(nil, Info{Src: src, Dst: dst, TTL: 3}, 8), make([]byte, 8)...)
	if got := AppendUnreachable(nil, NetUnreachable, AppendUnreachable(nil, NetUnreachable, udp)); len(got) > 0 {
		t.Error("an error about an error")
	}
	fragment := append([]byte(nil), udp...)
	fragment[7] = 3
	if got := AppendUnreachable(nil, NetUnreachable, fragment); len(got) > 0 {
		t.Error("an error about a fragment that is not the first")
	}
	group := append(AppendUDP(nil, Info{Src: src, Dst: netip.MustParseAddr("224.0.0.5"), TTL: 3}, 8), make([]byte, 8)...)
	if got := AppendUnreachable(nil, NetUnreachable, group); len(got) > 0 {
		t.Error("an error about a packet to a group")
	}
	if got := AppendUnreachable(nil, NetUnreachable, udp[:10]); len(got) > 0 {
		t.Error("an error about half a header")
	}
}

// TestEchoRewriteKeepsTheChecksum is P7 and P8 of the vectors: identifier 1111
// to 9c41.
func TestEchoRewriteKeepsTheChecksum(t *testing.T) {
	b := unhex(t, "0800555811110001"+"6162636465666768")
	Rewrite(b, 0, 4, 2, 0x9c41)
	if b[2] != 0xca || b[3] != 0x27 {
		t.Errorf("checksum %x, want ca27", b[2:4])
	}
}

func TestEchoRepliesTurnTheRequestRound(t *testing.T) {
	for _, ends := range [][2]string{{"198.18.0.1", "198.18.0.2"}, {"2001:2::1", "2001:2::2"}} {
		i := Info{Src: netip.MustParseAddr(ends[0]), Dst: netip.MustParseAddr(ends[1]), Proto: protoICMP, TTL: 64}
		typ := byte(icmpEchoRequest)
		if i.Is6() {
			i.Proto, typ = protoICMPv6, icmp6EchoRequest
		}
		request := append(AppendIP(nil, i, 12), typ, 0, 0, 0, 0x11, 0x22, 0, 1, 'a', 'b', 'c', 'd')
		info, err := Parse(request)
		if err != nil {
			t.Fatal(err)
		}
		reply := AppendEchoReply(nil, &info, request)
		got, err := Parse(reply)
		if err != nil || !got.EchoReply() || got.DstPort != 0x1122 || got.Src != info.Dst || got.Dst != info.Src || !ICMPSound(&got, reply) {
			t.Errorf("reply %+v, %v", got, err)
		}
	}
}
