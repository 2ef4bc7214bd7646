package packet

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Bounds of a Reassembler (RFC 1122 3.3.2, RFC 8200 4.5, RFC 5722).
const (
	reassemblyTime    = 30 * time.Second
	reassemblyMax     = 64 // datagrams under way
	reassemblyPerSrc  = 48
	maxDatagram       = 65535
	maxFragments      = 64
	minFragmentOffset = 8
)

// Reassembler puts fragments together. Overlapping fragments, ones that end
// beyond 64 KiB and datagrams that take too long are dropped whole. One
// goroutine uses it; memory is bounded by its limits at 64 KiB a datagram.
type Reassembler struct {
	now     func() time.Time
	partial map[fragKey]*partial
	dropped uint64
}

// fragKey tells datagrams apart (RFC 791 3.2, RFC 8200 4.5).
type fragKey struct {
	src, dst netip.Addr
	id       uint32
	proto    uint8
}

// partial is a datagram under way.
type partial struct {
	began  time.Time
	head   []byte // headers of the first fragment, without a fragment header
	pieces []piece
	size   int // payload bytes there are
	end    int // payload bytes there must be, 0 until the last fragment came
}

type piece struct {
	offset int
	data   []byte
}

// NewReassembler returns an empty Reassembler.
func NewReassembler() *Reassembler {
	return &Reassembler{now: time.Now, partial: make(map[fragKey]*partial)}
}

// Dropped returns how many datagrams were given up.
func (r *Reassembler) Dropped() uint64 { return r.dropped }

// Add takes the fragment that info describes. When it completes its datagram,
// the whole packet is returned, as it was before it was cut.
func (r *Reassembler) Add(info *Info, b []byte) ([]byte, bool) {
	k := fragKey{info.Src, info.Dst, info.ID, info.Proto}
	p := r.partial[k]
	if p == nil {
		if !r.room(info.Src) {
			r.dropped++
			return nil, false
		}
		p = &partial{began: r.now()}
		r.partial[k] = p
	}
	if !p.add(info, b) {
		delete(r.partial, k)
		r.dropped++
		return nil, false
	}
	if p.end == 0 || p.size < p.end || p.head == nil {
		return nil, false
	}
	delete(r.partial, k)
	if p.head[0]>>4 == 4 && len(p.head)+p.end > maxDatagram {
		r.dropped++
		return nil, false
	}
	return p.whole(), true
}

// room makes place for another datagram: late ones go, then nobody is let in.
func (r *Reassembler) room(src netip.Addr) bool {
	same := 0
	for k, p := range r.partial {
		if r.now().Sub(p.began) > reassemblyTime {
			delete(r.partial, k)
			r.dropped++
			continue
		}
		if k.src == src {
			same++
		}
	}
	return len(r.partial) < reassemblyMax && same < reassemblyPerSrc
}

// add notes one fragment; false means that the datagram cannot be trusted.
func (p *partial) add(info *Info, b []byte) bool {
	data := b[info.L4:info.End]
	end := info.FragOffset + len(data)
	switch {
	case len(data) == 0, len(p.pieces) == maxFragments, end > maxDatagram:
		return false
	case info.More && len(data)%minFragmentOffset != 0:
		return false
	case p.end > 0 && (end > p.end || !info.More && end != p.end):
		return false
	}
	for _, have := range p.pieces {
		if info.FragOffset < have.offset+len(have.data) && have.offset < end {
			return false
		}
		if !info.More && have.offset >= end {
			return false
		}
	}
	if !info.More {
		p.end = end
	}
	if info.FragOffset == 0 {
		p.head = headers(info, b)
	}
	p.pieces = append(p.pieces, piece{info.FragOffset, append([]byte(nil), data...)})
	p.size += len(data)
	return true
}

// headers returns what precedes the payload, without any IPv6 fragment header.
func headers(info *Info, b []byte) []byte {
	if !info.Is6() {
		return append([]byte(nil), b[:info.L4]...)
	}
	h := append([]byte(nil), b[:info.L4-fragHeaderLen]...)
	h[info.extension] = info.Proto
	return h
}

// whole returns the datagram in one packet.
func (p *partial) whole() []byte {
	out := make([]byte, len(p.head)+p.end)
	copy(out, p.head)
	for _, f := range p.pieces {
		copy(out[len(p.head)+f.offset:], f.data)
	}
	if out[0]>>4 == 6 {
		binary.BigEndian.PutUint16(out[4:], uint16(len(out)-IPv6HeaderLen))
		return out
	}
	binary.BigEndian.PutUint16(out[2:], uint16(len(out)))
	flags := binary.BigEndian.Uint16(out[6:])
	binary.BigEndian.PutUint16(out[6:], flags&0x4000)
	binary.BigEndian.PutUint16(out[10:], 0)
	binary.BigEndian.PutUint16(out[10:], ^Sum(out[:len(p.head)], 0))
	return out
}
