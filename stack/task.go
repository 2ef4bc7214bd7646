package stack

import "sync/atomic"

// task is work that runs in at most one goroutine at a time, and once more when
// it was woken meanwhile. The zero value rests. Safe for concurrent use.
type task struct{ state atomic.Int32 }

const (
	taskRests int32 = iota
	taskRuns
	taskAgain // it runs, and has to look once more
	taskOver
)

// wake reports whether the caller has to start the work.
func (t *task) wake() bool {
	for {
		switch state := t.state.Load(); state {
		case taskRests:
			if t.state.CompareAndSwap(state, taskRuns) {
				return true
			}
		case taskRuns:
			if t.state.CompareAndSwap(state, taskAgain) {
				return false
			}
		default:
			return false
		}
	}
}

// rest reports whether the work may stop for now; otherwise it was woken while
// it ran and looks again.
func (t *task) rest() bool {
	if t.state.CompareAndSwap(taskRuns, taskRests) {
		return true
	}
	t.state.Store(taskRuns)
	return false
}

// end lets the work never start again.
func (t *task) end() { t.state.Store(taskOver) }
