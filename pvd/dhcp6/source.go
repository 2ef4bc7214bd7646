package dhcp6

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mifvif/pvd"
)

// Link is one link to ask on.
type Link struct {
	Index int
	Name  string
	// Trusted: the network may say which resolver knows which names (RFC 6731 4.2).
	Trusted bool
}

// maxLinks bounds the links that are asked at the same time.
const maxLinks = 256

// Config is what a Source needs.
type Config struct {
	// Deliver takes every report, from a goroutine of the source's; it must not
	// block.
	Deliver func(pvd.Report)
}

// Counts is what a source has refused.
type Counts struct {
	Malformed uint64 // packets that are no reply of a server
	Foreign   uint64 // replies to others, or to no question at all
	Objects   uint64 // parts of replies that cannot be true
}

// Source asks DHCPv6 servers. Make one with New.
type Source struct {
	config Config
	log    *slog.Logger
	counts struct{ malformed, foreign, objects atomic.Uint64 }
	open   func(Link) (*port, error)
	wake   chan struct{} // 1: full means that the links are to be looked at already

	mu    sync.Mutex
	links []Link
}

// New returns a Source that asks on no link yet.
func New(config Config, log *slog.Logger) *Source {
	return &Source{config: config, log: log, open: openPort, wake: make(chan struct{}, 1)}
}

// Watch says on which links to ask from now on. What was said on a link that is no
// longer there is withdrawn. Safe for concurrent use; the same links again change
// nothing.
func (s *Source) Watch(links []Link) {
	s.mu.Lock()
	s.links = slices.Clone(links[:min(len(links), maxLinks)])
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Counts returns what was refused so far.
func (s *Source) Counts() Counts {
	return Counts{s.counts.malformed.Load(), s.counts.foreign.Load(), s.counts.objects.Load()}
}

// Run asks until ctx ends.
func (s *Source) Run(ctx context.Context) error {
	workers := make(map[Link]*worker)
	defer func() {
		for _, w := range workers {
			w.stop()
			<-w.gone
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
			s.assign(ctx, workers)
		}
	}
}

// assign makes the workers those of the links.
func (s *Source) assign(ctx context.Context, workers map[Link]*worker) {
	s.mu.Lock()
	links := s.links
	s.mu.Unlock()
	for l, w := range workers {
		if !slices.Contains(links, l) {
			w.stop()
			<-w.gone
			delete(workers, l)
		}
	}
	for _, l := range links {
		if workers[l] == nil {
			workers[l] = s.start(ctx, l)
		}
	}
}

// worker is the work on one link, done by one goroutine.
type worker struct {
	source   *Source
	link     Link
	lastWait time.Duration
	servers  []netip.Addr // those whose reports are in force
	stop     context.CancelFunc
	gone     chan struct{}
}

func (s *Source) start(ctx context.Context, link Link) *worker {
	ctx, stop := context.WithCancel(ctx)
	w := &worker{source: s, link: link, lastWait: lastWait, stop: stop, gone: make(chan struct{})}
	go w.run(ctx)
	return w
}

// again is when a link that could not be asked on is tried again.
const again = 10 * time.Second

// run asks, and asks again when the answer wants to be refreshed.
func (w *worker) run(ctx context.Context) {
	defer close(w.gone)
	defer w.withdraw()
	for pause(ctx, rand.N(maxDelay)) {
		var answered []netip.Addr
		next := again
		if w.ask(ctx, func(r *Reply, server netip.Addr) {
			next = w.hear(r, server, next, len(answered) == 0)
			answered = append(answered, server)
		}) {
			w.keepOnly(answered...)
		}
		if next == never {
			<-ctx.Done()
		} else if !pause(ctx, next) {
			return
		}
	}
}

// hear hands on what one server says and returns when to ask again: when the
// first that wants it does.
func (w *worker) hear(r *Reply, server netip.Addr, next time.Duration, first bool) time.Duration {
	if d, set := r.MaxWait(); set {
		w.lastWait = d
	}
	report, refused := r.Report(w.link, server, time.Now())
	w.source.counts.objects.Add(uint64(refused))
	if !slices.Contains(w.servers, server) {
		w.servers = append(w.servers, server)
		w.source.log.Info("a DHCPv6 server has answered", "interface", w.link.Name, "server", server)
	}
	w.source.config.Deliver(report)
	if d := r.Refresh(); first || next == never || d != never && d < next {
		return d
	}
	return next
}

// withdraw takes back what the last reports said.
func (w *worker) withdraw() { w.keepOnly() }

// keepOnly takes back what servers said that are none of these.
func (w *worker) keepOnly(servers ...netip.Addr) {
	w.servers = slices.DeleteFunc(w.servers, func(s netip.Addr) bool {
		if slices.Contains(servers, s) {
			return false
		}
		now := time.Now()
		w.source.config.Deliver(pvd.Report{Origin: pvd.FromDHCPv6, Ifindex: w.link.Index, Sender: s, Received: now, Until: now})
		return true
	})
}
