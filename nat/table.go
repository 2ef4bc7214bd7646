package nat

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"mifvif/flow"
	"mifvif/packet"
	"mifvif/poll"
	"mifvif/pvd"
	"mifvif/quota"
	"mifvif/tun"
)

// Writer takes packets for the apps; *tun.Device is one. It must be safe for
// concurrent use and must not keep the slices.
type Writer interface {
	Write(h tun.Header, bufs ...[]byte) error
}

// Opener makes sockets that can only use one domain; *uplinks.Set is one. The
// descriptors do not block and the Table closes them.
type Opener interface {
	OpenUDP(d *pvd.Domain, src netip.Addr) (fd int, err error)
	OpenICMP(d *pvd.Domain, src netip.Addr) (fd int, err error)
}

// Config bounds a Table.
type Config struct {
	Max       int     // bindings (limits.udp_flows)
	MTU       int     // of mif0, bytes: what is longer goes to apps in fragments; 0: nothing is
	PerSource float64 // share of Max that one holder may have, 0 < x <= 1
	// Holder says whom a flow's binding is for; without ask it may answer with the
	// zero Holder. nil: each source address is a host.
	Holder func(f flow.Flow, ask bool) quota.Holder
	// Owner says whose a flow of this host is, as far as decisions depend on it.
	// Both may take the time of a few system calls. nil: on nobody.
	Owner func(f flow.Flow) flow.Owner
	// Moved is told of an app socket whose binding was ended when it gets the next
	// one on another domain. It must not block or call the Table; nil: nobody is.
	Moved func(f flow.Flow, from, to *pvd.Domain, why string)
	// Kernel translates what keeps going to one destination; nil: nothing is. It is
	// closed by somebody else.
	Kernel Kernel
	// Ended is told what a binding was when it ends. It must not block or call the
	// Table; nil: nobody is.
	Ended func(Record)
}

// Choice is a decision as far as a binding needs to know it.
type Choice struct {
	Domain *pvd.Domain
	Source netip.Addr
	// PerDestination: the binding serves this destination only.
	PerDestination bool
	// Real is where packets to the destination go in truth, of the domain's
	// family; the zero Addr: where they say. What comes back from there comes
	// from the destination as far as the app can see.
	Real netip.Addr
	// Direct: the kernel may translate what keeps going to one destination.
	Direct bool
	// Hold keeps the binding when its domain dies; Tell sends the app an ICMP
	// error then. Otherwise the next packet is decided anew.
	Hold, Tell          bool
	Rule, Actor, Reason string
	// Owner is whose socket the decision was made for, zero if nobody has asked.
	Owner flow.Owner
}

// ErrFull says that a table or a source's share of it is used up by bindings in
// use.
var ErrFull = errors.New("no room for another binding")

// Table holds the bindings. Forward, Bind and Flush belong to the goroutine that
// reads mif0; every other method is safe for concurrent use.
type Table struct {
	cfg  Config
	out  Writer
	open Opener
	log  *slog.Logger
	now  func() time.Time
	made time.Time

	mu       sync.Mutex
	bindings map[*binding]struct{}
	mapped   map[mapKey]*binding // one per app socket and domain
	byApp    map[appKey]*binding // decided for the whole app socket
	byPeer   map[peerKey]*binding
	shares   *quota.Shares
	hubs     map[hubKey]*hub
	departed map[appKey]departure
	barred   bool // see Keep
	closed   bool

	sender  sender
	poller  *poll.Poller // of all sockets
	inbox   *inbox       // of the poller's goroutine
	single  atomic.Bool  // mif0 takes datagrams one by one only
	limiter limiter
	stats   stats
	nextID  atomic.Uint64
	cutters sync.Pool
	// datagrams numbers what goes to apps, so that no two that somebody has to cut have
	// one number (RFC 6864 4.3, RFC 8200 4.5).
	datagrams atomic.Uint32
}

// appKey is an app's socket: for ICMP the port is the echo identifier.
type appKey struct {
	proto flow.Proto
	app   netip.AddrPort
}

// peerKey is an app's socket towards one destination.
type peerKey struct {
	appKey
	dst netip.AddrPort
}

// mapKey is an app's socket on one domain instance.
type mapKey struct {
	appKey
	domain pvd.Key
}

// New checks cfg and allocates; it starts nothing.
func New(cfg Config, out Writer, open Opener, log *slog.Logger) (*Table, error) {
	if cfg.Max < 1 || cfg.PerSource <= 0 || cfg.PerSource > 1 {
		return nil, fmt.Errorf("limits: udp_flows %d must be at least 1 and per_source %g in (0, 1]", cfg.Max, cfg.PerSource)
	}
	t := &Table{
		cfg: cfg, out: out, open: open, log: log, now: time.Now, made: time.Now(),
		bindings: make(map[*binding]struct{}), mapped: make(map[mapKey]*binding),
		byApp: make(map[appKey]*binding), byPeer: make(map[peerKey]*binding),
		shares: quota.New(cfg.Max, cfg.PerSource), hubs: make(map[hubKey]*hub), departed: make(map[appKey]departure), inbox: newInbox(),
	}
	if t.cfg.Holder == nil {
		t.cfg.Holder = func(f flow.Flow, _ bool) quota.Holder { return quota.Host(f.Src.Addr()) }
	}
	var err error
	if t.poller, err = poll.New(); err != nil {
		return nil, err //nolint:wrapcheck // says what and where
	}
	t.cutters.New = func() any { return new(cutter) }
	t.datagrams.Store(rand.Uint32())
	t.sender.init(t)
	t.limiter.init(errorRate, errorBurst)
	return t, nil
}

// Forward sends one packet on through its binding at the end of the batch; it
// returns false when there is none and a decision is needed. named says that
// the packet's destination has decisions of its own. data stays untouched until
// Flush. It does not allocate.
func (t *Table) Forward(h tun.Header, info *packet.Info, data []byte, named bool) bool {
	b := t.find(info, named)
	if b == nil {
		return false
	}
	if !sound(h, info, data) {
		t.stats.checksum.Add(1)
		return true
	}
	now := t.now()
	if b.choice.Owner.Known && t.cfg.Owner != nil && now.Sub(b.checked) >= recheckEvery && t.handedOver(b, info, now) {
		return false
	}
	b.used.Store(t.since(now))
	t.sender.queue(b, h, info, data)
	return true
}

// since restates a time as nanoseconds since the table was made. Unlike those since
// 1970 they do not jump when somebody sets the clock.
func (t *Table) since(now time.Time) int64 { return int64(now.Sub(t.made)) }

// find returns the binding of a packet, nil if there is none.
func (t *Table) find(info *packet.Info, named bool) *binding {
	app := appKey{flow.Proto(info.Proto), netip.AddrPortFrom(info.Src, info.SrcPort)}
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.byApp[app]
	if named {
		b = t.byPeer[peerKey{app, netip.AddrPortFrom(info.Dst, info.DstPort)}]
	}
	if b != nil && b.real(info.Dst).Is6() != b.choice.Source.Is6() {
		return nil // over NAT64, and it is not known yet what stands for this destination
	}
	return b
}

// sound reports whether the packet's transport checksum holds. The kernel
// vouches for its own.
func sound(h tun.Header, info *packet.Info, data []byte) bool {
	switch {
	case h.NeedsChecksum || h.ChecksumValid:
		return true
	case flow.Proto(info.Proto) == flow.UDP:
		return packet.UDPSound(info, data)
	}
	return packet.ICMPSound(info, data)
}

// Bind makes the binding that f's next packets use, or lets them share the one
// its app socket has on that domain already.
func (t *Table) Bind(f flow.Flow, c Choice) error {
	app := appKey{f.Proto, f.Src}
	b, err := t.mapping(app, f, c)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if b.gone {
		return fmt.Errorf("bind %s: %w", f, os.ErrClosed)
	}
	b.translate(f.Dst.Addr(), c.Real)
	if c.PerDestination {
		k := peerKey{app, f.Dst}
		if t.byPeer[k] == nil {
			b.peers = append(b.peers, k)
		}
		t.byPeer[k] = b
		return nil
	}
	t.byApp[app] = b
	return nil
}

// mapping returns the app socket's binding on the chosen domain.
func (t *Table) mapping(app appKey, f flow.Flow, c Choice) (*binding, error) {
	k := mapKey{app, c.Domain.Key()}
	t.mu.Lock()
	b := t.mapped[k]
	ask := t.shares.Asks()
	t.mu.Unlock()
	if b != nil && len(b.peers) < maxPeers {
		return b, nil
	}
	holder := t.cfg.Holder(f, ask)
	t.mu.Lock()
	fits := t.room(holder)
	t.mu.Unlock()
	if !fits {
		t.stats.full.Add(1)
		return nil, fmt.Errorf("bind %s: %w", f, ErrFull)
	}
	b, err := t.opened(app, f, c, holder)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		t.end(b)
		return nil, fmt.Errorf("bind %s: %w", f, os.ErrClosed)
	}
	t.bindings[b], t.mapped[k] = struct{}{}, b
	b.holder = holder
	t.shares.Take(holder)
	b.listed = true
	if err := b.start(); err != nil {
		t.end(b)
		return nil, fmt.Errorf("bind %s: %w", f, err)
	}
	t.arrive(b, f)
	return b, nil
}

// maxPeers bounds the named destinations of one binding.
const maxPeers = 4096

// room makes sure that another binding of a holder fits, by ending the least
// recently used of a few if need be. t.mu is held.
func (t *Table) room(h quota.Holder) bool {
	if t.shares.Full() {
		return t.evict(func(*binding) bool { return true })
	}
	if t.shares.Spent(h) {
		return t.evict(func(b *binding) bool { return h.Competes(b.holder) })
	}
	return !t.closed
}

// evict ends the binding that has been idle for longest among a sample of those
// that may go. t.mu is held.
func (t *Table) evict(may func(*binding) bool) bool {
	const sample = 32
	var victim *binding
	looked := 0
	for b := range t.bindings {
		if !may(b) {
			continue
		}
		if victim == nil || b.used.Load() < victim.used.Load() {
			victim = b
		}
		if looked++; looked == sample {
			break
		}
	}
	if victim == nil {
		return false
	}
	t.stats.evicted.Add(1)
	t.end(victim)
	return true
}
