package scheduler

import (
	"time"

	"mifvif/pvd"
)

// Hysteresis of the algorithms by latency (standards D.1, score stage): flows of
// one affinity move only to what is a fifth better, and has been for that long.
const (
	betterBy  = 5 // a fifth
	betterFor = 10 * time.Second
)

// hesitate puts the domain that earlier flows of the affinity are on back to the
// front, unless another of its rank is better by enough for long enough. A rival
// whose path nobody knows is tried.
func (p *pick) hesitate(at *[MaxCandidates]standing, stuck *pvd.Domain) {
	if stuck == nil {
		return
	}
	i := 0
	for i < p.dec.n && p.dec.candidates[i].Domain != stuck {
		i++
	}
	if i == p.dec.n {
		return
	}
	best, mine := &at[0], &at[i]
	switch {
	case i == 0:
		p.calm()
		return
	case best.rank != mine.rank || best.latency == 0 && mine.latency > 0:
		p.released = best.rank == mine.rank
		return
	case best.latency < mine.latency && best.latency+best.latency/betterBy <= mine.latency:
		if p.released = p.sticky.rival(p.key, p.dec.candidates[0].Domain.Key(), p.noted()) >= betterFor; p.released {
			return
		}
	default:
		p.calm()
	}
	s, c := at[i], p.dec.candidates[i]
	copy(at[1:i+1], at[:i])
	copy(p.dec.candidates[1:i+1], p.dec.candidates[:i])
	at[0], p.dec.candidates[0] = s, c
}

// calm notes that no rival is better.
func (p *pick) calm() {
	if p.noted() {
		p.sticky.rival(p.key, pvd.Key{}, true)
	}
}

// Delays between the first SYNs of a race.
const (
	raceAfter    = 250 * time.Millisecond // RFC 8305 8: Connection Attempt Delay
	fastestAfter = 10 * time.Millisecond  // its floor
	mostRacers   = 4
)

// race says how many candidates may be tried side by side: those that a rule
// asks for, else those of equal rank where nothing says which is best (standards
// D.8). Flows that belong to one domain, or must be on some, do not race.
func (p *pick) race(at *[MaxCandidates]standing) {
	if p.owned || p.zoned || p.bound || p.required() || p.dec.n < 2 {
		return
	}
	n := min(p.dec.n, mostRacers)
	if p.by != Fastest && !p.raced() {
		equal := 1
		for equal < n && at[equal].rank == at[0].rank {
			equal++
		}
		if n = equal; n < 2 || p.by.byOrder() {
			return
		}
	}
	p.dec.Race, p.dec.RaceAfter = n, raceAfter
	if p.by == Fastest {
		p.dec.RaceAfter = fastestAfter
	}
}

// raced reports whether a rule asks for a race.
func (p *pick) raced() bool {
	for _, r := range p.spoke {
		if r != nil && r.Race {
			return true
		}
	}
	return false
}
