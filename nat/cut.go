package nat

import (
	"mifvif/packet"
	"mifvif/tun"
)

// cutter is the memory in which one datagram is cut.
type cutter struct {
	whole [packet.IPv6HeaderLen + 1<<16]byte
	head  [packet.FragmentHeaders]byte
	one   [2][]byte
}

// exceeds reports whether an IPv6 packet is longer than mif0's MTU. An app of this
// host would get it all the same, but nobody behind a LAN: routers do not fragment
// IPv6 (RFC 8200 4.5), and whoever has cut it for its way to us does not hear of it.
// IPv4 is cut by the kernel where it has to be.
func (t *Table) exceeds(is6 bool, length int) bool { return is6 && t.cfg.MTU > 0 && length > t.cfg.MTU }

// cut writes an IPv6 packet in pieces, its headers first, to mif0 in fragments. Its
// checksum is left undone if undone says so.
func (t *Table) cut(pieces [][]byte, undone bool) {
	c := t.cutters.Get().(*cutter)
	defer t.cutters.Put(c)
	n := 0
	for _, p := range pieces {
		n += copy(c.whole[n:], p)
	}
	if undone {
		packet.FinishUDP(c.whole[:n], packet.IPv6HeaderLen)
	}
	id, room := t.datagrams.Add(1), packet.FragmentRoom(t.cfg.MTU)
	data := c.whole[packet.IPv6HeaderLen:n]
	for offset := 0; offset < len(data); offset += room {
		end := min(offset+room, len(data))
		head := packet.AppendFragment(c.head[:0], c.whole[:packet.IPv6HeaderLen], id, offset, end-offset, end < len(data))
		c.one = [2][]byte{head, data[offset:end]}
		if err := t.out.Write(tun.Header{}, c.one[:]...); err != nil {
			t.stats.appFull.Add(1)
			return // the others are of no use without it
		}
	}
}

// Give writes a whole packet to mif0, in fragments where it is too long.
func (t *Table) Give(p []byte) error {
	if t.exceeds(p[0]>>4 == 6, len(p)) {
		t.cut([][]byte{p}, false)
		return nil
	}
	return t.out.Write(tun.Header{}, p) //nolint:wrapcheck // says what and where
}
