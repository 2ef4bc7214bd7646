package packet

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
)

// syn returns the headers of a SYN with options, padded to four bytes.
func syn(src, dst string, opts ...byte) []byte {
	from, to := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	p := appendTCP(nil, from, to, 1000, 0, TCPSyn)
	for len(opts)%4 != 0 {
		opts = append(opts, optionNOP)
	}
	l4 := len(p) - TCPHeaderLen
	p = append(p, opts...)
	p[l4+12] = byte((TCPHeaderLen+len(opts))/4) << 4
	setAddresses(p, from.Addr(), l4)
	return p
}

// soundTCP reports whether every sum of a packet holds, by adding up words.
func soundTCP(p []byte) bool {
	l4, ok := TCPHeaders(p)
	if !ok {
		return false
	}
	pseudo := append(bytes.Clone(p[8:40:40]), 0, 0, 0, byte(len(p)-l4), 0, 0, 0, protoTCP)
	if l4 == IPv4HeaderLen {
		if slowSum(p[:l4]) != 0xffff {
			return false
		}
		pseudo = append(bytes.Clone(p[12:20:20]), 0, protoTCP, 0, byte(len(p)-l4))
	}
	return slowSum(append(pseudo, p[l4:]...)) == 0xffff
}

func TestASYNIsReaddressed(t *testing.T) {
	mss := []byte{optionMSS, 4, 0x05, 0xb4} // 1460
	capable := []byte{OptionMultipath, 4, 0x01, 0x00}
	for _, test := range []struct {
		name      string
		in        []byte
		src       string
		multipath bool
		want      []byte // options
	}{
		{"IPv4", syn("198.18.0.1:4000", "203.0.113.1:80", mss...), "10.0.0.2:1025", false, []byte{optionMSS, 4, 0x03, 0xe8}},
		{"IPv6", syn("[2001:2::1]:4000", "[2001:db8::1]:80", mss...), "[2001:db8:1::2]:65535", false, []byte{optionMSS, 4, 0x03, 0xe8}},
		{"a smaller segment stays", syn("198.18.0.1:4000", "203.0.113.1:80", optionMSS, 4, 2, 0x18), "10.0.0.2:1025", false, []byte{optionMSS, 4, 2, 0x18}},
		{"no Multipath TCP", syn("198.18.0.1:4000", "203.0.113.1:80", capable...), "10.0.0.2:1025", false, []byte{1, 1, 1, 1}},
		{"Multipath TCP", syn("198.18.0.1:4000", "203.0.113.1:80", capable...), "10.0.0.2:1025", true, capable},
		{"an option beyond the header", syn("198.18.0.1:4000", "203.0.113.1:80", 1, 1, optionMSS, 40), "10.0.0.2:1025", false, []byte{1, 1, optionMSS, 40}},
		{"an option of no length", syn("198.18.0.1:4000", "203.0.113.1:80", OptionMultipath, 0, 1, 1), "10.0.0.2:1025", false, []byte{OptionMultipath, 0, 1, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, src := bytes.Clone(test.in), netip.MustParseAddrPort(test.src)
			ReaddressSYN(p, src, 1000, test.multipath)
			got, err := Parse(p)
			if err != nil {
				t.Fatal(err)
			}
			if at := netip.AddrPortFrom(got.Src, got.SrcPort); at != src || !soundTCP(p) {
				t.Errorf("it is from %v, sums hold: %v", at, soundTCP(p))
			}
			if opts := p[got.L4+TCPHeaderLen:]; !bytes.Equal(opts, test.want) {
				t.Errorf("its options are % x, want % x", opts, test.want)
			}
		})
	}
}

func TestASYNWithDataGoesWithoutIt(t *testing.T) {
	p := syn("198.18.0.1:4000", "203.0.113.1:80")
	binary.BigEndian.PutUint16(p[2:], 1400) // the headers of one that has
	ReaddressSYN(p, netip.MustParseAddrPort("10.0.0.2:1025"), 1460, false)
	if !soundTCP(p) || int(binary.BigEndian.Uint16(p[2:])) != len(p) {
		t.Errorf("it says %d bytes and has %d", binary.BigEndian.Uint16(p[2:]), len(p))
	}
}

func TestSegmentsOfTheHouseAreSound(t *testing.T) {
	for _, ends := range [][2]string{{"203.0.113.1:80", "198.18.0.1:4000"}, {"[2001:db8::1]:80", "[2001:2::1]:4000"}} {
		from, to := netip.MustParseAddrPort(ends[0]), netip.MustParseAddrPort(ends[1])
		for _, p := range [][]byte{AppendReset(nil, from, to, 7, 9), AppendAck([]byte{}, from, to, 7, 9)} {
			if i, err := Parse(p); err != nil || i.Src != from.Addr() || i.DstPort != to.Port() || !soundTCP(p) {
				t.Errorf("% x: %+v, %v", p, i, err)
			}
		}
	}
}

func TestAQuotationGetsTheAppsAddress(t *testing.T) {
	for _, ends := range [][3]string{
		{"10.0.0.2:1025", "203.0.113.1:80", "198.18.0.1:4000"},
		{"[2001:db8:1::2]:1025", "[2001:db8::1]:80", "[2001:2::1]:4000"},
	} {
		from, to, app := netip.MustParseAddrPort(ends[0]), netip.MustParseAddrPort(ends[1]), netip.MustParseAddrPort(ends[2])
		whole := AppendAck(nil, from, to, 7, 9)
		quote := bytes.Clone(whole[:len(whole)-TCPHeaderLen+8]) // as little as a router quotes
		src, dst, ok := QuotedTCP(quote)
		if number := TCPSequence(quote); !ok || src != from || dst != to || number != 7 {
			t.Fatalf("it quotes %v to %v, number %d, %v", src, dst, number, ok)
		}
		for _, ends := range [][2]netip.AddrPort{{app, to}, {to, app}} {
			RequoteTCP(quote, ends[0], ends[1])
			if src, dst, ok = QuotedTCP(quote); !ok || src != ends[0] || dst != ends[1] {
				t.Errorf("then it quotes %v to %v, %v", src, dst, ok)
			}
		}
		if app.Addr().Is4() && slowSum(quote[:IPv4HeaderLen]) != 0xffff {
			t.Error("the sum of its header does not hold")
		}
	}
}

// FuzzTCP has the parsers of headers that others made look at anything.
func FuzzTCP(f *testing.F) {
	f.Add(syn("198.18.0.1:4000", "203.0.113.1:80", optionMSS, 4, 5, 180))
	f.Add(syn("[2001:2::1]:4000", "[2001:db8::1]:80", OptionMultipath, 4, 1, 0))
	src := map[bool]netip.AddrPort{false: netip.MustParseAddrPort("10.0.0.2:1"), true: netip.MustParseAddrPort("[2001:db8::2]:1")}
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) > 200 {
			return
		}
		if from, to, ok := QuotedTCP(p); ok {
			quote := bytes.Clone(p)
			TCPSequence(quote)
			RequoteTCP(quote, src[from.Addr().Is6()], to)
			if again, dst, ok := QuotedTCP(quote); !ok || again != src[from.Addr().Is6()] || dst != to {
				t.Errorf("% x quotes %v to %v", quote, again, dst)
			}
		}
		if l4, ok := TCPHeaders(p); ok {
			TCPSequence(p)
			at := src[l4 == IPv6HeaderLen]
			ReaddressSYN(p, at, 1000, false)
			if !soundTCP(p) {
				t.Errorf("the sums of % x do not hold", p)
			}
		}
	})
}
