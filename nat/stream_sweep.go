package nat

import (
	"context"
	"sync"
	"time"

	"mifvif/nat/offload"
)

// lookEvery is how often what the kernel has counted of all streams is looked at.
const lookEvery = time.Second

// Run looks after the streams until ctx ends, then resets all of them.
func (t *Streams) Run(ctx context.Context) error {
	var polling sync.WaitGroup
	polling.Go(func() { t.poller.Run(ctx) })
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	soon := time.NewTimer(hurryEvery)
	defer soon.Stop()
	for {
		select {
		case <-ctx.Done():
			t.close()
			polling.Wait()
			t.ears.close()
			return t.kernel.Close() //nolint:wrapcheck // says what and where
		case <-t.rouse:
			soon.Reset(hurryEvery)
		case <-soon.C:
			if t.hurry() {
				soon.Reset(hurryEvery)
			}
		case <-tick.C:
			if t.count.Load() > 0 {
				t.look()
			}
		}
	}
}

// Settle looks for streams that have ended now, unless that has been done a moment
// ago: somebody wants the room they take.
func (t *Streams) Settle() {
	now := int64(offload.Now())
	if last := t.settled.Load(); t.count.Load() > 0 && now-last > int64(settleEvery) && t.settled.CompareAndSwap(last, now) {
		t.look()
	}
}

const settleEvery = 50 * time.Millisecond

// atATime is how many streams are looked at while SYNs wait: to forget one takes ten
// microseconds.
const atATime = 64

// look finds the streams that have ended, that were answered, and those to forget.
func (t *Streams) look() {
	t.looking.Lock()
	defer t.looking.Unlock()
	clear(t.passed)
	if err := t.kernel.All(func(id uint64, p offload.Traffic) { t.passed[id] = p }); err != nil {
		t.log.Warn("translated flows could not be looked at", "error", err)
		return
	}
	var ended []func()
	t.mu.Lock()
	now, looked := offload.Now(), 0
	for id, p := range t.passed {
		if looked++; looked%atATime == 0 {
			t.mu.Unlock() // others have their turn
			t.mu.Lock()
		}
		s := t.byID[id]
		if s == nil {
			continue
		}
		phase := s.phaseOf(p)
		if !s.answered && phase != opening {
			s.answered = true
			if !s.resent { // else it is not known which of them was answered
				t.learn(s, p.Rx.First-s.began)
			}
		}
		if phase == closed && !s.over {
			ended = append(ended, s.finish(p))
		}
		if now-max(p.Tx.Last, p.Rx.Last, s.began) > phase.idle() || s.over && now-s.since > closedMost {
			ended = append(ended, s.finish(p))
			t.forget(s)
		}
	}
	t.mu.Unlock()
	for _, f := range ended {
		f()
	}
}

// close resets every stream; there are to be no more.
func (t *Streams) close() {
	t.mu.Lock()
	t.closed = true
	all := make([]*Stream, 0, len(t.byID))
	for _, s := range t.byID {
		all = append(all, s)
	}
	t.mu.Unlock()
	for _, s := range all {
		s.Reset()
	}
}
