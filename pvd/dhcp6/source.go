package dhcp6

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"mifvif/pvd"
	"mifvif/pvd/dhcp"
)

// Link is one link to ask on.
type Link struct {
	Index int
	Name  string
	// Trusted: the network may say which resolver knows which names (RFC 6731 4.2).
	Trusted bool
}

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
	links  *dhcp.Links[Link]
	open   func(Link) (*dhcp.Port, error)
}

// New returns a Source that asks on no link yet.
func New(config Config, log *slog.Logger) *Source {
	return &Source{config: config, log: log, links: dhcp.NewLinks[Link](), open: openPort}
}

// Watch says on which links to ask from now on. What was said on a link that is no
// longer there is withdrawn. Safe for concurrent use; the same links again change
// nothing.
func (s *Source) Watch(links []Link) { s.links.Watch(links) }

// Counts returns what was refused so far.
func (s *Source) Counts() Counts {
	return Counts{s.counts.malformed.Load(), s.counts.foreign.Load(), s.counts.objects.Load()}
}

// Run asks until ctx ends.
func (s *Source) Run(ctx context.Context) error { return s.links.Run(ctx, s.work) }

// worker is the work on one link, done by one goroutine.
type worker struct {
	source   *Source
	link     Link
	lastWait time.Duration
	servers  dhcp.Servers
}

// again is when a link that could not be asked on is tried again.
const again = 10 * time.Second

// work asks on a link, and asks again when the answer wants to be refreshed.
func (s *Source) work(ctx context.Context, link Link) {
	w := &worker{
		source: s, link: link, lastWait: lastWait,
		servers: dhcp.Servers{Origin: pvd.FromDHCPv6, Ifindex: link.Index, Deliver: s.config.Deliver},
	}
	defer w.servers.Keep()
	for dhcp.Pause(ctx, rand.N(maxDelay)) {
		var answered []netip.Addr
		next := again
		if w.ask(ctx, func(r *Reply, server netip.Addr) {
			next = w.hear(r, server, next, len(answered) == 0)
			answered = append(answered, server)
		}) {
			w.servers.Keep(answered...)
		}
		if next == never {
			<-ctx.Done()
		} else if !dhcp.Pause(ctx, next) {
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
	if w.servers.Say(report) {
		w.source.log.Info("a DHCPv6 server has answered", "interface", w.link.Name, "server", server)
	}
	if d := r.Refresh(); first || next == never || d != never && d < next {
		return d
	}
	return next
}
