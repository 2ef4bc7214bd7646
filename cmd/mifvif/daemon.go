package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"mifvif/config"
	"mifvif/control"
	"mifvif/dns"
	"mifvif/dns/host"
	"mifvif/flow"
	"mifvif/nat"
	"mifvif/owner"
	"mifvif/pvd"
	"mifvif/pvd/additional"
	"mifvif/relay"
	"mifvif/scheduler"
	"mifvif/stack"
	"mifvif/tun"
	"mifvif/uplinks"
	"mifvif/uplinks/inside"
	"mifvif/uplinks/probe"
)

// daemon is the wiring: every station, made once and joined by plain values.
type daemon struct {
	path    string // of the configuration, "" for the defaults
	state   string // the state directory
	log     *slog.Logger
	began   time.Time
	config  atomic.Pointer[config.Config]
	current atomic.Pointer[pvd.Set]

	device     *tun.Device
	owners     owners
	sampler    *sampler
	uplinks    *uplinks.Set
	scheduler  *scheduler.Scheduler
	nat        *nat.Table
	streams    *nat.Streams // nil where the kernel cannot translate TCP
	names      *dns.Names
	found64    found[netip.Prefix]
	designated found[pvd.Resolver]
	resolver   *dns.Server
	relay      *relay.Relay
	past       *relay.Past
	host       *host.Pointed
	validator  *probe.Validator
	additional *additional.Fetcher
	publisher  *publisher
	news       *news
	events     control.Events
	commands   commands
	carried    carried
	trouble    atomic.Pointer[string] // what could not be put in force, nil when all could
	refused    atomic.Pointer[string] // why the file is not in force as it is now, nil when it is
	single     atomic.Pointer[string] // why the Multipath TCP that rules ask for cannot be used, nil if it can
	// untranslated is why the kernel translates no flows, nil where it does.
	untranslated atomic.Pointer[string]
	missing      atomic.Pointer[[]string] // what is said of LANs that are not there
	unasked      atomic.Bool              // the host's resolver could not be pointed at ours

	overruled atomic.Pointer[[]string] // other programs' rules that come after mifvif's
}

// newDaemon makes every station; the device is up when it returns, nothing is
// drawn into it yet.
func newDaemon(path, state string, cfg *config.Config, log *slog.Logger) (*daemon, error) {
	d := &daemon{path: path, state: state, log: log, began: time.Now()}
	d.news = newNews(d.tell)
	d.config.Store(cfg)
	d.current.Store(pvd.NewSet(nil))
	undo, err := uplinks.OpenUndoLog(filepath.Join(state, undoName("sysctl")), log)
	if err != nil {
		return nil, err
	}
	d.device, err = tun.Open(tun.Config{Name: cfg.Interface.Name, MTU: cfg.Interface.MTU, Addresses: cfg.Interface.Addresses})
	if err != nil {
		return nil, err
	}
	d.uplinks = uplinks.New(uplinks.Config{Own: cfg.Interface.Name, LANs: cfg.LANs, Undo: undo}, log)
	d.scheduler = scheduler.New(scheduler.Config{Source: nat.SelectSource, App: d.app})
	finder, err := owner.NewFinder()
	if err != nil {
		return nil, errors.Join(err, d.device.Close())
	}
	counted, err := openLedger(lasting(state))
	if err != nil {
		return nil, errors.Join(err, d.device.Close())
	}
	d.sampler = &sampler{d: d, ledger: counted}
	d.owners = owners{finder, d.scheduler}
	d.found64, d.designated = newFound[netip.Prefix](), newFound[pvd.Resolver]()
	d.names = dns.NewNames(dns.NamesConfig{Max: 65536, PerApp: share(cfg), App: d.app, Alive: d.alive, Foreign: d.foreign})
	if err := d.makeStations(cfg); err != nil {
		d.device.Close()
		return nil, err
	}
	d.publisher = newPublisher(d, cfg)
	if err := d.makeErrands(cfg); err != nil {
		d.device.Close()
		return nil, err
	}
	return d, nil
}

// makeStations makes what packets pass through.
func (d *daemon) makeStations(cfg *config.Config) error {
	var err error
	limits := cfg.Limits
	d.past = relay.NewPast()
	kernel := d.newKernel(limits.TCPFlows + limits.UDPFlows)
	d.nat, err = nat.New(nat.Config{
		Max: limits.UDPFlows, MTU: d.device.MTU(), Kernel: kernel, PerSource: limits.PerSource, Holder: d.holder, Owner: d.owner, Moved: d.news.Moved, Ended: d.past.Binding,
	}, d.device, d.uplinks, d.log)
	if err != nil {
		return err
	}
	if d.streams, err = d.newStreams(kernel); err != nil {
		return err
	}
	d.resolver, err = dns.New(dns.Config{Chooser: d.chooser(), Dialer: d.uplinks, Families: d.families, Learned: d.names.Learn, AliasName: d.names.AliasName, Found64: d.found64.deliver, Designated: d.designated.deliver, Sort: nat.SortDestinations, Multicast: d.multicast}, d.log)
	if err != nil {
		return err
	}
	d.relay, err = relay.New(relay.Config{
		Device: d.device, Scheduler: d.scheduler, Dialer: dialer{d.uplinks}, Owners: d.owners, News: d.news, NAT: d.nat, Streams: d.streams, Past: d.past, Resolver: d.resolver, Names: d.names,
		ResolverAddrs: cfg.DNS.Listen, House: house(cfg), MaxTCP: limits.TCPFlows,
		Stack: stack.Config{MTU: d.device.MTU(), Pending: limits.PendingConnects, PerSource: limits.PerSource, Holder: d.holder},
	}, d.log)
	return err
}

// makeErrands makes what asks networks about themselves, each inside its domain.
func (d *daemon) makeErrands(cfg *config.Config) error {
	roots, err := authorities(cfg.CA)
	if err != nil {
		return err
	}
	d.validator, err = probe.New(probe.Config{Network: d.inside(), Roots: roots, Deliver: d.publisher.verdicts.deliver}, d.log)
	if err != nil {
		return err
	}
	d.additional, err = additional.New(additional.Config{Dial: d.inside().DialHost, Roots: roots, Deliver: d.publisher.sources.deliver}, d.log)
	return err
}

// authorities returns the host's certificate authorities and those of a file, nil
// for the host's alone.
func authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read discovery.ca: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read discovery.ca: there is no certificate in %s", path)
	}
	return pool, nil
}

// chooser answers the resolver where a question may be sent.
func (d *daemon) chooser() chooser {
	return chooser{d.scheduler, d.current.Load, d.asker}
}

// asker returns who put a question to the resolver.
func (d *daemon) asker(app netip.AddrPort) (asker, bool) {
	listen := d.config.Load().DNS.Listen
	in, gone := d.relay.InletOf(app.Addr().Unmap())
	switch {
	case gone:
		return asker{}, false
	case in != nil:
		who := in.Owners.(owners).asker(app, listen)
		if !who.Known {
			who = flow.Owner{Known: true, UID: in.User}
		}
		return asker{who, in.Domain}, true
	}
	return asker{owner: d.owners.asker(app, listen)}, true
}

// inside is how one domain is asked and left, for the house's own errands.
func (d *daemon) inside() inside.Network {
	return inside.Network{Dial: d.uplinks.Dial, Lookup: d.resolver.Lookup}
}

// house returns mif0's prefixes.
func house(cfg *config.Config) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range cfg.Interface.Addresses {
		out = append(out, p.Masked())
	}
	return out
}

// share is what one source may hold of the names that were learnt. Without LANs
// there is one source, this host, and nobody to share with.
func share(cfg *config.Config) float64 {
	if len(cfg.LANs) == 0 {
		return 1
	}
	return cfg.Limits.PerSource
}

// app maps every address of this host to one app side: a name asked over IPv4
// is meant for connections over IPv6 too. A command is one of its own.
func (d *daemon) app(a netip.Addr) netip.Addr {
	if number, ok := relay.CommandOf(a); ok {
		return relay.CommandAddresses(number)[0]
	}
	for _, p := range d.config.Load().Interface.Addresses {
		if p.Contains(a) {
			return netip.Addr{}
		}
	}
	return a
}

// alive reports whether a domain instance still lives.
func (d *daemon) alive(k pvd.Key) bool {
	p := d.current.Load().ByKey(k)
	return p != nil && p.Alive()
}

// foreign reports whether an address lies on another link than that of p.
func (d *daemon) foreign(p *pvd.Domain, a netip.Addr) bool {
	for _, other := range d.current.Load().All() {
		if other.Ifindex != p.Ifindex && other.OnLink(a) && !p.OnLink(a) {
			return true
		}
	}
	return false
}

// families reports which families any domain carries now.
func (d *daemon) families() (v4, v6 bool) {
	for _, p := range d.current.Load().All() {
		v4, v6 = v4 || p.Carries(false), v6 || p.Carries(true)
	}
	return v4, v6
}

// run carries traffic until ctx ends, then undoes everything.
func (d *daemon) run(ctx context.Context, ready func(), extra ...func(context.Context) error) error {
	stopping, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(stopping)
	g.Go(func() error { return d.relay.Run(ctx) })
	g.Go(func() error { return d.validator.Run(ctx) })
	g.Go(func() error { return d.additional.Run(ctx) })
	g.Go(func() error { return d.publisher.run(ctx, ready) })
	g.Go(func() error { return d.sampler.run(ctx) })
	for _, task := range extra {
		g.Go(func() error { return task(ctx) })
	}
	g.Go(func() error { // the reader of mif0 wakes when the device closes, after the routes are gone
		<-ctx.Done()
		return d.undo()
	})
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// undo puts the host back as it was: first its resolver, then what draws
// traffic in, then the way out, then mif0 itself.
func (d *daemon) undo() error {
	d.publisher.stopped.Wait()
	var errs []error
	if d.host != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		errs = append(errs, d.host.Restore(ctx))
		cancel()
	}
	errs = append(errs,
		tun.Undraw(d.config.Load().Interface.Block),
		d.uplinks.Remove(),
		d.device.Close(),
		d.owners.finder.Close(),
	)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("undo (mifvif cleanup tries again): %w", err)
	}
	return nil
}
