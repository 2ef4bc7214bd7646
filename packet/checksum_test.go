package packet

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"testing"
)

// TestUpdateFollowsEquation3 are rows where RFC 1141's equation goes wrong, and
// the ordinary ones beside them (RFC 1624 section 4).
func TestUpdateFollowsEquation3(t *testing.T) {
	tests := []struct{ have, old, new, want uint16 }{
		{0xdd2f, 0x5555, 0x3285, 0x0000},
		{0x1234, 0x0000, 0xffff, 0x1234},
		{0x0000, 0x3285, 0x5555, 0xdd2f},
		{0xffff, 0x0001, 0x0002, 0xfffe},
		{0x0001, 0x0000, 0x0001, 0x0000},
		{0xb1e6, 0x4006, 0x3f06, 0xb2e6},
		{0x0000, 0x0000, 0x0000, 0x0000},
		{0x0000, 0xabcd, 0xabcd, 0x0000},
		{0xfffe, 0xffff, 0x0000, 0xfffe},
		{0x8000, 0x8000, 0x7fff, 0x8001},
		{0xa5a5, 0xc0a8, 0x0a01, 0x5c4d},
		{0x7fff, 0x0000, 0x7fff, 0x0000},
		{0xffff, 0xffff, 0x0000, 0xffff},
	}
	for _, tt := range tests {
		if got := Update(tt.have, tt.old, tt.new); got != tt.want {
			t.Errorf("Update(%04x, %04x, %04x) = %04x, want %04x", tt.have, tt.old, tt.new, got, tt.want)
		}
	}
}

// slowSum is RFC 1071 word by word.
func slowSum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		word := uint32(b[i]) << 8
		if i+1 < len(b) {
			word |= uint32(b[i+1])
		}
		sum += word
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

func TestSumAgreesWithTheWordByWordSum(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		b := make([]byte, r.IntN(3000))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		got, want := Sum(b, 0), slowSum(b)
		if got != want && got^want != 0xffff { // +0 and -0 are one sum
			t.Fatalf("Sum of %d bytes = %04x, want %04x", len(b), got, want)
		}
	}
}

func TestUpdateAgreesWithRecomputation(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		b := make([]byte, 40)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		before := ^Sum(b, 0)
		at := r.IntN(20) * 2
		old, value := binary.BigEndian.Uint16(b[at:]), uint16(r.Uint32())
		binary.BigEndian.PutUint16(b[at:], value)
		if got, want := Update(before, old, value), ^Sum(b, 0); got != want && got^want != 0xffff {
			t.Fatalf("word %04x -> %04x: %04x, recomputed %04x", old, value, got, want)
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRewritingASYNKeepsItsChecksum(t *testing.T) {
	in := unhex(t, "450000281c46400040061c26c6120001cb007150c00001bb01020304000000005002ffffe7bc0000")
	info, err := Parse(in)
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	if info.SrcPort != 49152 || info.DstPort != 443 || !info.DF || info.TTL != 64 {
		t.Errorf("parsed %+v", info)
	}
	from, to := netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("192.0.2.10")
	Rewrite(in, info.L4, 0, 16, 40001)
	c := binary.BigEndian.Uint16(in[info.L4+16:])
	if got := UpdateAddr(c, from, to); got != 0x0f85 {
		t.Errorf("TCP checksum %04x, want 0f85", got)
	}
	if got := UpdateAddr(0x1c26, from, to); got != 0x202f {
		t.Errorf("IP checksum %04x, want 202f", got)
	}
}

func TestUDPZeroRules(t *testing.T) {
	v4 := Info{Src: netip.MustParseAddr("198.18.0.1"), Dst: netip.MustParseAddr("203.0.113.80"), SrcPort: 1, DstPort: 2, TTL: 64}
	v6 := Info{Src: netip.MustParseAddr("2001:db8::1"), Dst: netip.MustParseAddr("2001:db8::2"), SrcPort: 1, DstPort: 2, TTL: 64}
	for _, i := range []Info{v4, v6} {
		b := append(AppendUDP(nil, i, 4), 1, 2, 3, 4)
		info, err := Parse(b)
		if err != nil {
			t.Fatalf("parse what was built: %v", err)
		}
		FinishUDP(b, info.L4)
		if !UDPSound(&info, b) {
			t.Errorf("IPv6 %t: a finished datagram is not sound", info.Is6())
		}
		b[len(b)-1]++
		if UDPSound(&info, b) {
			t.Errorf("IPv6 %t: a changed datagram is sound", info.Is6())
		}
		binary.BigEndian.PutUint16(b[info.L4+6:], 0)
		if UDPSound(&info, b) == info.Is6() {
			t.Errorf("IPv6 %t: no checksum is allowed over IPv4 and only there", info.Is6())
		}
	}
	if got := udpField(0); got != 0xffff {
		t.Errorf("a computed 0 is written %04x, want ffff", got)
	}
}

// TestWholePackets are rows of known packets: the field before and after a
// source address and port, or another word, were replaced.
func TestWholePackets(t *testing.T) {
	addr := netip.MustParseAddr
	from4, to4 := addr("198.18.0.1"), addr("192.0.2.10")
	from6, to6 := addr("fd00:6d69:6676::1"), addr("2001:db8:1::c0de")
	const oldPort, newPort = 49152, 40001
	udp := func(c uint16) uint16 { return udpField(UpdateAddr(Update(c, oldPort, newPort), from4, to4)) }
	for _, c := range []struct {
		name      string
		got, want uint16
	}{
		{"IPv4 header, TTL 64 to 63", Update(0x202f, 0x4006, 0x3f06), 0x212f},
		{"TCP over IPv6", UpdateAddr(Update(0xee0c, oldPort, newPort), from6, to6), 0xf414},
		{"UDP whose new sum is 0", udp(0xd837), 0xffff},
		{"UDP that came with ffff", udp(0xffff), 0x27c8},
		{"ICMP identifier", Update(0x5558, 0x1111, 0x9c41), 0xca27},
		{"ICMP request to reply", Update(0x5558, 0x0800, 0x0000), 0x5d58},
		{"IPv4 header whose new checksum is 0", UpdateAddr(0xfbf6, from4, to4), 0x0000},
	} {
		if c.got != c.want {
			t.Errorf("%s: %04x, want %04x", c.name, c.got, c.want)
		}
	}
	in := unhex(t, "450000147c7e00004011fbf6c6120001cb007150")
	if got := ^Sum(append(in[:10:10], append([]byte{0, 0}, in[12:]...)...), 0); got != 0xfbf6 {
		t.Errorf("recomputed %04x, want fbf6", got)
	}
}

// TestCompleteAgreesWithASenderThatDidItAll leaves checksums to the device.
func TestCompleteAgreesWithASenderThatDidItAll(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	i := Info{Src: netip.MustParseAddr("198.18.0.1"), Dst: netip.MustParseAddr("203.0.113.80"), SrcPort: 1, DstPort: 2, TTL: 64}
	for range 1000 {
		payload := make([]byte, r.IntN(1400))
		for n := range payload {
			payload[n] = byte(r.Uint32())
		}
		b := append(AppendUDP(nil, i, len(payload)), payload...)
		Complete(b, IPv4HeaderLen, 6)
		whole, err := Parse(b)
		if err != nil || !UDPSound(&whole, b) {
			t.Fatalf("%d bytes: %v", len(payload), err)
		}
	}
}

func BenchmarkSum(b *testing.B) {
	for _, size := range []int{64, 576, 1500, 65535} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			data := make([]byte, size)
			b.SetBytes(int64(size))
			for b.Loop() {
				Sum(data, 0)
			}
		})
	}
}

// TestHeadersAreMadeWithoutAllocating: what is done for each packet that goes out or
// comes back.
func TestHeadersAreMadeWithoutAllocating(t *testing.T) {
	for name, src := range map[string]string{"v4": "198.18.0.1", "v6": "2001:2::1"} {
		a := netip.MustParseAddr(src)
		i := Info{Src: a, Dst: a, SrcPort: 1, DstPort: 2, TTL: 64}
		head, data := make([]byte, 0, 64), make([]byte, 1500)
		if n := testing.AllocsPerRun(100, func() {
			h := AppendUDP(head, i, len(data))
			FinishUDP(append(h, data[:8]...), len(h)-UDPHeaderLen)
			Rewrite(data, 0, 4, 2, 7)
			_ = UpdateAddr(1, a, a) + Sum(data, 0)
		}); n > 0 {
			t.Errorf("%s: %g allocations", name, n)
		}
	}
}

// BenchmarkUpdate is what a changed address costs (RFC 1624), beside summing up
// the whole packet.
func BenchmarkUpdate(b *testing.B) {
	for name, src := range map[string]string{"v4": "198.18.0.1", "v6": "2001:2::1"} {
		b.Run(name, func(b *testing.B) {
			was, is, sum := netip.MustParseAddr(src), netip.MustParseAddr(src).Next(), uint16(1)
			b.ReportAllocs()
			for b.Loop() {
				sum = UpdateAddr(sum, was, is)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for name, src := range map[string]string{"v4": "198.18.0.1", "v6": "2001:2::1"} {
		b.Run(name, func(b *testing.B) {
			a := netip.MustParseAddr(src)
			p := AppendUDP(nil, Info{Src: a, Dst: a, SrcPort: 1, DstPort: 2, TTL: 64}, 0)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
