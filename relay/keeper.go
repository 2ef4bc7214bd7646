package relay

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"mifvif/nat"
	"mifvif/pvd"
	"mifvif/scheduler"
)

// How often a multipath flow is looked at: at first, while something is under way,
// and in the long run.
const (
	lookSoon  = 50 * time.Millisecond
	lookLater = 2 * time.Second
	lookApart = lookSoon / 2     // between two times that all are gone through
	aloneFor  = 10 * time.Second // a flow without any subflow is reset then
)

// keeper looks after multipath flows: it adds subflows by the domains that each
// flow's decision allows, takes them away with their domains, and ends the flows
// that have none left. One goroutine does that; add, drop and change are safe for
// concurrent use. Without multipath flows it sleeps.
type keeper struct {
	news    chan struct{} // 1: there is a new bundle, or a change for all
	changed atomic.Bool
	alive   atomic.Pointer[aliveFunc]

	mu   sync.Mutex
	kept map[*entry]*bundle
	then time.Time // when they are gone through again, zero while there were none
}

func (k *keeper) init() {
	k.news, k.kept = make(chan struct{}, 1), make(map[*entry]*bundle)
	alive := aliveFunc(func(pvd.Key, netip.Addr) bool { return true })
	k.alive.Store(&alive)
}

// add looks after a bundle from now on.
func (k *keeper) add(b *bundle) {
	b.pause, b.due = lookSoon, time.Now().Add(lookSoon)
	k.mu.Lock()
	k.kept[b.entry] = b
	late := k.then.IsZero() || b.due.Before(k.then)
	k.mu.Unlock()
	if late {
		k.wake()
	}
}

// drop forgets the bundle of a flow that has ended.
func (k *keeper) drop(e *entry) {
	k.mu.Lock()
	b := k.kept[e]
	delete(k.kept, e)
	k.mu.Unlock()
	if b != nil {
		b.end(nil)
	}
}

// change has every bundle looked at because of what has been published.
func (k *keeper) change(alive aliveFunc) {
	k.alive.Store(&alive)
	k.changed.Store(true)
	k.wake()
}

func (k *keeper) wake() {
	select {
	case k.news <- struct{}{}:
	default:
	}
}

// due returns the bundles to be looked at now, all or those whose time has come.
func (k *keeper) due(now time.Time, all bool) []*bundle {
	k.mu.Lock()
	defer k.mu.Unlock()
	var due []*bundle
	for _, b := range k.kept {
		if all || !now.Before(b.due) {
			due = append(due, b)
		}
	}
	return due
}

// next returns when bundles are due again, zero if there are none. Those that are due
// soon after each other are looked at together: of thousands there is always one.
func (k *keeper) next(now time.Time) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.then = time.Time{}
	for _, b := range k.kept {
		if k.then.IsZero() || b.due.Before(k.then) {
			k.then = b.due
		}
	}
	if soonest := now.Add(lookApart); !k.then.IsZero() && k.then.Before(soonest) {
		k.then = soonest
	}
	return k.then
}

// tend looks after the multipath flows until ctx ends.
func (r *Relay) tend(ctx context.Context) error {
	timer := time.NewTimer(lookLater)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.keeper.news:
		case <-timer.C:
		}
		now := time.Now()
		for _, b := range r.keeper.due(now, r.keeper.changed.Swap(false)) {
			before := len(b.legs)
			r.look(b, now, *r.keeper.alive.Load())
			if b.pause = min(2*b.pause, lookLater); len(b.legs) != before {
				b.pause = lookSoon
			}
			b.due = now.Add(b.pause)
		}
		if next := r.keeper.next(time.Now()); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// look brings one bundle up to date.
func (r *Relay) look(b *bundle, now time.Time, alive aliveFunc) {
	if b.plain {
		r.stand(b, alive)
		return
	}
	connected, begun, err := b.up.Subflows()
	switch {
	case !b.up.Whole():
		r.fell(b, alive)
		return
	case err != nil:
		return // closed: its flow ends by itself
	}
	b.see(connected, begun, now)
	d := r.cfg.Scheduler.Review(b.flow)
	if d.MPTCP != scheduler.MultipathOff {
		b.join(&d, alive, now)
	}
	b.part(&d, alive)
	r.place(b, alive)
	b.lone(now)
}

// place has the flow's record say where the flow is now, and tells if that is
// another domain.
func (r *Relay) place(b *bundle, alive aliveFunc) {
	from, source, ok := b.entry.at()
	main := b.main(from)
	if !ok || main == nil {
		return
	}
	if main.connected() && main.on.Key() != from.Key() && r.flows.move(b.entry, main.on, main.ends[0].Local) && r.cfg.News != nil {
		why := nat.MovedRecovery
		if !alive(from.Key(), source.Addr()) {
			why = nat.MovedFailure
		}
		r.cfg.News.Moved(b.entry.asked(), from, main.on, why)
	}
	b.entry.carriedBy(b.subflows())
}

// lone ends a flow that has no subflow and would need one: at once when none is
// under way, else when none comes.
func (b *bundle) lone(now time.Time) {
	connected := false
	for i := range b.legs {
		connected = connected || b.legs[i].connected()
	}
	switch {
	case connected:
		b.alone = time.Time{}
		return
	case b.alone.IsZero():
		b.alone = now
	}
	if !b.holds && (len(b.legs) == 0 || now.Sub(b.alone) >= aloneFor) && !b.up.Finished() {
		b.end(errGroundLost)
	}
}

// fell takes notice of a connection that has become plain TCP after its connect:
// from now on it stands on its first domain, or ends where a rule wants it so.
func (r *Relay) fell(b *bundle, alive aliveFunc) {
	b.plain = true
	b.entry.carriedBy(nil)
	b.entry.unbundle()
	on, _, ok := b.entry.at()
	if !ok {
		return
	}
	r.cfg.Scheduler.FellBack(on.Key(), b.to)
	if b.need == scheduler.MultipathRequire {
		why := &noMultipath{on.Name, errFellBack.Error()}
		r.refused(b.flow, b.entry.asked().Dst, why.Error())
		b.end(why)
		return
	}
	r.stand(b, alive)
}

// stand ends a flow that is plain TCP by now when its domain is gone.
func (r *Relay) stand(b *bundle, alive aliveFunc) {
	if on, source, ok := b.entry.at(); ok && !b.holds && !alive(on.Key(), source.Addr()) {
		b.end(errGroundLost)
	}
}
