package relay

import "sync"

// maxEnded is how many flows are remembered after their end.
const maxEnded = 10_000

// ended are the last TCP flows that are no more, for those who ask why one went
// where it went. The zero ended is empty; safe for concurrent use.
type ended struct {
	mu   sync.Mutex
	ring []Record // grows to maxEnded and no more
	next int
}

// add remembers a flow over the oldest one.
func (e *ended) add(rec Record) {
	rec.State = "ended"
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.ring) < maxEnded {
		e.ring = append(e.ring, rec)
		return
	}
	e.ring[e.next] = rec
	e.next = (e.next + 1) % maxEnded
}

// Ended returns a flow that has ended by its ID; ok is false if it is not
// remembered. Safe for concurrent use.
func (r *Relay) Ended(id uint64) (rec Record, ok bool) {
	e := &r.flows.ended
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.ring {
		if e.ring[i].ID == id {
			return e.ring[i], true
		}
	}
	return Record{}, false
}
