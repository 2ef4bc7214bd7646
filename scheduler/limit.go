package scheduler

import (
	"sync/atomic"
	"time"

	"mifvif/pvd"
)

// limit is what a domain was found to carry, where nobody has declared it: the
// one-second mean at which packets began to queue, which connects show by taking
// longer than they can. It is believed for as long as a path is, and forgotten
// when more is carried: then something else was slow. The zero limit is none.
type limit struct {
	pvd.Bandwidth
	at time.Time // found
}

// leastLimit is the rate below which nothing is concluded, in bits per second.
const leastLimit = 100_000

// after returns the limit after another second: what was carried in it, and
// whether connects have queued.
func (f limit) after(l Load, queues bool, now time.Time) limit {
	if now.Sub(f.at) >= pathFor || exceeds(l.Down, f.Down) || exceeds(l.Up, f.Up) {
		f = limit{}
	}
	switch {
	case !queues || max(l.Down, l.Up) < leastLimit:
	case l.Down >= l.Up:
		f.Down, f.at = max(l.Down, f.Down), now
	default:
		f.Up, f.at = max(l.Up, f.Up), now
	}
	return f
}

// exceeds reports whether a rate shows that a limit was none: one second is not
// like another, but not by more than a tenth.
func exceeds(rate, most uint64) bool { return most > 0 && rate > most+most/10 }

// slowness counts the connects of a domain that took much longer than their path
// takes when it is empty, in a row and since the last measurement. Connects of all
// paths count together: what is full is the uplink.
type slowness struct{ row, fresh atomic.Int32 }

// slowRow is how many slow connects in a row are no coincidence.
const slowRow = 2

// note takes one connect.
func (s *slowness) note(slow bool) {
	if !slow {
		if s.row.Load() != 0 {
			s.row.Store(0)
		}
		return
	}
	s.row.Add(1)
	s.fresh.Add(1)
}

// queues reports whether connects have queued since it was called last.
func (s *slowness) queues() bool { return s.fresh.Swap(0) > 0 && s.row.Load() >= slowRow }

// A connect is slow where it takes this much longer than twice the quickest one,
// and it is not known why where its SYN may have been lost (RFC 6298 2).
const (
	slowBy  = 10 * time.Millisecond
	lostSYN = time.Second
)

// slow reports whether a round trip of a connect shows a queue.
func (t *trail) slow(rtt time.Duration) bool {
	return rtt > 2*t.least+slowBy && rtt < lostSYN
}
