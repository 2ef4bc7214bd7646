package stack

import (
	"sync"
	"time"
)

// delay is how long an acknowledgment waits at least; twice that at most (RFC
// 9293 3.8.6.3: less than half a second). It is the kernel's own: a shorter one
// is not worth its timer, as the kernel sets one for every wait that is near.
const delay = 40 * time.Millisecond

// tardy is the outlets that keep an acknowledgment, with one timer for all of
// them that runs only while there are some. Safe for concurrent use.
type tardy struct {
	mu      sync.Mutex
	timer   *time.Timer
	ticks   uint32
	waits   []*outlet // for the next tick, then they are due
	due     []*outlet
	armed   bool
	closed  bool
	ticking sync.WaitGroup // while armed
}

// add has o flushed after the delay, and returns the tick it is now. It is called
// under o.mu.
func (t *tardy) add(o *outlet) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if o.listed || t.closed {
		return t.ticks
	}
	o.listed = true
	t.waits = append(t.waits, o)
	if t.armed {
		return t.ticks
	}
	t.arm()
	return t.ticks
}

// arm sets the timer for the next tick. It is called under mu.
func (t *tardy) arm() {
	t.armed = true
	t.ticking.Add(1)
	if t.timer == nil {
		t.timer = time.AfterFunc(delay, t.tick)
		return
	}
	t.timer.Reset(delay)
}

// tick flushes what is due. Holding mu all the while would turn the order of
// locks round, so the list changes hands.
func (t *tardy) tick() {
	defer t.ticking.Done()
	t.mu.Lock()
	t.ticks++
	now, due := t.ticks, t.due
	t.due, t.waits = t.waits, nil
	if t.armed = false; len(t.due) > 0 && !t.closed {
		t.arm()
	}
	t.mu.Unlock()
	for _, o := range due {
		o.expire(now)
	}
}

// expire sends an acknowledgment that has waited for long enough: no answer came,
// and the next ones do not wait for one. One that was kept a moment ago waits on.
func (o *outlet) expire(now uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.listed = false
	switch {
	case o.kept == nil || o.last:
	case now-o.tick < 2:
		o.link.tardy.add(o)
	default:
		o.turns = 0
		o.flush()
	}
}

// close ends the timer, and returns when no tick is under way; what is kept is not
// sent any more.
func (t *tardy) close() {
	t.mu.Lock()
	t.closed = true
	if t.armed && t.timer.Stop() {
		t.ticking.Done()
	}
	t.mu.Unlock()
	t.ticking.Wait()
}
