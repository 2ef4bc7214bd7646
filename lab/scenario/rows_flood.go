package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"mifvif/lab"
)

// What a flood is, and what it may cost.
const (
	floodFor    = 6 * time.Second
	floodRate   = 1000 // messages a second
	floodMemory = 32 << 20
	floodSlack  = 250 * time.Millisecond // for what the machine itself does to a connect: this is no timed test
)

// firstAdvertises has the host hear n1's router, in the kernel too.
func firstAdvertises() lab.Layout {
	l := lab.TwoNetworks()
	l.Networks[0].Advert = lab.Network.PlainAdvert
	return l
}

// flooded has somebody on n1's link claim to be a thousand routers that know
// everything better, n2's own addresses and resolver included. Flows of n2, its
// configuration and the way to its own servers are as before; memory is bounded.
func flooded(ctx context.Context, e *Env) error {
	if _, err := e.formed(ctx, e.Network("n1")); err != nil {
		return err
	}
	f := &flood{env: e}
	if e.Daemon == nil {
		f.opt.Device = "e2" // the kernel knows no rule
	}
	if err := f.begin(ctx); err != nil {
		return err
	}
	defer closeAll(f.talks)
	stop, heard := make(chan struct{}), make(chan error, 1)
	go func() { heard <- sayUntil(f.talks, stop) }()
	err := f.during(ctx)
	close(stop)
	if lost := <-heard; lost != nil {
		err = errors.Join(err, fmt.Errorf("flows of n2 were harmed: %w", firstLine(lost)))
	}
	return errors.Join(err, f.end(ctx))
}

// flood is what is observed of n2 while n1 is flooded.
type flood struct {
	env    *Env
	opt    lab.SocketOptions // of the flows on n2
	talks  []*Talk
	before domain
	base   time.Duration // 99 of 100 connects by n2 took no longer
	rss    int64         // bytes
	most   int64         // the most that was seen
	astray *lab.Capture  // packets for n2 that left by e1
}

func (f *flood) begin(ctx context.Context) (err error) {
	e := f.env
	if f.talks, err = e.talksWith(ctx, f.opt, 20, "n2", bothFamilies(onlyE2)...); err != nil {
		return err
	}
	if f.base, err = f.connects(ctx, time.Second); err != nil {
		return err
	}
	n2 := e.Network("n2")
	if f.astray, err = e.Host.Capture("e1", func(r lab.Record) bool { return r.Out && r.Proto != 0 && (n2.Owns(r.Dst) || n2.Owns(r.Src)) }); err != nil || e.Daemon == nil {
		return err
	}
	all, err := e.domains(ctx)
	if err != nil {
		return err
	}
	f.before = all["e2"]
	f.rss, err = e.Daemon.RSS()
	return err
}

// connects opens connections by n2, one after another, and returns the time that
// one in a hundred exceeded.
func (f *flood) connects(ctx context.Context, howLong time.Duration) (time.Duration, error) {
	var took []time.Duration
	for start := time.Now(); time.Since(start) < howLong; {
		began := time.Now()
		conn, err := f.env.App.DialTCP(ctx, public4(onlyE2), f.opt)
		if err != nil {
			return 0, fmt.Errorf("connect by n2: %w", err)
		}
		took = append(took, time.Since(began))
		conn.Close()
		time.Sleep(5 * time.Millisecond)
	}
	slices.Sort(took)
	return took[len(took)*99/100], nil
}

// during floods n1 and looks at n2.
func (f *flood) during(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, floodFor+answerWithin)
	defer cancel()
	flooding, stop := context.WithTimeout(ctx, floodFor)
	defer stop()
	var sent int
	var failed error
	var running sync.WaitGroup
	running.Go(func() {
		sent, failed = f.env.Node("n1").Flood(flooding, "lan", floodRate, f.env.Network("n2").Lie)
	})
	running.Go(func() { f.weigh(flooding) })
	p99, err := f.connects(ctx, floodFor)
	if err == nil {
		err = f.own(ctx)
	}
	running.Wait()
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	if sent < floodRate*int(floodFor/time.Second)/2 {
		return fmt.Errorf("only %d messages were sent: this was no flood", sent)
	}
	if p99 > 2*f.base+floodSlack {
		return fmt.Errorf("one connect in a hundred by n2 took %v and more while n1 was flooded, %v before", p99, f.base)
	}
	return nil
}

// weigh notes the daemon's memory until ctx ends.
func (f *flood) weigh(ctx context.Context) {
	for f.env.Daemon != nil && ctx.Err() == nil {
		if rss, err := f.env.Daemon.RSS(); err == nil {
			f.most = max(f.most, rss)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// own reaches n2's own server, by an app that asks for nothing.
func (f *flood) own(ctx context.Context) error {
	n2 := f.env.Network("n2")
	server := netip.AddrPortFrom(netip.MustParseAddr("2001:db8:2::80"), lab.PortEcho)
	t, err := f.env.Ask(ctx, server, lab.SocketOptions{})
	if err != nil {
		return fmt.Errorf("n2's own server: %w", err)
	}
	if !n2.Owns(t.Source.Addr()) {
		return fmt.Errorf("n2's own server saw the source %v", t.Source)
	}
	return nil
}

// end checks what is left of it.
func (f *flood) end(ctx context.Context) error {
	if err := nothing(f.astray, "packets of or for n2 left by e1"); err != nil || f.env.Daemon == nil {
		return err
	}
	if grown := f.most - f.rss; grown > floodMemory {
		return fmt.Errorf("the daemon grew by %d MiB, at most %d are allowed", grown>>20, floodMemory>>20)
	}
	all, err := f.env.domains(ctx)
	if err != nil {
		return err
	}
	now := all["e2"]
	now.Objects, f.before.Objects = nil, nil // their lifetimes pass
	if was, is := fmt.Sprintf("%+v", f.before), fmt.Sprintf("%+v", now); was != is {
		return fmt.Errorf("n2's domain was %s and is %s", was, is)
	}
	return nil
}
