package nat

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/flow"
	"mifvif/nat/offload"
	"mifvif/packet"
	"mifvif/poll"
	"mifvif/pvd"
)

// StreamOpener makes what translated TCP needs of a domain; *uplinks.Set is one.
// The descriptors do not block and the Streams close them.
type StreamOpener interface {
	// OpenRaw opens a socket that sends whole packets.
	OpenRaw(d *pvd.Domain, src netip.Addr) (fd int, err error)
}

// Kernel translates segments; *offload.Offload is it.
type Kernel interface {
	Put(f offload.Flow) error
	Delete(f offload.Flow) offload.Traffic
	Traffic(f offload.Flow) offload.Traffic
	All(see func(id uint64, t offload.Traffic)) error
	Keep(uplinks []int) error
	Close() error
}

// StreamConfig bounds Streams and says who hears of them.
type StreamConfig struct {
	MTU int // of mif0, bytes: domains with a smaller one are not translated to
	// Learn is told what a path has shown: the time from the SYN to its answer, or,
	// with 0, that there was none. It must not block; nil: nobody is.
	Learn func(d pvd.Key, dst netip.Addr, rtt time.Duration)
}

// ErrUntranslatable says that nothing is translated now (see Keep), or not to that
// domain: its link has no Ethernet header, or a smaller MTU than mif0's.
var ErrUntranslatable = errors.New("TCP is not translated there")

// translatable reports whether packets of up to mtu bytes to dst can be translated to
// a domain's link.
func translatable(d *pvd.Domain, dst netip.Addr, mtu int) bool {
	return d.MTU >= mtu && !d.P2P && !dst.IsLinkLocalUnicast()
}

// Streams are the TCP flows that the kernel translates (RFC 5382): the app's own
// segments leave with another source, no byte of them is acknowledged here. The
// SYNs come by the house, which decides and sends them on. All methods are safe
// for concurrent use.
type Streams struct {
	cfg    StreamConfig
	out    Writer
	open   StreamOpener
	kernel Kernel
	log    *slog.Logger

	mu     sync.Mutex
	nextID uint64
	byID   map[uint64]*Stream
	byApp  map[pair]*Stream // from the app's address to its destination
	bySrc  map[pair]*Stream // from the uplink's
	due    []*Stream        // that may be silent for some time and no longer
	rouse  chan struct{}
	// declined are those that have been silent for longer.
	declined map[pair]struct{}
	leases   map[leaseKey]*lease
	ports    ports
	raws     map[hubKey]*raw
	barred   bool // see Keep
	set      *pvd.Set
	closed   bool

	looking sync.Mutex
	passed  map[uint64]offload.Traffic // of looking: what all streams have carried

	ears    ears
	poller  *poll.Poller
	settled atomic.Int64 // when Settle has looked last
	count   atomic.Int64 // of byApp and declined, for those who only want to know whether there are any
}

// pair is both ends of a flow, from one point of view.
type pair struct{ src, dst netip.AddrPort }

// NewStreams allocates; it starts nothing. kernel is closed with them.
func NewStreams(cfg StreamConfig, kernel Kernel, out Writer, open StreamOpener, log *slog.Logger) (*Streams, error) {
	t := &Streams{
		cfg: cfg, out: out, open: open, kernel: kernel, log: log,
		byID: make(map[uint64]*Stream), byApp: make(map[pair]*Stream), bySrc: make(map[pair]*Stream),
		leases: make(map[leaseKey]*lease), raws: make(map[hubKey]*raw), passed: make(map[uint64]offload.Traffic),
		declined: make(map[pair]struct{}), rouse: make(chan struct{}, 1),
	}
	var err error
	if t.poller, err = poll.New(); err != nil {
		return nil, err //nolint:wrapcheck // says what and where
	}
	t.ports.used = make(map[netip.AddrPort]struct{})
	t.ports.refresh()
	t.ears.streams = t
	return t, nil
}

// Open has a flow translated from now on and sends its SYN, the headers of which
// are given, over the chosen domain. The flow is the app's, its destination where it
// really goes. After an error nothing is left behind and the app has noticed nothing.
func (t *Streams) Open(f flow.Flow, syn []byte, c Choice, a Attempt) (*Stream, error) {
	if c.Real.IsValid() || !translatable(c.Domain, f.Dst.Addr(), t.cfg.MTU) {
		return nil, ErrUntranslatable
	}
	if _, ok := packet.TCPHeaders(syn); !ok {
		return nil, fmt.Errorf("translate %s: its SYN has other headers than IP and TCP: %w", f, ErrUntranslatable)
	}
	s, err := t.start(f, syn, c, a)
	if err == nil {
		err = s.send(syn)
		t.mu.Lock()
		t.dropRaw(s.raw)
		if err != nil {
			t.forget(s)
		}
		t.mu.Unlock()
	}
	if err != nil {
		return nil, fmt.Errorf("translate %s: %w", f, err)
	}
	return s, nil
}

// start takes what a stream needs, its socket twice, and puts it in every table.
// Whoever ends it before its SYN is sent must not close the socket.
func (t *Streams) start(f flow.Flow, syn []byte, c Choice, a Attempt) (*Stream, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &Stream{
		table: t, key: pair{f.Src, f.Dst}, choice: c, more: a.More, asked: packet.TCPSequence(syn) + 1, tried: a.Past.Tried, began: offload.Now(),
	}
	s.errors.init(flowErrorRate, flowErrorRate)
	switch {
	case t.closed:
		return nil, os.ErrClosed
	case t.barred || t.set != nil && !stands(t.set, hubKey{c.Domain.Key(), c.Source}):
		return nil, ErrUntranslatable
	}
	if t.byApp[s.key] != nil {
		return nil, os.ErrExist
	}
	if err := t.ears.open(f.Is6()); err != nil {
		return nil, err
	}
	var err error
	if s.lease, err = t.borrow(s.key.src, c); err != nil {
		return nil, err
	}
	if s.raw, err = t.rawOf(c); err != nil {
		t.giveBack(s.lease)
		return nil, err
	}
	t.nextID++
	s.id = t.nextID
	s.flow = offload.Flow{
		Proto: flow.TCP, ID: s.id, App: s.key.src, Dst: s.key.dst, Source: s.lease.source, Mark: c.Domain.Mark(), Ifindex: c.Domain.Ifindex,
	}
	if err := t.put(s.flow); err != nil {
		t.giveBack(s.lease)
		t.dropRaw(s.raw)
		return nil, err
	}
	s.raw.streams++
	t.byID[s.id], t.byApp[s.key], t.bySrc[s.outer()] = s, s, s
	t.counted()
	t.await(s, syn, a)
	return s, nil
}

// put is Kernel.Put, where need be with the room of flows that have ended.
func (t *Streams) put(f offload.Flow) error {
	err := t.kernel.Put(f)
	if !errors.Is(err, unix.E2BIG) {
		return err //nolint:wrapcheck // says what and where
	}
	for _, s := range t.byID {
		if s.over {
			t.forget(s)
		}
	}
	return t.kernel.Put(f) //nolint:wrapcheck // says what and where
}

// forget takes a stream out of every table and leaves its segments to the
// kernel's usual way; it returns what has passed. t.mu is held.
func (t *Streams) forget(s *Stream) offload.Traffic {
	if s.gone {
		return s.last
	}
	s.gone = true
	last := t.kernel.Delete(s.flow)
	delete(t.byID, s.id)
	delete(t.byApp, s.key)
	delete(t.bySrc, s.outer())
	t.counted()
	t.giveBack(s.lease)
	t.dropRaw(s.raw)
	return last
}

// Again takes the headers of a SYN whose five-tuple may be a stream's: one that is
// sent again goes the same way. It returns false where the flow is to be decided, for
// the first time or anew: its last connection has ended or was given up for this one,
// its candidate knows no way or has been silent for so long that another one has its
// turn, or that it was declined.
func (t *Streams) Again(app, dst netip.AddrPort, syn []byte) (past Past, again bool) {
	if t.count.Load() == 0 {
		return past, false
	}
	t.mu.Lock()
	s := t.byApp[pair{app, dst}]
	if s == nil {
		_, past.Declined = t.declined[pair{app, dst}]
		delete(t.declined, pair{app, dst})
		t.counted()
		t.mu.Unlock()
		return past, false
	}
	now := t.kernel.Traffic(s.flow)
	switch phase := s.phaseOf(now); {
	case s.over || phase >= closing, phase == opening && !s.begins(syn):
	case phase == opening && s.more && (s.left || offload.Now()-s.began >= patience):
		past.Tried = append(slices.Clone(s.tried), s.choice.Domain.Key())
		t.learn(s, 0)
	default:
		s.resent = true
		_ = s.send(syn) // it is sent again if it was lost
		t.mu.Unlock()
		return past, true
	}
	ended := s.finish(now)
	t.forget(s)
	t.mu.Unlock()
	ended()
	return past, false
}

// learn tells what a path has shown.
func (t *Streams) learn(s *Stream, rtt time.Duration) {
	if t.cfg.Learn != nil {
		t.cfg.Learn(s.choice.Domain.Key(), s.key.dst.Addr(), rtt)
	}
}

// stands reports whether a domain of set has a source address.
func stands(set *pvd.Set, k hubKey) bool {
	d := set.ByKey(k.domain)
	return d != nil && d.Owns(k.src)
}

// Keep takes the programs off interfaces that are no uplinks any more, and resets
// what would not fit through its link any longer, or has lost its address there: what
// is over, and what was decided before that and opened after it. While barred, nothing
// is translated, and all that was is reset.
func (t *Streams) Keep(set *pvd.Set, barred bool) {
	var uplinks []int
	for _, d := range set.All() {
		uplinks = append(uplinks, d.Ifindex)
	}
	if err := t.kernel.Keep(uplinks); err != nil {
		t.log.Warn("a program that translates flows could not be put back", "error", err)
	}
	t.mu.Lock()
	t.ports.refresh()
	t.ports.keep(set)
	t.barred, t.set = barred, set
	dead := make(map[*raw]bool)
	for k, r := range t.raws {
		dead[r] = barred || !stands(set, k) || set.ByKey(k.domain).MTU < t.cfg.MTU
	}
	var lost []*Stream
	for _, s := range t.byID {
		if dead[s.raw] {
			lost = append(lost, s)
		}
	}
	t.mu.Unlock()
	for _, s := range lost {
		s.Reset()
	}
}
