package scheduler

import "sync/atomic"

// maxDropped bounds the contradictions that wait to be told.
const maxDropped = 64

// dropped are contradictions that show only in decisions: rules that leave no
// domain of those that are there, as two that forbid one each of two. Each is handed
// on once, or oftener where more meet than there are places. It allocates for what is
// new only; safe for concurrent use.
type dropped struct {
	seen [256]atomic.Uint64 // hashes of the last ones
	news chan Conflict      // bounded: what does not fit is handed on when it is met again
}

// note hands on that loser was dropped because winner stands above it, unless the two
// contradict each other whatever domains there are, which is known beforehand.
func (d *dropped) note(winner, loser *rule) {
	h := finish(mix(hashString(hashString(hashSeed, winner.Name), loser.Name), uint64(winner.Actor)<<8|uint64(loser.Actor)))
	at := &d.seen[h%uint64(len(d.seen))]
	if at.Load() == h {
		return
	}
	if !Contradict(winner.Rule, loser.Rule) {
		select {
		case d.news <- droppedFor(winner, loser):
		default:
			return
		}
	}
	at.Store(h)
}

// droppedFor says that a rule was dropped for another.
func droppedFor(winner, loser *rule) Conflict {
	return Conflict{winner.Name, loser.Name, "no domain satisfies both, and the " + winner.Actor.String() + "'s rule stands above"}
}

// Dropped returns a channel of the rules that decisions drop for a higher actor's,
// each about once. Who does not read it misses them.
func (s *Scheduler) Dropped() <-chan Conflict { return s.dropped.news }
