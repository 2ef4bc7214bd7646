package nat

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"mifvif/flow"
	"mifvif/packet"
	"mifvif/pvd"
)

// sweepEvery is how often idle bindings are looked for.
const sweepEvery = 5 * time.Second

// Run ends idle bindings until ctx ends, then all of them, and returns when
// the receiving goroutine has.
func (t *Table) Run(ctx context.Context) error {
	var polling sync.WaitGroup
	polling.Go(func() { t.poller.Run(ctx) })
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			t.close()
			polling.Wait()
			return nil
		case <-tick.C:
			t.sweep()
		}
	}
}

// sweep ends the bindings that have been idle for too long.
func (t *Table) sweep() {
	at := t.now()
	now := t.since(at)
	t.mu.Lock()
	defer t.mu.Unlock()
	for b := range t.bindings {
		b.review(at)
		if time.Duration(now-b.used.Load()) > b.idle() {
			t.end(b)
		}
	}
}

func (t *Table) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for b := range t.bindings {
		t.end(b)
	}
}

// EndApp ends the bindings of one app side for good: it is no more.
func (t *Table) EndApp(app netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for b := range t.bindings {
		if b.app.app.Addr() == app {
			t.end(b)
		}
	}
}

// Retire ends the bindings of domain instances and source addresses that alive
// denies. The next packet of their app sockets finds no binding and gets a new
// decision; those whose rule says so are told by an ICMP error, those that hold
// are kept.
func (t *Table) Retire(alive func(domain pvd.Key, source netip.Addr) bool) {
	t.mu.Lock()
	var told []*binding
	for b := range t.bindings {
		if b.choice.Hold || alive(b.choice.Domain.Key(), b.choice.Source) {
			continue
		}
		if !b.choice.Tell {
			t.depart(b, MovedFailure)
			continue
		}
		t.end(b)
		if b.app.proto == flow.UDP {
			told = append(told, b)
		}
	}
	t.mu.Unlock()
	for _, b := range told {
		dst := b.called()
		i := packet.Info{Src: b.app.app.Addr(), Dst: dst.Addr(), SrcPort: b.app.app.Port(), DstPort: dst.Port(), TTL: 64}
		t.Refuse(packet.AppendUDP(nil, i, 0), packet.HostUnreachable)
	}
}

// Record is one binding as people see it.
type Record struct {
	ID                  uint64
	Flow                flow.Flow // to the last destination
	Domain              *pvd.Domain
	Source              netip.AddrPort // where the network sees the app
	Rule, Actor, Reason string
	Started             time.Time
	TxBytes, RxBytes    uint64
	Offloaded           bool // the kernel translates what goes to that destination
}

// Flows returns the live bindings in no particular order.
func (t *Table) Flows() []Record {
	t.mu.Lock()
	bindings := make([]*binding, 0, len(t.bindings))
	for b := range t.bindings {
		bindings = append(bindings, b)
	}
	t.mu.Unlock()
	records := make([]Record, 0, len(bindings))
	for _, b := range bindings {
		records = append(records, b.record())
	}
	return records
}

// record returns the binding as it stands.
func (b *binding) record() Record {
	source := b.sock.src
	if b.hub != nil {
		source = netip.AddrPortFrom(source.Addr(), b.ident)
	}
	tx, rx, short := b.carried()
	return Record{
		ID: b.id, Flow: flow.Flow{Proto: b.app.proto, Src: b.app.app, Dst: b.called(), DSCP: b.dscp},
		Domain: b.choice.Domain, Source: source,
		Rule: b.choice.Rule, Actor: b.choice.Actor, Reason: b.choice.Reason,
		Started: b.began, TxBytes: tx, RxBytes: rx, Offloaded: short,
	}
}

// stats counts what was not carried.
type stats struct {
	checksum, malformed, full, evicted, queueFull, appFull, tooBig, unreachable, errors, limited atomic.Uint64
}

// Stats returns how many packets or bindings met which end, by reason.
func (t *Table) Stats() map[string]uint64 {
	return map[string]uint64{
		"udp_checksum": t.stats.checksum.Load(), "udp_malformed": t.stats.malformed.Load(),
		"bindings_full": t.stats.full.Load(), "bindings_evicted": t.stats.evicted.Load(),
		"uplink_queue_full": t.stats.queueFull.Load(), "mif0_queue_full": t.stats.appFull.Load(),
		"uplink_receive_full": t.inbox.full.Load(),
		"too_big":             t.stats.tooBig.Load(), "unreachable": t.stats.unreachable.Load(),
		"icmp_errors": t.stats.errors.Load(), "icmp_errors_limited": t.stats.limited.Load(),
	}
}

// Rates of the ICMP errors to apps: of those that we make, and of those that a network
// sends about one flow, which must not take away from another what its path cannot do.
const (
	errorRate     = 2000 // a second
	errorBurst    = 500
	flowErrorRate = 100
)

// limiter is a token bucket.
type limiter struct {
	mu     sync.Mutex
	rate   float64
	burst  float64
	tokens float64
	last   time.Time
}

func (l *limiter) init(rate, burst float64) { l.rate, l.burst, l.tokens = rate, burst, burst }

// allow takes one token if there is one.
func (l *limiter) allow(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.last.IsZero() {
		l.tokens = min(l.burst, l.tokens+now.Sub(l.last).Seconds()*l.rate)
	}
	l.last = now
	if l.tokens < 1 {
		return false
	}
	l.tokens--
	return true
}
