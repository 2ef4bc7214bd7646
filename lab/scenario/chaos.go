package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mifvif/lab"
)

const (
	chaosFor     = 10 * time.Second
	chaosSeed    = 6418 // it plays the same pieces in the same order each time
	chaosWorkers = 12
	chaosWithin  = 10 * time.Second // until all is as it was
)

// chaosChecks show what is left when everything comes at once.
func chaosChecks() []Scenario {
	return []Scenario{
		{ID: "chaos", Title: "links, addresses, routes, rules, mif0, configuration and clients that read nothing, all disturbed at once under load: no foreign source, no flow hangs, and soon all works", Layout: lab.WithLAN, Config: byPort + lanRule, Run: chaos},
	}
}

func chaos(ctx context.Context, e *Env) error {
	if e.Daemon == nil {
		return errNoDaemon
	}
	talks, err := e.talksWith(ctx, lab.SocketOptions{}, 10, "n1", bothFamilies(onlyE1)...)
	if err != nil {
		return err
	}
	defer closeAll(talks)
	load, stop := context.WithCancel(ctx)
	defer stop()
	done := &chaosLoad{}
	var running sync.WaitGroup
	for i := range chaosWorkers {
		running.Go(func() { done.run(load, e, i) })
	}
	disturbed := e.disturb(ctx, rand.New(rand.NewPCG(chaosSeed, 0)))
	calmed := e.calm(ctx)
	stop()
	running.Wait()
	return errors.Join(disturbed, calmed, done.verdict(), e.settled(ctx), eachEnds(talks))
}

// chaosLoad is flows of every kind while all is disturbed.
type chaosLoad struct {
	done atomic.Int64
	hung atomic.Pointer[string]
}

func (l *chaosLoad) run(ctx context.Context, e *Env, first int) {
	for i := first; ctx.Err() == nil; i += chaosWorkers {
		what, _, err := e.mixedFlow(context.WithoutCancel(ctx), i)
		if l.done.Add(1); err != nil && isTimeout(err) {
			text := what + ": " + err.Error()
			l.hung.Store(&text)
		}
	}
}

func (l *chaosLoad) verdict() error {
	if hung := l.hung.Load(); hung != nil {
		return fmt.Errorf("a flow hung: %s", *hung)
	}
	if n := l.done.Load(); n < 500 {
		return fmt.Errorf("only %d flows: this was no load", n)
	}
	return nil
}

// disturb plays one piece after another until the time is over.
func (e *Env) disturb(ctx context.Context, r *rand.Rand) error {
	pieces := e.pieces(ctx)
	for end := time.Now().Add(chaosFor); time.Now().Before(end) && ctx.Err() == nil; {
		network := []string{"n1", "n2"}[r.IntN(2)]
		if err := pieces[r.IntN(len(pieces))](network); err != nil {
			return fmt.Errorf("disturb the host: %w", err)
		}
		time.Sleep(time.Duration(50+r.IntN(150)) * time.Millisecond)
		if !e.Daemon.Alive() {
			return errors.New("the daemon died")
		}
	}
	return nil
}

// pieces are what networks and other programs do to a host, and people to mifvif.
func (e *Env) pieces(ctx context.Context) []func(network string) error {
	host := e.Host
	ours := func(number int) bool { return number >= 6410 && number <= 6419 || number >= 64180 && number < 64300 }
	brief := func(do, undo func(string) error) func(string) error {
		return func(network string) error {
			err := do(network)
			time.Sleep(100 * time.Millisecond)
			return errors.Join(err, undo(network))
		}
	}
	return []func(string) error{
		brief(e.LinkDown, e.LinkUp), brief(e.Unplug, e.Plug), brief(e.Detach, e.Attach),
		brief(func(n string) error { return host.SetMTU(e.Network(n).Link, 1280) }, func(n string) error { return host.SetMTU(e.Network(n).Link, 1500) }),
		func(string) error { _, err := host.DeleteRules(ours); return err },
		func(string) error { _, err := host.DeleteRoutes(ours); return err },
		func(string) error { return host.LinkDown("mif0") },
		func(string) error { return host.DeleteAddress("mif0", netip.MustParsePrefix("198.18.0.1/15")) },
		func(string) error { return errors.Join(e.Daemon.SetConfig("rules: ["), e.Daemon.Reload()) },
		func(string) error { return errors.Join(e.Daemon.SetConfig(e.config), e.Daemon.Reload()) },
		func(n string) error { return e.ask(ctx, "drain", e.Network(n).Link, "--deadline", "100ms") },
		func(n string) error { return e.ask(ctx, "undrain", e.Network(n).Link) },
		func(string) error { return e.deafClient() },
		brief(func(string) error { return syscall.Kill(e.Daemon.Pid(), syscall.SIGSTOP) }, func(string) error { return syscall.Kill(e.Daemon.Pid(), syscall.SIGCONT) }),
	}
}

// ask runs a command, whose refusal is of no interest: the domain may be away.
func (e *Env) ask(ctx context.Context, args ...string) error {
	_, err := e.Daemon.CLI(ctx, args...)
	return err
}

// deafClient starts a client that is told of every flow and never reads.
func (e *Env) deafClient() error {
	cmd := exec.Command(e.binary, "flows", "--follow", "--socket", e.Daemon.Socket())
	process, err := e.Host.Start(cmd)
	if err != nil {
		return err
	}
	return process.Signal(syscall.SIGSTOP)
}

// calm puts the world back as it was before.
func (e *Env) calm(ctx context.Context) error {
	errs := []error{e.Daemon.SetConfig(e.config), e.ask(ctx, "reload")}
	for _, n := range e.Layout.Networks {
		errs = append(errs, e.Plug(n.Name), e.LinkUp(n.Name), e.ask(ctx, "undrain", n.Link))
	}
	return errors.Join(errs...)
}

// settled wants every kind of flow to work again, the LAN's too.
func (e *Env) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, chaosWithin)
	defer cancel()
	for _, app := range []*lab.Node{e.Host, e.Client} {
		e.App = app
		for network, port := range map[string]uint16{"n1": onlyE1, "n2": onlyE2} {
			for _, dst := range bothFamilies(port) {
				if err := within(ctx, func() error { return e.Carried(ctx, network, dst, lab.SocketOptions{}) }); err != nil {
					return fmt.Errorf("from %s, when all is as it was: %w", app.Name, err)
				}
			}
		}
	}
	e.App = e.Host
	return within(ctx, func() error {
		servers, err := e.Host.ReadFile("/etc/resolv.conf")
		if err == nil && !strings.Contains(string(servers), "198.18.0.2") {
			err = fmt.Errorf("the host's resolver is %q", servers)
		}
		return errors.Join(err, e.oneDNS(), e.oneEcho(lab.Public4(), 1))
	})
}

// eachEnds wants every conversation to go on or to have ended.
func eachEnds(talks []*Talk) error {
	for _, t := range talks {
		if err := t.Say(); err != nil && isTimeout(err) {
			return fmt.Errorf("a conversation neither goes on nor ends: %w", err)
		}
	}
	return nil
}
