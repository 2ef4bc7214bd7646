package scheduler

import (
	"sync/atomic"
	"time"

	"mifvif/flow"
	"mifvif/pvd"
)

// Config holds what the scheduler needs from others.
type Config struct {
	// Source chooses source addresses; it must be safe for concurrent use and
	// must not allocate.
	Source SourceFunc
}

// Scheduler decides. Publish belongs to one goroutine; every other method is
// safe for concurrent use and never blocks for long.
type Scheduler struct {
	source   SourceFunc
	snapshot atomic.Pointer[snapshot]
	sticky   *sticky
	now      func() time.Time
}

// New returns a Scheduler without domains: it refuses everything until Publish.
func New(cfg Config) *Scheduler {
	s := &Scheduler{source: cfg.Source, sticky: newSticky(), now: time.Now}
	s.Publish(pvd.NewSet(nil), &Policy{})
	return s
}

// Publish replaces domains and policy at once; decisions made before stay as
// they are. The caller changes neither any more.
func (s *Scheduler) Publish(set *pvd.Set, policy *Policy) {
	s.snapshot.Store(newSnapshot(set, policy))
}

// Pick returns the candidates for f, best first, and the reason. It reads one
// immutable snapshot and does not allocate. A flow of the same affinity keeps
// the domain for ten minutes after its last decision.
func (s *Scheduler) Pick(f flow.Flow) Decision {
	p := pick{snap: s.snapshot.Load(), flow: &f, source: s.source}
	s.decide(&p)
	if p.dec.n > 0 && p.algorithm() == Weighted {
		s.sticky.keep(p.affinityKey(), p.dec.candidates[0].Domain.Key(), s.now())
	}
	return p.dec
}

// decide runs the stages and orders what they leave.
func (s *Scheduler) decide(p *pick) {
	p.run()
	if p.dec.n == 0 {
		return
	}
	var on *pvd.Domain
	if p.algorithm() == Weighted {
		if k, ok := s.sticky.lookup(p.affinityKey(), s.now()); ok {
			on = p.snap.set.ByKey(k)
		}
	}
	p.order(s.sticky.seed, on)
}

// Named reports whether a rule or a domain's prefix names the destination of f,
// so that its decision is not the one of the whole app socket. It does not
// allocate.
func (s *Scheduler) Named(f flow.Flow) bool { return s.snapshot.Load().distinguishes(&f) }

// Pending returns the names of domains that rules mention and that are not
// there, each once, in the order of the rules.
func (s *Scheduler) Pending() []string {
	snap := s.snapshot.Load()
	var absent []string
	for i := range snap.policy.Rules {
		for _, name := range snap.policy.Rules[i].names() {
			if snap.set.ByName(name) == nil && index(absent, name) < 0 {
				absent = append(absent, name)
			}
		}
	}
	return absent
}
