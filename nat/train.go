package nat

import (
	"errors"

	"golang.org/x/sys/unix"

	"mifvif/packet"
	"mifvif/tun"
)

// arrived hands datagrams to the app as if their peers had sent them straight.
// Those that look alike go as one (UDP segmentation offload, the other way).
func (b *binding) arrived(arrivals []arrival) {
	tr := &b.table.inbox.train
	for i := range arrivals {
		a := &arrivals[i]
		b.rxBytes.Add(uint64(len(a.data)))
		if !tr.takes(a) {
			tr.leave(b)
			tr.begin(a)
			continue
		}
		tr.add(a)
	}
	tr.leave(b)
	b.rxPkts.Add(uint64(len(arrivals)))
	b.table.came(b, arrivals)
}

// Limits of a train.
const (
	maxCars  = 60    // pieces of one write to mif0
	maxTrain = 65000 // bytes of payload
)

// train is what is written to mif0 at once: datagrams of one peer to one app
// that have one size, but for the last, and look alike.
type train struct {
	head    [packet.IPv6HeaderLen + packet.UDPHeaderLen]byte
	pieces  [1 + maxCars][]byte // headers first
	one     [2][]byte           // headers and payload, where bursts are not taken
	n       int                 // payloads in pieces
	total   int                 // their bytes
	segment int                 // bytes of each but the last
	closed  bool                // nothing fits behind it
	first   arrival
}

// begin makes a the first of the train.
func (tr *train) begin(a *arrival) {
	tr.first, tr.n, tr.total = *a, 0, 0
	tr.segment = len(a.data)
	if a.segment > 0 && a.segment < len(a.data) {
		tr.segment = a.segment
	}
	tr.closed = len(a.data) == 0 || len(a.data) != tr.segment
	tr.add(a)
}

// takes reports whether a may ride behind what is there.
func (tr *train) takes(a *arrival) bool {
	return tr.n > 0 && !tr.closed && tr.n < maxCars && len(a.data) > 0 && len(a.data) <= tr.segment && tr.total+len(a.data) <= maxTrain &&
		(a.segment == 0 || a.segment >= len(a.data)) &&
		a.from == tr.first.from && a.ttl == tr.first.ttl && a.tos == tr.first.tos
}

// add appends a's payload; a shorter one is the last.
func (tr *train) add(a *arrival) {
	tr.n++
	tr.pieces[tr.n] = a.data
	tr.total += len(a.data)
	if len(a.data) < tr.segment {
		tr.closed = true
	}
}

// leave writes the train to mif0, if there is one.
func (tr *train) leave(b *binding) {
	if tr.n == 0 {
		return
	}
	app := b.app.app
	from, ok := b.reply(tr.first.from.Addr())
	if !ok {
		b.table.stats.unreachable.Add(1)
		tr.n = 0
		return
	}
	i := packet.Info{
		Src: from, Dst: app.Addr(), SrcPort: tr.first.from.Port(), DstPort: app.Port(),
		TTL: tr.first.ttl, TOS: tr.first.tos,
		ID: b.table.datagrams.Add(uint32((tr.total + tr.segment) / max(tr.segment, 1))),
	}
	tr.write(b.table, &i)
	tr.n = 0
}

// write gives mif0 the train at once or, where the kernel takes no bursts (before
// Linux 6.2) or each is too long by itself, datagram by datagram.
func (tr *train) write(t *Table, i *packet.Info) {
	if tr.segment >= tr.total || !t.single.Load() && !t.exceeds(i.Is6(), len(tr.head)+tr.segment) {
		tr.pieces[0] = packet.AppendUDP(tr.head[:0], *i, tr.total)
		if t.write(tr.pieces[:1+tr.n], tr.total, tr.segment) {
			return
		}
		t.single.Store(true)
	}
	for _, p := range tr.pieces[1 : 1+tr.n] {
		for len(p) > 0 {
			n := min(tr.segment, len(p))
			tr.one = [2][]byte{packet.AppendUDP(tr.head[:0], *i, n), p[:n]}
			t.write(tr.one[:], n, 0)
			p = p[n:]
		}
	}
}

// write gives mif0 a UDP packet in pieces, its headers first: one datagram, or
// several of segment bytes as one. The kernel completes the checksum. It returns
// false if the kernel takes no bursts; any other loss is counted.
func (t *Table) write(pieces [][]byte, payload, segment int) bool {
	head := len(pieces[0])
	if (segment == 0 || segment >= payload) && t.exceeds(pieces[0][0]>>4 == 6, head+payload) {
		t.cut(pieces, true)
		return true
	}
	h := tun.Header{NeedsChecksum: true, ChecksumStart: uint16(head - packet.UDPHeaderLen), ChecksumOffset: 6}
	if segment > 0 && segment < payload {
		h.GSOType, h.GSOSize, h.HeaderLen = tun.GSOUDPL4, uint16(segment), uint16(head)
	}
	err := t.out.Write(h, pieces...)
	if h.GSOType == tun.GSOUDPL4 && errors.Is(err, unix.EINVAL) {
		return false
	}
	if err != nil {
		t.stats.appFull.Add(1)
	}
	return true
}
