package stack

import "sync"

// idleWorkers bounds the goroutines that are kept for the next piece of work.
const idleWorkers = 256

// workers run short pieces of work in goroutines that are used again: a new one
// grows its stack by copying it several times, which is a tenth of what a short
// connection costs. The zero value is ready; safe for concurrent use.
type workers struct {
	mu      sync.Mutex
	idle    []chan func() // the last one to rest is the first to work
	closed  bool
	running sync.WaitGroup
}

// run has a goroutine call work.
func (w *workers) run(work func()) {
	w.mu.Lock()
	if n := len(w.idle); n > 0 {
		next := w.idle[n-1]
		w.idle = w.idle[:n-1]
		w.mu.Unlock()
		next <- work
		return
	}
	w.mu.Unlock()
	w.running.Go(func() { w.work(work) })
}

// work runs one piece after the other until nobody wants another.
func (w *workers) work(work func()) {
	next := make(chan func(), 1)
	for work != nil {
		work()
		if !w.rest(next) {
			return
		}
		work = <-next
	}
}

// rest offers a goroutine for more, or reports that there are enough.
func (w *workers) rest(next chan func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.idle) >= idleWorkers {
		return false
	}
	w.idle = append(w.idle, next)
	return true
}

// close ends the goroutines when they have done their work. Nothing may be run
// any more.
func (w *workers) close() {
	w.mu.Lock()
	w.closed = true
	for _, next := range w.idle {
		next <- nil
	}
	w.idle = nil
	w.mu.Unlock()
	w.running.Wait()
}
