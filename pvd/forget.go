package pvd

import "time"

// Deadline returns when Build has to be called again although nothing changed,
// because something a network said is over then or a lost domain is to be
// forgotten; ok is false when there is none.
func (b *Builder) Deadline() (at time.Time, ok bool) {
	at = b.ledger.next()
	ok = !at.IsZero()
	for id, m := range b.known {
		if !b.perishable(id, m) {
			continue
		}
		if end := m.lost.Add(forgetAfter); !ok || end.Before(at) {
			at, ok = end, true
		}
	}
	return at, ok
}

// forget drops the domains that have been lost for long, and the longest lost
// ones beyond what is kept. Declared domains are never forgotten.
func (b *Builder) forget() {
	for id, m := range b.known {
		if b.perishable(id, m) && time.Since(m.lost) >= forgetAfter {
			b.drop(id)
		}
	}
	for b.lostOnes() > maxLost {
		b.dropOldest()
	}
}

// perishable reports whether a domain is lost and only remembered.
func (b *Builder) perishable(id identity, m *memory) bool {
	return m.last != nil && m.last.State == Offline && !b.discovery.names(id)
}

func (b *Builder) lostOnes() int {
	n := 0
	for id, m := range b.known {
		if b.perishable(id, m) {
			n++
		}
	}
	return n
}

// dropOldest forgets the domain that was lost first.
func (b *Builder) dropOldest() {
	var oldest identity
	for id, m := range b.known {
		if b.perishable(id, m) && (oldest == identity{} || m.lost.Before(b.known[oldest].lost)) {
			oldest = id
		}
	}
	b.drop(oldest)
}

// drop forgets a domain and gives its slot back.
func (b *Builder) drop(id identity) {
	if m := b.known[id]; m != nil {
		if m.last != nil {
			b.slots.release(m.slot)
		}
		delete(b.known, id)
	}
}

// dropLink forgets every domain of an interface.
func (b *Builder) dropLink(ifname string) {
	for id := range b.known {
		if id.ifname == ifname {
			b.drop(id)
		}
	}
}
