package load

import (
	"context"
	"sync"
	"time"
)

// pool has the task's workers do count pieces of work, at the task's pace and
// within its time, and gathers how it went.
func pool(ctx context.Context, t Task, count int, work func(i int) error) Outcome {
	var mu sync.Mutex
	var out Outcome
	var times []time.Duration
	next := 0
	began := time.Now()
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		over := t.Seconds > 0 && time.Since(began).Seconds() >= t.Seconds
		return next - 1, next <= count && !over && ctx.Err() == nil
	}
	var wg sync.WaitGroup
	for range t.Workers {
		wg.Go(func() {
			for i, ok := take(); ok; i, ok = take() {
				start := time.Now()
				err := work(i)
				took := time.Since(start)
				mu.Lock()
				if err == nil {
					out.Done++
					times = append(times, took)
				} else {
					out.Failed++
					if out.First == "" {
						out.First = err.Error()
					}
				}
				mu.Unlock()
				rest(ctx, t.Pause)
			}
		})
	}
	wg.Wait()
	out.Seconds = time.Since(began).Seconds()
	out.quantiles(times)
	return out
}

// rest waits so many seconds, or until ctx ends.
func rest(ctx context.Context, seconds float64) {
	if seconds <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(seconds * float64(time.Second))):
	}
}
