package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"mifvif/config"
	"mifvif/control"
	"mifvif/dns/host"
	"mifvif/netwatch"
	"mifvif/pvd"
	"mifvif/tun"
)

// repairEvery is how often everything is compared with the kernel although
// nothing was heard: nftables sends no route notifications.
const repairEvery = 15 * time.Second

// unmanageWithin bounds the wait for NetworkManager to notice mif0.
const unmanageWithin = 10 * time.Second

// publisher is the slow path: the one goroutine that turns what the kernel, the
// host's resolver and the configuration say into what the stations read.
type publisher struct {
	d        *daemon
	builder  *pvd.Builder
	states   chan netwatch.State // 1: a newer state replaces an unread one
	servers  chan host.Upstreams // 1: likewise
	drains   drains
	deadline *time.Timer // when what is left on a drained domain ends
	orders   chan order  // unbuffered: reload waits until its own is in force
	damage   damage
	verdicts verdicts
	disputes *conflicts
	sources  *sources
	agenda   *agenda
	stopped  sync.WaitGroup // done when nothing is applied any more
	last     netwatch.State
	hints    pvd.Hints
	warned   map[string]bool // what has been an event
	pulled   bool            // mif0 draws
}

// order is a configuration to be put in force.
type order struct {
	config *config.Config
	done   chan struct{}  // closed when it is
	drain  *control.Drain // instead of a configuration
}

func newPublisher(d *daemon, cfg *config.Config) *publisher {
	builder := pvd.NewBuilder(discovery(cfg))
	p := &publisher{
		d: d, builder: builder, sources: newSources(builder, d.log), agenda: newAgenda(),
		damage: damage{log: d.log, tell: d.tell}, verdicts: newVerdicts(), disputes: newConflicts(d.tell),
		states: make(chan netwatch.State, 1), servers: make(chan host.Upstreams, 1), orders: make(chan order),
		drains: make(drains), deadline: time.NewTimer(0),
	}
	p.deadline.Stop() // nothing is published before the kernel's first state
	p.stopped.Add(1)
	return p
}

// discovery restates the configuration for the builder.
func discovery(cfg *config.Config) pvd.Discovery {
	return pvd.Discovery{Ignore: slices.Concat(cfg.Ignore, cfg.LANs), Own: cfg.Interface.Name, Declarations: cfg.PvDs}
}

// latest puts v into a channel of one place, over what nobody has read.
func latest[T any](ch chan T, v T) {
	for {
		select {
		case ch <- v:
			return
		default:
		}
		select {
		case <-ch:
		default:
		}
	}
}

// run follows the kernel until ctx ends. ready is called once, after the first
// state is in force, the host asks our resolver and each domain has been
// validated for the first time.
func (p *publisher) run(ctx context.Context, ready func()) error {
	defer p.stopped.Done()
	var watching sync.WaitGroup
	defer watching.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 1)
	watching.Go(func() {
		failed <- netwatch.New(p.d.log).Run(ctx, func(s netwatch.State) { latest(p.states, s) })
	})
	p.setHints(host.Discover(ctx, p.hostConfig(), p.d.log))
	watching.Go(func() { p.sources.run(ctx) })
	defer p.agenda.timer.Stop()
	defer p.deadline.Stop()
	tick := time.NewTicker(repairEvery)
	defer tick.Stop()
	told := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case s := <-p.states:
			chatter := p.pulled && s.Chatter(&p.last)
			p.last = s
			p.damage.look(s)
			if p.d.device.Gone(s) {
				return fmt.Errorf("%s %w", p.d.device.Name(), tun.ErrGone)
			}
			if chatter {
				p.agenda.caused(0)
				break
			}
			p.publish()
			if !p.pulled {
				p.pulled = true
				if err := p.point(ctx, &watching); err != nil {
					return err
				}
			}
		case u := <-p.servers:
			p.setHints(u)
			p.publish()
		case o := <-p.orders:
			p.heed(o)
			p.look() // what was published last is not in the last state perhaps
			p.publish()
			if o.drain == nil {
				p.d.tell("reload", "", "the configuration is in force")
			}
			close(o.done)
		case <-p.deadline.C:
			p.publish()
		case <-p.verdicts.news:
			p.publish()
		case <-p.d.found64.news:
			p.publish()
		case <-p.d.designated.news:
			p.agenda.caused(0)
		case c := <-p.d.scheduler.Dropped():
			p.disputes.once("", disputed(c))
		case <-p.sources.news:
			p.agenda.caused(gather)
		case <-p.agenda.timer.C:
			p.publish()
		case <-tick.C:
			p.look()
			p.publish()
		}
		if !told && p.pulled && !p.validating() {
			told = true
			ready()
		}
	}
}

// point makes the host ask our resolver and keeps it so, and has its network
// manager leave mif0 alone.
func (p *publisher) point(ctx context.Context, tasks *sync.WaitGroup) error {
	pointed, err := host.Point(ctx, p.hostConfig(), p.d.log)
	if err != nil {
		return err
	}
	p.d.host = pointed
	p.d.unasked.Store(pointed.How() == string(host.None) && p.hostConfig().Mode != host.None)
	tasks.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, unmanageWithin)
		defer cancel()
		if err := tun.Unmanage(ctx, p.d.device.Name()); err != nil && !errors.Is(err, context.Canceled) {
			p.d.log.Warn("NetworkManager may try to manage the device", "error", err)
		}
	})
	tasks.Go(func() {
		if err := pointed.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			p.d.log.Warn("the host's resolver is no longer watched over", "error", err)
		}
	})
	return nil
}

func (p *publisher) hostConfig() host.Config {
	cfg := p.d.config.Load()
	return host.Config{
		Mode: host.Mode(cfg.DNS.ManageHost), Servers: cfg.DNS.Listen,
		Interface: p.d.device.Name(), Ifindex: p.d.device.Ifindex(), Record: p.d.record("resolv"),
		Changed: func(u host.Upstreams) { latest(p.servers, u) },
	}
}

func (p *publisher) setHints(u host.Upstreams) {
	p.hints = pvd.Hints{Servers: u.General, PerLink: u.Links}
}

// look reads the kernel's state as it is now, without waiting to hear of a change.
func (p *publisher) look() {
	s, err := netwatch.Read()
	if err != nil {
		p.d.log.Warn("the kernel's state could not be read", "error", err)
		return
	}
	p.last = s
	p.damage.look(s)
}

// publish puts the present state in force: the way out first, then who may
// choose it, then what draws traffic in; what stood on a lost domain ends last.
func (p *publisher) publish() {
	began := time.Now()
	cfg := p.d.config.Load()
	old := p.d.current.Load()
	heeded := discovery(cfg)
	p.sources.watch(p.last, func(ifname string) bool { return !heeded.Ignores(ifname) })
	set := p.builder.Build(p.last, pvd.Inputs{Hints: p.hints, Validating: true, Verdicts: p.verdicts.all(), Found64: p.d.found64.all(), Designated: p.d.designated.all()})
	drained := p.drains
	set = drained.apply(set)
	applied := p.d.uplinks.Apply(set, p.last, onDevice(p.d.device.Ifindex(), handles(set, cfg))...)
	p.d.current.Store(set)
	p.sources.ask(set, p.last, heeded)
	p.d.scheduler.Publish(set, &cfg.Policy)
	p.multipath()
	p.d.resolver.Publish(set)
	p.d.relay.SetLocals(locals(set, p.last, cfg))
	p.note(errors.Join(applied, p.d.device.Keep(p.last), p.draw(set, cfg)))
	p.d.validator.Watch(set)
	p.d.additional.Watch(set)
	p.verdicts.forget(set)
	p.d.found64.forget(set)
	p.d.designated.forget(set)
	p.d.relay.Retire(func(k pvd.Key, source netip.Addr) bool {
		d := set.ByKey(k)
		return d != nil && d.Owns(source) && !drained.over(d.Name)
	})
	p.translate(set)
	for _, e := range pvd.Diff(old, set) {
		p.d.log.Info("domain changed", "type", e.Type, "pvd", e.PvD, "detail", e.Detail)
		p.d.tell(e.Type, e.PvD, e.Detail)
	}
	missing := missingLANs(cfg.LANs, p.last.Links)
	p.d.missing.Store(&missing)
	p.warned = begun(p.warned, p.d.standing(), p.d.tell)
	p.disputes.look(cfg, p.d.scheduler)
	p.d.heedRules(p.last.Rules)
	p.agenda.done(began, p.builder)
}

// tell hands an event to those who watch.
func (d *daemon) tell(kind, domain, detail string) {
	d.events.Publish(control.Event{Time: time.Now(), Type: kind, PvD: domain, Detail: detail})
}

// begun tells of the warnings that were not there before, and returns all of now.
func begun(before map[string]bool, now []string, tell func(kind, domain, detail string)) map[string]bool {
	out := make(map[string]bool, len(now))
	for _, w := range now {
		if !before[w] {
			tell("warning", "", w)
		}
		out[w] = true
	}
	return out
}

// note keeps what could not be put in force for status, and says it once. While
// interfaces come and go the kernel refuses routes of those that have just left;
// the next state mends that.
func (p *publisher) note(err error) {
	if err == nil {
		p.d.trouble.Store(nil)
		return
	}
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	if was := p.d.trouble.Swap(&text); was == nil || *was != text {
		p.d.log.Debug("not every route and rule is in place", "error", err)
		p.d.tell("warning", "", "not every route and rule is in place: "+text)
	}
}

// multipath has subflows be ours to make while a rule asks for them, and says once
// why they cannot be.
func (p *publisher) multipath() {
	needed := p.d.scheduler.Needs().Multipath
	err := p.d.uplinks.Multipath(needed)
	if err == nil || !needed {
		p.d.single.Store(nil)
		return
	}
	text := err.Error()
	if was := p.d.single.Swap(&text); was == nil || *was != text {
		p.d.log.Warn("rules ask for Multipath TCP, which cannot be used", "error", err)
		p.d.tell("warning", "", "rules ask for Multipath TCP, which cannot be used: "+text)
	}
}
