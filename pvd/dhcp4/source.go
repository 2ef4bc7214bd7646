package dhcp4

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mifvif/pvd"
)

// Mode is what is done on a link.
type Mode uint8

// The modes there are.
const (
	Inform Mode = iota // another client owns the address
	Client             // mifvif is the client
)

// Link is one link to work on.
type Link struct {
	Index int
	Name  string
	MTU   int // bytes
	Mode  Mode
	// Address is that of the interface which another client got, with its prefix
	// length; of Inform only.
	Address netip.Prefix
	// Attached tells one attachment to a network from the next; of Inform only.
	Attached uint64
	// Trusted: the network may say which resolver knows which names (RFC 6731 4.3).
	Trusted bool
	// V6Only: the host can do without IPv4 there (RFC 8925 3.2); of Client only.
	V6Only bool
}

// maxLinks bounds the links that are worked on at the same time.
const maxLinks = 256

// Config is what a Source needs.
type Config struct {
	// Deliver takes every report, from a goroutine of the source's; it must not
	// block.
	Deliver func(pvd.Report)
}

// Counts is what a source has refused.
type Counts struct {
	Malformed uint64 // packets that are no answer of a server
	Foreign   uint64 // answers to others, or to no question at all
	Lying     uint64 // answers that contradict the question
	Objects   uint64 // parts of answers that cannot be true
}

// Source asks DHCPv4 servers. Make one with New.
type Source struct {
	config Config
	log    *slog.Logger
	counts struct{ malformed, foreign, lying, objects atomic.Uint64 }
	open   func(Link) (*port, error)
	inUse  func(context.Context, Link, netip.Addr) (bool, error)
	wake   chan struct{} // 1: full means that the links are to be looked at already

	mu    sync.Mutex
	links []Link
	last  map[string]netip.Addr // the last lease by interface, asked for again
}

// New returns a Source that works on no link yet.
func New(config Config, log *slog.Logger) *Source {
	return &Source{config: config, log: log, open: openPort, inUse: inUse, wake: make(chan struct{}, 1), last: make(map[string]netip.Addr)}
}

// Watch says on which links to work from now on. What was said on a link that is
// no longer there is withdrawn, its lease given back. Safe for concurrent use;
// the same links again change nothing.
func (s *Source) Watch(links []Link) {
	links = slices.Clone(links[:min(len(links), maxLinks)])
	for i := range links {
		if links[i].Mode == Client {
			links[i].Address, links[i].Attached = netip.Prefix{}, 0
		}
	}
	s.mu.Lock()
	s.links = links
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Counts returns what was refused so far.
func (s *Source) Counts() Counts {
	return Counts{s.counts.malformed.Load(), s.counts.foreign.Load(), s.counts.lying.Load(), s.counts.objects.Load()}
}

// Run works until ctx ends; leases are given back before it returns.
func (s *Source) Run(ctx context.Context) error {
	workers := make(map[int]*worker)
	defer func() {
		for _, w := range workers {
			w.stop()
		}
		for _, w := range workers {
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
func (s *Source) assign(ctx context.Context, workers map[int]*worker) {
	s.mu.Lock()
	links := s.links
	s.mu.Unlock()
	wanted := make(map[int]Link, len(links))
	for _, l := range links {
		wanted[l.Index] = l
	}
	for index, w := range workers {
		if l, ok := wanted[index]; !ok || l != w.link {
			w.stop()
			<-w.gone
			delete(workers, index)
		}
	}
	for index, l := range wanted {
		if workers[index] == nil {
			workers[index] = s.start(ctx, l)
		}
	}
}

// worker is the work on one link, done by one goroutine.
type worker struct {
	source    *Source
	link      Link
	neighbour [6]byte      // hardware address by which the lease's server is reached
	servers   []netip.Addr // those whose reports are in force
	stop      context.CancelFunc
	gone      chan struct{}
}

func (s *Source) start(ctx context.Context, link Link) *worker {
	ctx, stop := context.WithCancel(ctx)
	w := &worker{source: s, link: link, stop: stop, gone: make(chan struct{})}
	go w.run(ctx)
	return w
}

func (w *worker) run(ctx context.Context) {
	defer close(w.gone)
	defer w.withdraw()
	if w.link.Mode == Client {
		w.client(ctx)
	} else {
		w.inform(ctx)
	}
}

// deliver hands a report on.
func (w *worker) deliver(r pvd.Report) {
	if !slices.Contains(w.servers, r.Sender) {
		w.servers = append(w.servers, r.Sender)
		w.source.log.Info("a DHCPv4 server has answered", "interface", w.link.Name, "server", r.Sender)
	}
	w.source.config.Deliver(r)
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
		w.source.config.Deliver(pvd.Report{Origin: pvd.FromDHCPv4, Ifindex: w.link.Index, Sender: s, Received: now, Until: now})
		return true
	})
}

// unusable says why nothing can be asked on the link.
func (w *worker) unusable(err error) {
	w.source.log.Debug("no DHCPv4 here", "interface", w.link.Name, "error", err)
}

// maxRemembered bounds the leases of interfaces that come and go.
const maxRemembered = 64

func (s *Source) remember(name string, addr netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.last[name]; known || len(s.last) < maxRemembered {
		s.last[name] = addr
	}
}

// forget has the next lease of an interface be another address.
func (s *Source) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.last, name)
}

func (s *Source) remembered(name string) netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[name]
}
