package scheduler

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"mifvif/flow"
	"mifvif/pvd"
)

// SourceFunc chooses the source address for dst inside d (RFC 6724), or reports
// that d has none.
type SourceFunc func(d *pvd.Domain, dst netip.Addr) (netip.Addr, bool)

// Config holds what the scheduler needs from others.
type Config struct {
	// Source chooses source addresses; it must be safe for concurrent use and
	// must not allocate.
	Source SourceFunc
	// App maps the address a flow came from to who that is: all addresses of
	// this host to one value, so that a site stays on one domain whichever
	// family its flows use. nil: each address is an app side of its own.
	App func(netip.Addr) netip.Addr
}

// Scheduler decides. Publish belongs to one goroutine; every other method is
// safe for concurrent use and never blocks for long.
type Scheduler struct {
	source   SourceFunc
	app      func(netip.Addr) netip.Addr
	now      func() time.Time
	snapshot atomic.Pointer[snapshot]
	sticky   *sticky
	paths    *paths
	loads    loads
	sites    sites
	dropped  dropped
	fallen   fallen

	translates atomic.Bool
}

// New returns a Scheduler without domains: it refuses everything until Publish.
func New(cfg Config) *Scheduler {
	s := &Scheduler{source: cfg.Source, app: cfg.App, now: time.Now, sticky: newSticky(), paths: newPaths()}
	s.dropped.news = make(chan Conflict, maxDropped)
	if s.app == nil {
		s.app = func(a netip.Addr) netip.Addr { return a }
	}
	s.Publish(pvd.NewSet(nil), &Policy{})
	return s
}

// Publish replaces domains and policy at once; decisions made before stay as
// they are. The caller changes neither any more.
func (s *Scheduler) Publish(set *pvd.Set, policy *Policy) {
	s.snapshot.Store(newSnapshot(set, policy, s.snapshot.Load(), s.now()))
}

// about restates f for one snapshot.
func (s *Scheduler) about(f flow.Flow, snap *snapshot) subject {
	about := newSubject(f)
	if snap.needs.time {
		about.minute = minuteOfWeek(s.now())
	}
	return about
}

// Pick returns the candidates for f, best first, and the reason. It reads one
// immutable snapshot, and what was measured, and does not allocate, but for names
// that are new to it. Flows of one affinity stay on the domain of the first for
// ten minutes after the last decision.
//
// A destination of zeros stands for one that is not known yet, as in the
// question about a name: it is nobody's and public, and the zone of the name
// decides. A known destination goes where the answer that gave it came from, if
// it means something only there or if another domain claims it. f.Name is in
// lower case.
func (s *Scheduler) Pick(f flow.Flow) Decision {
	snap := s.snapshot.Load()
	p := pick{Scheduler: s, snap: snap, flow: s.about(f, snap)}
	p.decide()
	return p.dec
}

// Named reports whether the destination of f has a decision of its own, which is
// not the one of the whole app socket: a domain claims it, a rule names it by
// prefix, port or name, its answer holds in one domain only, or it is private and
// cannot go where public ones go.
// f.Name must be what Pick is given; rules by name do not match without. Whose
// socket it is does not matter, so that the answer is the same before anybody
// has asked. It does not allocate and is cheap enough to be asked for every packet.
func (s *Scheduler) Named(f flow.Flow) bool {
	snap := s.snapshot.Load()
	about := s.about(f, snap)
	return snap.named(&about)
}

// Bars returns the rule that keeps f off the domain it is bound to, whether that
// can be used now or not; ok is false if none does. A rule about some
// destinations only speaks of f as Pick has it.
func (s *Scheduler) Bars(f flow.Flow) (rule string, ok bool) {
	snap := s.snapshot.Load()
	p := pick{Scheduler: s, snap: snap, flow: s.about(f, snap)}
	for i := range snap.domains {
		p.left.add(i)
	}
	barred := !p.hard()
	return p.dec.Rule, barred
}

// Needs returns what the policy in force has to be told of a flow. Where there is
// one domain only, nothing is to be kept together.
func (s *Scheduler) Needs() Needs {
	snap := s.snapshot.Load()
	n := snap.needs
	n.App = n.App && snap.several
	return n
}

// Pending returns the names of domains that rules mention and that are not
// there, each once, in the order of the rules: a warning, not an error.
func (s *Scheduler) Pending() []string { return slices.Clone(s.snapshot.Load().absent) }

// Evicted returns how many affinities had to be forgotten before their time.
func (s *Scheduler) Evicted() uint64 { return s.sticky.evicted.Load() }
