package nat

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"mifvif/flow"
	"mifvif/nat/offload"
	"mifvif/pvd"
)

// A binding whose datagrams keep going to one destination gets a shortcut: the
// kernel translates them, both ways, and nothing of them crosses into the house.
// What goes to other destinations, what others send, and errors of the path take the
// usual way through the binding's socket, which holds the port.
const (
	shortcutAfter = 16               // datagrams in a row
	shortcutFor   = 30 * time.Second // then the house looks at a few again, as policy may
)

// shortcutID tells shortcuts from streams.
const shortcutID = 1 << 63

// shortcut is one binding's.
type shortcut struct {
	mu    sync.Mutex
	flow  offload.Flow // of no ID: there is none
	since time.Time

	sent, came int         // datagrams in a row, of the goroutines that send and receive
	none       atomic.Bool // it cannot have one
}

// sent counts datagrams that went where m's did, and gives the binding a shortcut
// where it is worth one.
func (t *Table) sent(m *message) {
	if !t.shortens(m.b) {
		return
	}
	if m.b.short.sent += m.n; m.b.short.sent >= shortcutAfter {
		m.b.short.sent = 0
		t.shorten(m.b, m.dst)
	}
}

// came counts datagrams likewise that came from where the last one went.
func (t *Table) came(b *binding, arrivals []arrival) {
	if len(arrivals) == 0 || !t.shortens(b) {
		return
	}
	dst := *b.lastDst.Load()
	if arrivals[0].from != dst || arrivals[len(arrivals)-1].from != dst {
		b.short.came = 0
		return
	}
	if b.short.came += len(arrivals); b.short.came >= shortcutAfter {
		b.short.came = 0
		t.shorten(b, dst)
	}
}

// shortens reports whether a binding may have a shortcut.
func (t *Table) shortens(b *binding) bool {
	return t.cfg.Kernel != nil && b.choice.Direct && !b.short.none.Load() && b.translation.Load() == nil
}

// shorten has the kernel translate what passes between a binding and a destination.
func (t *Table) shorten(b *binding, dst netip.AddrPort) {
	d := b.choice.Domain
	if !translatable(d, dst.Addr(), t.cfg.MTU) {
		b.short.none.Store(true)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if b.gone || t.barred {
		return
	}
	b.withdraw()
	f := offload.Flow{
		Proto: flow.UDP, ID: b.id | shortcutID, App: b.app.app, Dst: dst, Source: b.sock.src, Mark: d.Mark(), Ifindex: d.Ifindex,
	}
	if err := t.cfg.Kernel.Put(f); err != nil {
		t.log.Debug("datagrams are carried instead of translated", "app", b.app.app, "to", dst, "error", err)
		b.short.none.Store(true)
		return
	}
	b.short.mu.Lock()
	b.short.flow, b.short.since = f, t.now()
	b.short.mu.Unlock()
}

// withdraw ends the binding's shortcut, and counts what has passed by it.
func (b *binding) withdraw() {
	b.short.mu.Lock()
	defer b.short.mu.Unlock()
	if b.short.flow.ID == 0 {
		return
	}
	passed := b.table.cfg.Kernel.Delete(b.short.flow)
	b.short.flow = offload.Flow{}
	b.txBytes.Add(passed.Tx.Bytes)
	b.rxBytes.Add(passed.Rx.Bytes)
	b.txPkts.Add(passed.Tx.Segments)
	b.rxPkts.Add(passed.Rx.Segments)
}

// carried returns the bytes that have passed, and whether there is a shortcut.
func (b *binding) carried() (tx, rx uint64, short bool) {
	b.short.mu.Lock()
	defer b.short.mu.Unlock()
	tx, rx = b.txBytes.Load(), b.rxBytes.Load()
	if b.short.flow.ID != 0 {
		passed := b.table.cfg.Kernel.Traffic(b.short.flow)
		return tx + passed.Tx.Bytes, rx + passed.Rx.Bytes, true
	}
	return tx, rx, false
}

// review notes when the shortcut was used last, and ends it when it has lasted.
// table.mu is held.
func (b *binding) review(now time.Time) {
	b.short.mu.Lock()
	f, since := b.short.flow, b.short.since
	b.short.mu.Unlock()
	if f.ID == 0 {
		return
	}
	if last := b.table.cfg.Kernel.Traffic(f).Tx.Last; last > 0 {
		ago := max(offload.Now()-last, 0)
		b.used.Store(max(b.used.Load(), b.table.since(now)-int64(ago)))
	}
	if now.Sub(since) >= shortcutFor {
		b.withdraw()
	}
}

// Keep ends the shortcuts by domains whose links, as set has them, have become too
// small for what mif0 takes. While barred, there are none. Safe for concurrent use.
func (t *Table) Keep(set *pvd.Set, barred bool) {
	if t.cfg.Kernel == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.barred = barred
	for b := range t.bindings {
		if d := set.ByKey(b.choice.Domain.Key()); barred || d != nil && d.MTU < t.cfg.MTU {
			b.withdraw()
		}
	}
}
