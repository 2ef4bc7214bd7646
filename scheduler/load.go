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
}

// full reports whether a domain is saturated: nine tenths of a declared bandwidth
// are in use. One without declared bandwidth is never full.
func (l *Load) full(b pvd.Bandwidth) bool {
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
	for _, l := range by {
		m.spent = m.spent || l.Spent
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
	last := l.last.Load()
	if last == nil {
		return Load{}
	}
	return last.by[d.Key()]
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
