package load

import (
	"context"
	"sync"
	"time"
)

// pool has workers do count pieces of work and gathers how it went.
func pool(ctx context.Context, workers, count int, work func(i int) error) Outcome {
	var mu sync.Mutex
	var out Outcome
	var times []time.Duration
	next := 0
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1, next <= count && ctx.Err() == nil
	}
	began := time.Now()
	var wg sync.WaitGroup
	for range workers {
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
			}
		})
	}
	wg.Wait()
	out.Seconds = time.Since(began).Seconds()
	out.quantiles(times)
	return out
}
