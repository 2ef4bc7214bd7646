package dhcp

import (
	"context"
	"slices"
	"sync"
)

// maxLinks bounds the links that are worked on at the same time.
const maxLinks = 256

// Links are the links that a source works on. Make them with NewLinks.
type Links[L comparable] struct {
	wake chan struct{} // 1: full means that the links are to be looked at already

	mu  sync.Mutex
	all []L
}

// NewLinks returns a set of none.
func NewLinks[L comparable]() *Links[L] { return &Links[L]{wake: make(chan struct{}, 1)} }

// Watch says on which links to work from now on. Safe for concurrent use; the same
// links again change nothing.
func (l *Links[L]) Watch(links []L) {
	l.mu.Lock()
	l.all = slices.Clone(links[:min(len(links), maxLinks)])
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// worker is the work on one link.
type worker struct {
	stop context.CancelFunc
	gone chan struct{}
}

// Run does work on each link, in a goroutine of its own, until the link is watched
// no longer or ctx ends; it returns nil when all of them have returned.
func (l *Links[L]) Run(ctx context.Context, work func(context.Context, L)) error {
	workers := make(map[L]worker)
	defer func() {
		for _, w := range workers {
			<-w.gone
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.wake:
			l.assign(ctx, workers, work)
		}
	}
}

// assign makes the workers those of the links.
func (l *Links[L]) assign(ctx context.Context, workers map[L]worker, work func(context.Context, L)) {
	l.mu.Lock()
	links := l.all
	l.mu.Unlock()
	for link, w := range workers {
		if !slices.Contains(links, link) {
			w.stop()
			<-w.gone
			delete(workers, link)
		}
	}
	for _, link := range links {
		if _, there := workers[link]; there {
			continue
		}
		ctx, stop := context.WithCancel(ctx)
		w := worker{stop, make(chan struct{})}
		workers[link] = w
		go func() {
			defer close(w.gone)
			defer stop()
			work(ctx, link)
		}()
	}
}
