package main

import (
	"context"
	"maps"
	"sync/atomic"
	"time"

	"mifvif/netwatch"
	"mifvif/pvd"
	"mifvif/scheduler"
)

// How often the uplinks' use is measured, and how often what counts against data
// caps is written down.
const (
	measureEvery = time.Second
	writeEvery   = time.Minute
)

// sampler measures what each domain carries: the counters of its interface, so
// that traffic beside mif0 counts too. One goroutine
// measures.
type sampler struct {
	d      *daemon
	ledger *ledger
	last   map[int]netwatch.Counters
	at     time.Time
	loads  atomic.Pointer[map[pvd.Key]scheduler.Load] // of the last second, for status
}

// load returns what a domain carried in the last second. Safe for concurrent use.
func (s *sampler) load(k pvd.Key) scheduler.Load {
	if all := s.loads.Load(); all != nil {
		return (*all)[k]
	}
	return scheduler.Load{}
}

// run measures until ctx ends.
func (s *sampler) run(ctx context.Context) error {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	written := time.Now()
	for {
		select {
		case <-ctx.Done():
			s.write()
			return nil
		case now := <-tick.C:
			s.measure(now)
			if now.Sub(written) >= writeEvery {
				s.write()
				written = now
			}
		}
	}
}

func (s *sampler) write() {
	if err := s.ledger.write(); err != nil {
		s.d.log.Warn("what counts against data caps is not written down", "error", err)
	}
}

// measure tells the scheduler what the domains carried since the last time.
func (s *sampler) measure(now time.Time) {
	counters, err := netwatch.ReadCounters()
	if err != nil {
		s.d.log.Debug("the uplinks' counters could not be read", "error", err)
		return
	}
	took := now.Sub(s.at).Seconds()
	live := s.d.relay.Live()
	loads := make(map[pvd.Key]scheduler.Load)
	for _, d := range s.d.current.Load().All() {
		c, here := counters[d.Ifindex]
		was, known := s.last[d.Ifindex]
		if !here {
			continue
		}
		l := scheduler.Load{Flows: live[d.Slot]}
		if known {
			rx, tx := since(was.Rx, c.Rx), since(was.Tx, c.Tx)
			l.Down, l.Up = uint64(float64(rx)*8/took), uint64(float64(tx)*8/took)
			l.Spent = s.ledger.add(d.Name, d.Cap, rx+tx, now)
		}
		loads[d.Key()] = l
	}
	s.last, s.at = counters, now
	seen := maps.Clone(loads)
	s.loads.Store(&seen)
	s.d.scheduler.Measure(loads)
}

// since returns what a counter has counted; one that is smaller than before began
// anew.
func since(was, now uint64) uint64 {
	if now < was {
		return now
	}
	return now - was
}
