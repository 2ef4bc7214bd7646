package probe

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"mifvif/pvd"
)

// When a domain is asked again, by what was found last; check.interval of the
// configuration overrides the first and the last.
const (
	whenGood   = 5 * time.Minute
	whenPortal = 10 * time.Second // people want to go on after they have logged in
	whenNone   = 15 * time.Second
	// whenDoubted: what was good is not called bad after one silence.
	whenDoubted = time.Second
)

// patience is how long one validation may take.
const patience = 3 * time.Second

// watcher validates one domain instance, again and again.
type watcher struct {
	*Validator
	key    pvd.Key
	domain atomic.Pointer[pvd.Domain]
	again  chan struct{} // 1: asked for already
	cancel context.CancelFunc
}

func newWatcher(v *Validator, d *pvd.Domain) *watcher {
	w := &watcher{Validator: v, key: d.Key(), again: make(chan struct{}, 1), cancel: func() {}}
	w.domain.Store(d)
	return w
}

// update takes over what the domain says now.
func (w *watcher) update(d *pvd.Domain) {
	if old := w.domain.Swap(d); !alike(old, d) {
		w.hurry()
	}
}

// alike reports whether validation of both would ask the same.
func alike(a, b *pvd.Domain) bool {
	return a.Portal.URI == b.Portal.URI && a.Check == b.Check &&
		(len(a.Resolvers) == 0) == (len(b.Resolvers) == 0) &&
		a.HasDefault(false) == b.HasDefault(false) && a.HasDefault(true) == b.HasDefault(true)
}

func (w *watcher) hurry() {
	select {
	case w.again <- struct{}{}:
	default:
	}
}

func (w *watcher) stop() { w.cancel() }

// run delivers verdicts until ctx ends, each only where it says something new.
func (w *watcher) run(ctx context.Context) {
	var last pvd.Verdict
	doubted := false
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.again:
		case <-timer.C:
		}
		d := w.domain.Load()
		now := w.validate(ctx, d)
		now.API = d.Portal.URI
		if ctx.Err() != nil {
			return
		}
		if doubted = now.Connectivity == pvd.None && last.Connectivity == pvd.Full && !doubted; doubted {
			timer.Reset(whenDoubted)
			continue
		}
		if now != last {
			last = now
			w.cfg.Deliver(w.key, now)
		}
		timer.Reset(pause(d, now.Connectivity))
	}
}

// pause returns how long a verdict is trusted, with a tenth of jitter so that
// many domains do not ask together.
func pause(d *pvd.Domain, found pvd.Connectivity) time.Duration {
	wait := whenGood
	switch found {
	case pvd.Portal:
		wait = whenPortal
	case pvd.None:
		wait = whenNone
	}
	if d.Check.Interval > 0 {
		wait = min(wait, d.Check.Interval)
	}
	return wait - rand.N(wait/10+1)
}
