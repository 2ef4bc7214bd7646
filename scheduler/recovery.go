package scheduler

import (
	"time"

	"mifvif/flow"
	"mifvif/pvd"
)

// Recovery is what is to become of a live flow because a better domain is back
// (contract: on_recovery).
type Recovery struct {
	What   OnRecovery  // RecoverStay: nothing
	Better *pvd.Domain // which is back; nil with RecoverStay
	Until  time.Time   // with RecoverMoveIdle: when it ends although it is in use, zero for never
}

// Recover says what is to become of f, which was decided at a moment and is on a
// domain instance. A domain is better by its rank, or by its place in the order
// where that decides, and it is back if it became usable, or whole again, after the
// flow was decided: what else has changed moves nothing. Like Explain it is the
// decision of Pick, not noted. It does not allocate.
func (s *Scheduler) Recover(f flow.Flow, on pvd.Key, decided time.Time) Recovery {
	stay := Recovery{What: RecoverStay}
	snap := s.snapshot.Load()
	if !snap.recovers(decided) {
		return stay
	}
	p := pick{Scheduler: s, snap: snap, flow: s.about(f, snap), comeback: comeback{asked: true, on: on, decided: decided}}
	p.decide()
	back := &p.comeback
	if back.better == nil || p.dec.OnRecovery == RecoverStay {
		return stay
	}
	out := Recovery{What: p.dec.OnRecovery, Better: back.better}
	if p.dec.OnRecovery == RecoverMoveIdle && p.dec.RecoveryDeadline > 0 {
		out.Until = back.since.Add(p.dec.RecoveryDeadline)
	}
	return out
}

// Recovers reports whether any flow that was decided at a moment may have to leave
// its domain: Recover says which, to whom it must be told whose each is.
func (s *Scheduler) Recovers(decided time.Time) bool { return s.snapshot.Load().recovers(decided) }

func (s *snapshot) recovers(decided time.Time) bool {
	return s.needs.Recovery && s.newest.After(decided)
}

// Version returns a number that changes with each Publish.
func (s *Scheduler) Version() uint64 { return s.snapshot.Load().version }

// comeback is the question whether a flow's domain is not the best any more; the
// zero comeback asks nothing.
type comeback struct {
	asked   bool
	on      pvd.Key
	decided time.Time
	better  *pvd.Domain // the best that is back
	since   time.Time
}

// look compares the domain that the flow is on with the other candidates.
func (c *comeback) look(p *pick, at *[MaxCandidates]standing) {
	if !c.asked {
		return
	}
	mine := -1
	for i, candidate := range p.dec.Candidates() {
		if candidate.Domain.Key() == c.on {
			mine = i
		}
	}
	if mine < 0 {
		return
	}
	for i, candidate := range p.dec.Candidates() {
		since := p.snap.back[at[i].place]
		if since.After(c.decided) && at[i].outranks(&at[mine], p.by) {
			c.better, c.since = candidate.Domain, since
			return
		}
	}
}

// outranks reports whether a is better than b for more than a moment. A domain
// that is full now is not.
func (a *standing) outranks(b *standing, by Algorithm) bool {
	if better := a.rank.compare(&b.rank); better != 0 {
		return better < 0
	}
	return by.byOrder() && by != Persistent && !a.full && a.metric < b.metric
}

// comeBack notes since when each domain has been usable, and not degraded.
func (s *snapshot) comeBack(last *snapshot, now time.Time) {
	known := make(map[pvd.Key]int)
	if last != nil {
		s.version = last.version + 1
		for i, d := range last.domains {
			known[d.Key()] = i
		}
	}
	for i, d := range s.domains {
		since := now
		if was, ok := known[d.Key()]; ok && last.good(was) >= s.good(i) {
			since = last.back[was]
		}
		s.back = append(s.back, since)
		if since.After(s.newest) {
			s.newest = since
		}
	}
}

// good says how good a domain is for new flows, more is better: the families that
// it carries, and whether it is whole.
func (s *snapshot) good(i int) int {
	good := 0
	for f := range s.usable {
		if s.usable[f].has(i) {
			good += 2
			if s.domains[i].State != pvd.Degraded {
				good++
			}
		}
	}
	return good
}
