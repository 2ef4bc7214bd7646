package stack

import (
	"sync"
	"sync/atomic"
	"testing"
)

// TestNoWakeOfATaskIsLost: whatever was asked for before a wake is done after it.
func TestNoWakeOfATaskIsLost(t *testing.T) {
	const wakers, each = 4, 5000
	var (
		work         task
		pool         workers
		asked, done  atomic.Int64
		inside, both atomic.Int32
		run          func()
	)
	run = func() {
		for {
			if inside.Add(1) > 1 {
				both.Add(1)
			}
			done.Store(asked.Load())
			inside.Add(-1)
			if work.rest() {
				return
			}
		}
	}
	var wg sync.WaitGroup
	for range wakers {
		wg.Go(func() {
			for range each {
				asked.Add(1)
				if work.wake() {
					pool.run(run)
				}
			}
		})
	}
	wg.Wait()
	pool.close()
	if done.Load() != wakers*each || both.Load() > 0 {
		t.Errorf("%d of %d were seen; %d times two ran at once", done.Load(), wakers*each, both.Load())
	}
	if work.end(); work.wake() {
		t.Error("an ended task was started")
	}
}

func TestWorkersAreUsedAgain(t *testing.T) {
	var pool workers
	var wg sync.WaitGroup
	for range 1000 {
		wg.Add(1)
		pool.run(wg.Done)
		wg.Wait()
	}
	pool.mu.Lock()
	idle := len(pool.idle)
	pool.mu.Unlock()
	if idle > 100 {
		t.Errorf("%d goroutines for one piece of work at a time", idle)
	}
	pool.close()
}
