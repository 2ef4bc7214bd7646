package ra

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mifvif/netwatch"
	"mifvif/pvd"
)

// retryAfter is how long a link is left alone on which listening failed; it may
// just be going away.
const retryAfter = 5 * time.Second

// Config is what a Source needs.
type Config struct {
	// Deliver takes every report. It is called from one goroutine for each link,
	// so at the same time by several, and must not block: a link whose reports
	// are not taken is not heard.
	Deliver func(pvd.Report)
}

// Source hears the router advertisements of many links. Make one with New.
type Source struct {
	config Config
	log    *slog.Logger
	listen func(netwatch.Link) (endpoint, error)
	wanted atomic.Pointer[[]netwatch.Link]
	wake   chan struct{} // 1: full means that Run looks at wanted anyway
	count  counters
}

// Counters say what became of the messages so far.
type Counters struct {
	Heard   uint64 // that arrived
	Invalid uint64 // that a host must drop
	Limited uint64 // beyond what a router, or strangers, may say
	Evicted uint64 // routers that made room for others
}

type counters struct{ heard, invalid, limited, evicted atomic.Uint64 }

// New returns a Source that listens nowhere yet; it starts nothing.
func New(config Config, log *slog.Logger) *Source {
	return &Source{config: config, log: log, listen: listen, wake: make(chan struct{}, 1)}
}

// Watch says on which links to listen from now on. A link that was not among
// them at the call before is asked for its routers; those of the first call, which
// did not come up just now, at once. Safe for concurrent use.
func (s *Source) Watch(links ...netwatch.Link) {
	links = slices.Clone(links)
	s.wanted.Store(&links)
	s.poke()
}

// poke has Run look again.
func (s *Source) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Counters returns the counts so far. Safe for concurrent use.
func (s *Source) Counters() Counters {
	return Counters{
		Heard: s.count.heard.Load(), Invalid: s.count.invalid.Load(),
		Limited: s.count.limited.Load(), Evicted: s.count.evicted.Load(),
	}
}

// Run listens until ctx ends; then it returns nil, with every goroutine joined.
// It opens its sockets in the network namespace of the calling thread.
func (s *Source) Run(ctx context.Context) error {
	var joined sync.WaitGroup
	defer joined.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	heard := make(map[place]*hearing)
	delay := time.Duration(0)
	for {
		if s.wanted.Load() != nil {
			s.reconcile(ctx, heard, delay, &joined)
			delay = solicitationDelay
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		}
	}
}

// place is what a socket depends on; when it changes another is opened.
type place struct {
	index, mtu int
	name       string
}

// hearing is a link that is listened to.
type hearing struct {
	stop func()
	done chan struct{} // closed when it has ended, by stop or by itself
}

func (h *hearing) over() bool {
	select {
	case <-h.done:
		return true
	default:
		return false
	}
}

// reconcile ends what is not wanted any more and starts what is, asking routers
// after a random part of delay.
func (s *Source) reconcile(ctx context.Context, heard map[place]*hearing, delay time.Duration, joined *sync.WaitGroup) {
	wanted := make(map[place]netwatch.Link)
	for _, l := range *s.wanted.Load() {
		wanted[place{l.Index, l.MTU, l.Name}] = l
	}
	for at, h := range heard {
		if _, still := wanted[at]; !still || h.over() {
			h.stop()
			<-h.done
			delete(heard, at)
		}
	}
	for at, link := range wanted {
		if heard[at] == nil {
			heard[at] = s.start(ctx, link, delay, joined)
		}
	}
}

// start listens on a link. When that fails, or ends by itself, it is over after a
// while, and reconcile starts anew.
func (s *Source) start(ctx context.Context, link netwatch.Link, delay time.Duration, joined *sync.WaitGroup) *hearing {
	ctx, stop := context.WithCancel(ctx)
	h := &hearing{stop: stop, done: make(chan struct{})}
	endpoint, err := s.listen(link)
	joined.Go(func() {
		defer s.poke()
		defer close(h.done)
		if err == nil {
			err = newListener(link, endpoint, s).run(ctx, delay)
		}
		if ctx.Err() != nil {
			return
		}
		s.log.Debug("router advertisements are not heard", "interface", link.Name, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(retryAfter):
		}
	})
	return h
}
