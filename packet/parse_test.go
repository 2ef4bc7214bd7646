package packet

import (
	"errors"
	"net/netip"
	"testing"
)

// ip4 is a header for tests; the checksum is right.
func ip4(t *testing.T, edit func(b []byte)) []byte {
	t.Helper()
	b := append(AppendUDP(nil, Info{
		Src: netip.MustParseAddr("198.18.0.1"), Dst: netip.MustParseAddr("203.0.113.80"), SrcPort: 5, DstPort: 6, TTL: 9, TOS: 0xb8, ID: 7,
	}, 3), 1, 2, 3)
	edit(b)
	b[10], b[11] = 0, 0
	sum := ^Sum(b[:IPv4HeaderLen], 0)
	b[10], b[11] = byte(sum>>8), byte(sum)
	return b
}

func TestParseRefusesWhatDoesNotAddUp(t *testing.T) {
	whole := ip4(t, func([]byte) {})
	tests := map[string]struct {
		packet []byte
		want   error
	}{
		"nothing":                  {nil, ErrShort},
		"version 5":                {[]byte{0x50, 0, 0}, ErrVersion},
		"half a header":            {whole[:12], ErrShort},
		"cut payload":              {whole[:len(whole)-1], ErrShort},
		"header shorter than 20":   {ip4(t, func(b []byte) { b[0] = 0x44 }), ErrHeader},
		"total shorter than head":  {ip4(t, func(b []byte) { b[3] = 10 }), ErrHeader},
		"UDP length beyond packet": {ip4(t, func(b []byte) { b[25] = 200 }), ErrShort},
		"UDP length below 8":       {ip4(t, func(b []byte) { b[25] = 7 }), ErrHeader},
		"IPv6 cut":                 {append([]byte{0x60, 0, 0, 0, 0, 8, 17, 64}, make([]byte, 32)...), ErrShort},
	}
	for name, tt := range tests {
		if _, err := Parse(tt.packet); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	whole[10]++
	if _, err := Parse(whole); !errors.Is(err, ErrChecksum) {
		t.Errorf("wrong header checksum: %v", err)
	}
}

func TestParseWalksExtensionHeaders(t *testing.T) {
	inner := Info{Src: netip.MustParseAddr("2001:db8::1"), Dst: netip.MustParseAddr("2001:db8::2"), SrcPort: 53, DstPort: 54, TTL: 1}
	plain := append(AppendUDP(nil, inner, 1), 9)
	hop := append(append(append([]byte(nil), plain[:40]...), 17, 0, 1, 4, 0, 0, 0, 0), plain[40:]...)
	hop[6], hop[5] = 0, hop[5]+8
	info, err := Parse(hop)
	if err != nil || info.SrcPort != 53 || info.L4 != 48 || info.Proto != 17 {
		t.Errorf("behind hop-by-hop options: %+v, %v", info, err)
	}
	endless := append([]byte(nil), plain[:40]...)
	for range 12 {
		endless = append(endless, 60, 0, 0, 0, 0, 0, 0, 0)
	}
	endless[6], endless[5] = 60, byte(len(endless)-40)
	if _, err := Parse(endless); err == nil {
		t.Error("a chain of twelve extension headers is parsed")
	}
}

func TestMartiansAreRecognised(t *testing.T) {
	tests := []struct {
		src, dst string
		want     bool
	}{
		{"198.18.0.1", "203.0.113.80", false},
		{"127.0.0.1", "203.0.113.80", true},
		{"198.18.0.1", "224.0.0.1", true},
		{"198.18.0.1", "255.255.255.255", true},
		{"0.0.0.0", "203.0.113.80", true},
		{"2001:2::1", "2001:db8::1", false},
		{"::1", "2001:db8::1", true},
		{"2001:2::1", "ff02::1", true},
		{"fe80::1", "2001:db8::1", true},
		{"::ffff:1.2.3.4", "2001:db8::1", true},
	}
	for _, tt := range tests {
		i := Info{Src: netip.MustParseAddr(tt.src), Dst: netip.MustParseAddr(tt.dst)}
		if got := i.Martian(); got != tt.want {
			t.Errorf("%s -> %s: martian %t, want %t", tt.src, tt.dst, got, tt.want)
		}
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	b := ip4(t, func([]byte) {})
	if n := testing.AllocsPerRun(100, func() { _, _ = Parse(b) }); n > 0 {
		t.Errorf("%g allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(AppendUDP(nil, Info{Src: netip.MustParseAddr("198.18.0.1"), Dst: netip.MustParseAddr("203.0.113.80")}, 0))
	f.Add(AppendUDP(nil, Info{Src: netip.MustParseAddr("2001:db8::1"), Dst: netip.MustParseAddr("2001:db8::2")}, 0))
	for _, is6 := range []bool{false, true} {
		about := AppendUDP(nil, Info{Src: netip.MustParseAddr("203.0.113.80"), Dst: netip.MustParseAddr("198.18.0.1")}, 0)
		if is6 {
			about = AppendUDP(nil, Info{Src: netip.MustParseAddr("2001:db8::1"), Dst: netip.MustParseAddr("2001:db8::2")}, 0)
		}
		f.Add(AppendError(nil, TooBigError(1300, is6), about))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := Parse(b)
		if err != nil {
			return
		}
		if i.L4 > i.End || i.End > len(b) {
			t.Fatalf("offsets beyond the packet: %+v of %d", i, len(b))
		}
		if i.Proto == protoUDP && !i.Fragment {
			_ = i.Payload(b)
			_ = UDPSound(&i, b)
		}
		_ = AppendUnreachable(nil, PortUnreachable, b)
		_, _, _ = TooBig(b)
		r := NewReassembler()
		if i.Fragment {
			r.Add(&i, b)
		}
	})
}
