package packet

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// cut makes fragments of at most size payload bytes out of a packet.
func cut(t *testing.T, whole []byte, size int, id uint32) [][]byte {
	t.Helper()
	i, err := Parse(whole)
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	payload := whole[i.L4:i.End]
	var out [][]byte
	for at := 0; at < len(payload); at += size {
		piece := payload[at:min(at+size, len(payload))]
		more := at+size < len(payload)
		var b []byte
		if i.Is6() {
			b = append([]byte(nil), whole[:IPv6HeaderLen]...)
			b[6] = protoFragment
			binary.BigEndian.PutUint16(b[4:], uint16(fragHeaderLen+len(piece)))
			word := uint16(at)
			if more {
				word |= 1
			}
			b = append(b, i.Proto, 0)
			b = binary.BigEndian.AppendUint16(b, word)
			b = binary.BigEndian.AppendUint32(b, id)
		} else {
			b = append([]byte(nil), whole[:i.L4]...)
			binary.BigEndian.PutUint16(b[2:], uint16(i.L4+len(piece)))
			word := uint16(at / 8)
			if more {
				word |= 0x2000
			}
			binary.BigEndian.PutUint16(b[4:], uint16(id))
			binary.BigEndian.PutUint16(b[6:], word)
			b[10], b[11] = 0, 0
			binary.BigEndian.PutUint16(b[10:], ^Sum(b, 0))
		}
		out = append(out, append(b, piece...))
	}
	return out
}

func datagram(src, dst string, size int) []byte {
	b := AppendUDP(nil, Info{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), SrcPort: 1, DstPort: 2, TTL: 64, ID: 1}, size)
	for i := range size {
		b = append(b, byte(i*7))
	}
	return b
}

func TestFragmentsBecomeTheirDatagramInAnyOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, ends := range [][2]string{{"198.18.0.1", "203.0.113.80"}, {"2001:2::1", "2001:db8::80"}} {
		for _, size := range []int{9, 3000, 60000} {
			whole := datagram(ends[0], ends[1], size)
			parts := cut(t, whole, max(size/40/8*8, 8), 42)
			r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
			re := NewReassembler()
			var got []byte
			for n, p := range parts {
				i, err := Parse(p)
				if err != nil || !i.Fragment {
					t.Fatalf("fragment %d: %+v, %v", n, i, err)
				}
				b, done := re.Add(&i, p)
				if done != (n == len(parts)-1) {
					t.Fatalf("%d bytes: done after %d of %d", size, n+1, len(parts))
				}
				got = b
			}
			i, err := Parse(got)
			if err != nil || !bytes.Equal(i.Payload(got), whole[len(whole)-size:]) {
				t.Errorf("%d bytes: reassembled %d bytes, %v", size, len(got), err)
			}
		}
	}
}

func TestOverlapDropsTheDatagram(t *testing.T) {
	parts := cut(t, datagram("2001:2::1", "2001:db8::80", 64), 16, 1)
	re := NewReassembler()
	for _, p := range [][]byte{parts[0], parts[1], parts[1], parts[2], parts[3]} {
		i, _ := Parse(p)
		if _, done := re.Add(&i, p); done {
			t.Fatal("a datagram with overlapping fragments was put together")
		}
	}
	if re.Dropped() == 0 {
		t.Error("the drop was not counted")
	}
}

func TestReassemblerForgetsAndIsBounded(t *testing.T) {
	re := NewReassembler()
	now := time.Unix(0, 0)
	re.now = func() time.Time { return now }
	for id := range uint32(1000) {
		p := cut(t, datagram("198.18.0.1", "203.0.113.80", 64), 16, id)[0]
		i, _ := Parse(p)
		re.Add(&i, p)
	}
	if len(re.partial) > reassemblyMax {
		t.Errorf("%d datagrams under way, at most %d", len(re.partial), reassemblyMax)
	}
	now = now.Add(reassemblyTime + time.Second)
	p := cut(t, datagram("198.18.0.1", "203.0.113.80", 64), 16, 5000)[0]
	i, _ := Parse(p)
	re.Add(&i, p)
	if len(re.partial) != 1 {
		t.Errorf("%d datagrams under way after all were late, want 1", len(re.partial))
	}
}

// TestLargestDatagramsPass: IPv4 counts its header in 64 KiB, IPv6 does not.
func TestLargestDatagramsPass(t *testing.T) {
	const most4, most6 = maxDatagram - IPv4HeaderLen - UDPHeaderLen, maxDatagram - UDPHeaderLen
	for _, whole := range [][]byte{datagram("198.18.0.1", "203.0.113.80", most4), datagram("2001:2::1", "2001:db8::80", most6)} {
		re := NewReassembler()
		var got []byte
		for _, p := range cut(t, whole, 1448, 9) {
			i, _ := Parse(p)
			got, _ = re.Add(&i, p)
		}
		i, err := Parse(got)
		if err != nil || len(got) != len(whole) || !bytes.Equal(i.Payload(got), whole[i.L4+UDPHeaderLen:]) {
			t.Errorf("of %d bytes %d come, %v", len(whole), len(got), err)
		}
	}
	whole := datagram("198.18.0.1", "203.0.113.80", most4)
	re := NewReassembler()
	for _, p := range cut(t, whole, 1448, 9) {
		p = append(p[:IPv4HeaderLen:IPv4HeaderLen], append([]byte{1, 1, 1, 1}, p[IPv4HeaderLen:]...)...) // options
		p[0]++
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		p[10], p[11] = 0, 0
		binary.BigEndian.PutUint16(p[10:], ^Sum(p[:IPv4HeaderLen+4], 0))
		i, err := Parse(p)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := re.Add(&i, p); ok {
			t.Errorf("a datagram of %d bytes was put together", len(got))
		}
	}
	if re.Dropped() != 1 {
		t.Errorf("%d dropped, want 1", re.Dropped())
	}
}

func TestFragmentsAreAsAnyHostMakesThem(t *testing.T) {
	const mtu = 1400
	whole := datagram("2001:db8::1", "2001:db8::2", 4000)
	room := FragmentRoom(mtu)
	data := whole[IPv6HeaderLen:]
	for n, want := range cut(t, whole, room, 77) {
		offset := n * room
		end := min(offset+room, len(data))
		got := append(AppendFragment(nil, whole, 77, offset, end-offset, end < len(data)), data[offset:end]...)
		if !bytes.Equal(got, want) || len(got) > mtu {
			t.Errorf("fragment %d is %x, want %x", n, got, want)
		}
	}
}
