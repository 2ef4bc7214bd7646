package scheduler

import (
	"sync/atomic"

	"mifvif/pvd"
)

// Load is what one domain carries, over the last second.
type Load struct {
	Down, Up uint64 // bits per second on its interface
	Flows    int    // live flows
	Spent    bool   // its data cap is used up

	found limit // set by Measure
}

// full reports whether a domain is saturated: nine tenths of its declared
// bandwidth are in use, or of what it was found to carry where none is declared.
func (l *Load) full(b pvd.Bandwidth) bool {
	if b == (pvd.Bandwidth{}) {
		b = l.found.Bandwidth
	}
	return b.Down > 0 && l.Down*10 >= b.Down*9 || b.Up > 0 && l.Up*10 >= b.Up*9
}

// Steps of use. The uppermost is where counters stop telling two full domains
// apart.
const (
	useSteps = 8
	mostUsed = useSteps - 1
)

// used returns how much of the bandwidth is in use, in eighths, the last one
// left out; 0 where no bandwidth is declared.
func (l *Load) used(b pvd.Bandwidth) int {
	use := uint64(0)
	if b.Down > 0 {
		use = l.Down * useSteps / b.Down
	}
	if b.Up > 0 {
		use = max(use, l.Up*useSteps/b.Up)
	}
	return int(min(use, mostUsed))
}

// loads are the last measurement, by slot, with how many decisions chose each
// domain since: those flows are not in the measurement yet.
type loads struct {
	last  atomic.Pointer[measured]
	fresh [pvd.MaxDomains]atomic.Int32
	slow  [pvd.MaxDomains]slowness
}

// measured is one measurement.
type measured struct {
	by    map[pvd.Key]Load
	spent bool // some domain's data cap is used up
}

// Measure takes what each domain carries. One goroutine calls it, once a second;
// it keeps the map.
func (s *Scheduler) Measure(by map[pvd.Key]Load) {
	m := &measured{by: by}
	last, now := s.loads.last.Load(), s.now()
	for d, l := range by {
		m.spent = m.spent || l.Spent
		queues := s.loads.slow[d.Slot%pvd.MaxDomains].queues()
		if was, same := last.load(d); same {
			l.found = was.found.after(l, queues, now)
			by[d] = l
		}
	}
	s.loads.last.Store(m)
	for i := range s.loads.fresh {
		if s.loads.fresh[i].Load() != 0 {
			s.loads.fresh[i].Store(0)
		}
	}
}

// of returns what is known of a domain, the zero Load if nothing is.
func (l *loads) of(d *pvd.Domain) Load {
	load, _ := l.last.Load().load(d.Key())
	return load
}

// load returns what one instance carried; nil has measured nothing.
func (m *measured) load(d pvd.Key) (l Load, ok bool) {
	if m != nil {
		l, ok = m.by[d]
	}
	return l, ok
}

// anySpent reports whether any data cap is used up.
func (l *loads) anySpent() bool {
	last := l.last.Load()
	return last != nil && last.spent
}

// chose notes that a decision put a flow on d.
func (l *loads) chose(d *pvd.Domain) { l.fresh[d.Slot%pvd.MaxDomains].Add(1) }

// chosen returns how many flows were put on d since the last measurement.
func (l *loads) chosen(d *pvd.Domain) int { return int(l.fresh[d.Slot%pvd.MaxDomains].Load()) }
