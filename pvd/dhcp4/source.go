package dhcp4

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"mifvif/pvd"
	"mifvif/pvd/dhcp"
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
	links  *dhcp.Links[Link]
	open   func(Link) (*dhcp.Port, error)
	inUse  func(context.Context, Link, netip.Addr) (bool, error)

	mu   sync.Mutex
	last map[string]netip.Addr // the last lease by interface, asked for again
}

// New returns a Source that works on no link yet.
func New(config Config, log *slog.Logger) *Source {
	return &Source{config: config, log: log, links: dhcp.NewLinks[Link](), open: openPort, inUse: inUse, last: make(map[string]netip.Addr)}
}

// Watch says on which links to work from now on. What was said on a link that is
// no longer there is withdrawn, its lease given back. Safe for concurrent use;
// the same links again change nothing.
func (s *Source) Watch(links []Link) {
	links = slices.Clone(links)
	for i := range links {
		if links[i].Mode == Client {
			links[i].Address, links[i].Attached = netip.Prefix{}, 0
		}
	}
	s.links.Watch(links)
}

// Counts returns what was refused so far.
func (s *Source) Counts() Counts {
	return Counts{s.counts.malformed.Load(), s.counts.foreign.Load(), s.counts.lying.Load(), s.counts.objects.Load()}
}

// Run works until ctx ends; leases are given back before it returns.
func (s *Source) Run(ctx context.Context) error { return s.links.Run(ctx, s.work) }

// worker is the work on one link, done by one goroutine.
type worker struct {
	source    *Source
	link      Link
	neighbour [6]byte // hardware address by which the lease's server is reached
	servers   dhcp.Servers
}

func (s *Source) work(ctx context.Context, link Link) {
	w := &worker{source: s, link: link, servers: dhcp.Servers{Origin: pvd.FromDHCPv4, Ifindex: link.Index, Deliver: s.config.Deliver}}
	defer w.servers.Keep()
	if link.Mode == Client {
		w.client(ctx)
	} else {
		w.inform(ctx)
	}
}

// deliver hands a report on.
func (w *worker) deliver(r pvd.Report) {
	if w.servers.Say(r) {
		w.source.log.Info("a DHCPv4 server has answered", "interface", w.link.Name, "server", r.Sender)
	}
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
