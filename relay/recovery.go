package relay

import (
	"context"
	"net/netip"
	"time"

	"mifvif/flow"
	"mifvif/nat"
	"mifvif/pvd"
	"mifvif/scheduler"
)

// How often flows are looked at that are to leave their domain for a better one
// that is back, and how long nothing must have passed on one for it to be idle.
const (
	recoverEvery = time.Second
	idleAfter    = 10 * time.Second
)

// mover is a live flow as far as a recovery concerns it.
type mover struct {
	flow    flow.Flow // as it was decided about
	on      *pvd.Domain
	decided time.Time
	bytes   uint64
	entry   *entry // of TCP
	binding uint64 // else
}

// leaving is a flow that is to leave its domain.
type leaving struct {
	scheduler.Recovery
	bytes uint64
	since time.Time // nothing has passed
}

// due reports whether it leaves now.
func (l *leaving) due(now time.Time) bool {
	return l.What == scheduler.RecoverReset || now.Sub(l.since) >= idleAfter || !l.Until.IsZero() && !now.Before(l.Until)
}

// recovery decides which flows leave when (contract: on_recovery). All flows are
// judged when what is published has changed; after that only those are looked at
// that wait to be idle. One goroutine uses it.
type recovery struct {
	judge   func(m *mover) scheduler.Recovery
	version uint64 // of what was judged by
	waiting map[any]*leaving
}

// key tells movers apart: bindings and TCP flows are counted for themselves.
func (m *mover) key() any {
	if m.entry != nil {
		return m.entry
	}
	return m.binding
}

// look returns the flows that leave now. live is called only where flows have to
// be looked at.
func (r *recovery) look(version uint64, now time.Time, live func() []mover) map[*mover]*pvd.Domain {
	anew := version != r.version
	if r.version = version; !anew && len(r.waiting) == 0 {
		return nil
	}
	due, waiting := make(map[*mover]*pvd.Domain), make(map[any]*leaving)
	all := live()
	for i := range all {
		m := &all[i]
		l, waits := r.waiting[m.key()]
		switch {
		case anew:
			what := r.judge(m)
			if what.What == scheduler.RecoverStay {
				continue
			}
			if !waits {
				l = &leaving{bytes: m.bytes, since: now}
			}
			l.Recovery = what
		case !waits:
			continue
		}
		if l.bytes != m.bytes {
			l.bytes, l.since = m.bytes, now
		}
		if l.due(now) {
			due[m] = l.Better
			continue
		}
		waiting[m.key()] = l
	}
	r.waiting = waiting
	return due
}

// recover has flows leave for better domains that are back until ctx ends: TCP
// flows are reset, bindings end, so that the next packet gets another decision.
func (r *Relay) recover(ctx context.Context) error {
	rec := recovery{judge: r.judge}
	tick := time.NewTicker(recoverEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if r.cfg.Scheduler.Needs().Recovery {
				r.leave(rec.look(r.cfg.Scheduler.Version(), now, r.movers))
			}
		}
	}
}

// leave ends flows, each for a better domain.
func (r *Relay) leave(due map[*mover]*pvd.Domain) {
	bindings := make(map[uint64]bool)
	for m, better := range due {
		if m.entry == nil {
			bindings[m.binding] = true
			continue
		}
		m.entry.conn.Reset()
		if r.cfg.News != nil {
			r.cfg.News.Moved(m.flow, m.on, better, nat.MovedRecovery)
		}
	}
	if len(bindings) > 0 {
		r.cfg.NAT.Move(bindings, nat.MovedRecovery)
	}
}

// judge asks what is to become of a flow. What is known of who sends a datagram
// is not kept, so it is asked for again.
func (r *Relay) judge(m *mover) scheduler.Recovery {
	f, stay := m.flow, scheduler.Recovery{What: scheduler.RecoverStay}
	if !r.cfg.Scheduler.Recovers(m.decided) {
		return stay // before the kernel is asked about each of thousands
	}
	if m.entry == nil {
		asked := f.Dst
		r.cfg.Names.Recall(&f)
		if _, ok := r.identify(&f, asked); !ok {
			return stay
		}
	}
	return r.cfg.Scheduler.Recover(f, m.on.Key(), m.decided)
}

// movers returns all live flows.
func (r *Relay) movers() []mover {
	var all []mover
	r.flows.mu.Lock()
	for _, e := range r.flows.live {
		if m, ok := e.mover(); ok {
			all = append(all, m)
		}
	}
	r.flows.mu.Unlock()
	for _, b := range r.cfg.NAT.Flows() {
		all = append(all, mover{flow: b.Flow, on: b.Domain, decided: b.Started, bytes: b.TxBytes + b.RxBytes, binding: b.ID})
	}
	return all
}

// mover returns a TCP flow with the destination that was decided about; ok is
// false before it is connected, and for what gets subflows instead of moving.
func (e *entry) mover() (m mover, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn == nil || e.bundled {
		return m, false
	}
	m = mover{flow: e.rec.Flow, on: e.rec.Domain, decided: e.rec.Started, entry: e}
	m.flow.Dst = netip.AddrPortFrom(e.to, m.flow.Dst.Port())
	tx, rx := e.conn.Counters()
	m.bytes = tx + rx
	return m, true
}
