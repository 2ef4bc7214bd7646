package relay

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"mifvif/dns"
	"mifvif/flow"
	"mifvif/nat"
	"mifvif/packet"
	"mifvif/pvd"
	"mifvif/scheduler"
	"mifvif/stack"
	"mifvif/tun"
)

// Device is mif0 as the relay needs it; *tun.Device is one. Read is called by
// one goroutine only, Write by many. After Close Read returns os.ErrClosed.
type Device interface {
	Read(b *tun.Batch) ([]tun.Packet, error)
	Write(h tun.Header, bufs ...[]byte) error
}

// Dialer opens the uplink's side of a TCP flow inside one domain. The caller closes the connection. Errors keep their errno.
type Dialer interface {
	DialTCP(ctx context.Context, d *pvd.Domain, src netip.Addr, dst netip.AddrPort, tos uint8) (stack.Uplink, error)
	// DialMultipath opens one of Multipath TCP; an error that is errors.ErrUnsupported
	// says that this host cannot.
	DialMultipath(ctx context.Context, d *pvd.Domain, src netip.Addr, dst netip.AddrPort, tos uint8) (Multipath, error)
}

// Owners says whose a flow of this host is, as far as the policy in force asks. It is
// asked once for each decision and may take the time of a few system calls; it
// must be safe for concurrent use.
type Owners interface {
	Owner(f flow.Flow) flow.Owner
}

// News is told what happens to flows besides their being carried: that one goes on
// in another domain, why is one of nat's words, or that one is refused, which is
// said again for each of its packets. It must not block and be safe for concurrent
// use.
type News interface {
	Moved(f flow.Flow, from, to *pvd.Domain, why string)
	Refused(f flow.Flow, reason string)
}

// Config holds the stations a Relay conducts and its limits.
type Config struct {
	Device    Device
	Scheduler *scheduler.Scheduler
	Dialer    Dialer
	Owners    Owners // nil: nobody's flows are told apart
	News      News   // nil: nobody is told
	NAT       *nat.Table
	Streams   *nat.Streams // nil: every TCP flow is terminated
	Past      *Past        // where TCP flows go that end; nil: one of its own
	Resolver  *dns.Server
	Names     *dns.Names
	// ResolverAddrs are served inside the house, on port 53.
	ResolverAddrs []netip.Addr
	// House are mif0's prefixes: nothing else in them is anywhere.
	House []netip.Prefix
	// MaxTCP bounds live TCP flows, and Stack.PerSource what one holder may have of
	// them (Stack.Holder says who that is); a SYN beyond it is dropped and counted.
	MaxTCP int
	Stack  stack.Config
}

// Relay moves packets and connections between mif0 and the uplinks. Make one
// with New, start it with Run; its other methods are safe for concurrent use.
type Relay struct {
	cfg    Config
	log    *slog.Logger
	stack  *stack.Stack
	locals atomic.Pointer[Locals]
	ground ground
	flows  flows
	keeper keeper
	drops  drops

	changing sync.Mutex
	inlets   atomic.Pointer[map[byte]*Inlet]

	// turn is whose batch is carried: mif0's reader has it, or an inlet's.
	turn      sync.Mutex
	fragments *packet.Reassembler
	answer    [1500]byte // where answers from the cache are made
}

// New checks cfg and allocates; it starts nothing. The gVisor stack is made
// here because the relay is what it hands its requests to.
func New(cfg Config, log *slog.Logger) (*Relay, error) {
	if cfg.MaxTCP <= 0 {
		return nil, errors.New("limits.tcp_flows must be at least 1")
	}
	r := &Relay{cfg: cfg, log: log, fragments: packet.NewReassembler()}
	r.flows.init(&r.cfg)
	r.keeper.init()
	r.locals.Store(&Locals{})
	s, err := stack.New(cfg.Stack, cfg.Device, r.request, log)
	if err != nil {
		return nil, err
	}
	r.stack = s
	return r, nil
}

// Run carries traffic until ctx ends or mif0 fails, and returns when every
// flow and goroutine has ended. The caller closes the device when ctx ends, so
// that the blocked reader wakes.
func (r *Relay) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	r.ground.open(ctx)
	g.Go(func() error { return r.stack.Run(ctx) })
	g.Go(func() error { return r.cfg.NAT.Run(ctx) })
	if r.cfg.Streams != nil {
		g.Go(func() error { return r.cfg.Streams.Run(ctx) })
	}
	g.Go(func() error { return r.cfg.Resolver.Run(ctx) })
	g.Go(func() error { return r.read(ctx, r.cfg.Device, nil) })
	g.Go(func() error { return r.sample(ctx) })
	g.Go(func() error { return r.recover(ctx) })
	g.Go(func() error { return r.tend(ctx) })
	return g.Wait()
}
