package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"mifvif/lab"
)

// zoned has each network know a name with the same address.
const zoned = `
pvds:
  - {name: e1, interface: e1, dns: {servers: [10.1.0.53], zones: [n1.example.com]}}
  - {name: e2, interface: e2, dns: {servers: [10.2.0.53], zones: [n2.example.com]}}
`

// The ports of what is told, beside byPort's.
const (
	portReturns uint16 = 7005
	portOwn     uint16 = 9999 // where the scenario listens

	tells = `  - {name: returns, match: {port: 7005}, prefer: [e1], on_recovery: reset}
  - {name: own, match: {port: 9999}, prefer: [e1]}
`
)

func toldAtOnce(ctx context.Context, e *Env) error {
	steady, err := e.talks(ctx, 2, "n2", bothFamilies(onlyE2)...)
	if err != nil {
		return err
	}
	defer closeAll(steady)
	err = steps(
		func() error { return e.aliasTerminated(ctx) },
		func() error { return e.toldOf(ctx, "a link that goes down", func() error { return e.LinkDown("n1") }) },
		func() error { return e.toldOfReturn(ctx) },
		func() error { return e.toldOf(ctx, "addresses that go", func() error { return e.Detach("n1") }) },
		func() error { return e.Attach("n1") },
		func() error { return e.isBack(ctx) },
		func() error { return e.toldOfDrain(ctx) },
	)
	if err != nil {
		return err
	}
	for _, t := range steady {
		if err := t.Say(); err != nil {
			return fmt.Errorf("a flow of the other network: %w", err)
		}
	}
	return nil
}

// aliasTerminated talks to two servers with one address: the one that has an alias
// here needs somebody who knows what it stands for.
func (e *Env) aliasTerminated(ctx context.Context) error {
	paths := make(map[string]int)
	for _, network := range []string{"n1", "n2"} {
		addr, err := e.Address(ctx, "shared."+network+".example.com")
		if err != nil {
			return err
		}
		path := "terminated"
		if addr == lab.Overlap() {
			path = "offloaded"
		}
		paths[path]++
		if err := e.goes(ctx, path, network, netip.AddrPortFrom(addr, lab.PortEcho)); err != nil {
			return fmt.Errorf("of two servers with one address: %w", err)
		}
	}
	if len(paths) != 2 {
		return fmt.Errorf("of two servers with one address one has an alias, but the paths are %v", paths)
	}
	return nil
}

// toldOf takes n1 away from flows of both families.
func (e *Env) toldOf(ctx context.Context, what string, take func() error) error {
	var open []*Talk
	defer func() { closeAll(open) }()
	for _, dst := range bothFamilies(firstE1) {
		t, err := e.talkOn(ctx, "offloaded", "n1", dst)
		if err != nil {
			return err
		}
		open = append(open, t)
	}
	if err := take(); err != nil {
		return err
	}
	for _, t := range open {
		if err := t.reset(time.Second); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	for _, dst := range bothFamilies(firstE1) {
		if err := e.goes(ctx, "offloaded", "n2", dst); err != nil {
			return fmt.Errorf("after %s: %w", what, err)
		}
	}
	return nil
}

// reset waits until the conversation is reset.
func (t *Talk) reset(patience time.Duration) error {
	_ = t.conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := t.in.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("the app to %v hears %w within %v, want a reset", t.conn.RemoteAddr(), err, patience)
	}
	return nil
}

// isBack waits for n1.
func (e *Env) isBack(ctx context.Context) error {
	return within(ctx, func() error {
		for _, dst := range bothFamilies(firstE1) {
			if err := e.goes(ctx, "offloaded", "n1", dst); err != nil {
				return err
			}
		}
		return nil
	})
}

// toldOfReturn has n1 come back: a flow whose rule wants it leaves n2.
func (e *Env) toldOfReturn(ctx context.Context) error {
	t, err := e.talkOn(ctx, "offloaded", "n2", public4(portReturns))
	if err != nil {
		return err
	}
	defer t.Close()
	if err := e.LinkUp("n1"); err != nil {
		return err
	}
	if err := t.reset(endWithin); err != nil {
		return fmt.Errorf("the better network is back: %w", err)
	}
	return e.isBack(ctx)
}

// toldOfDrain drains n1: at the deadline, and not before, app and server are told.
func (e *Env) toldOfDrain(ctx context.Context) error {
	const deadline = time.Second
	l, err := e.Core.ListenTCP(netip.AddrPortFrom(lab.Public4(), portOwn))
	if err != nil {
		return err
	}
	defer l.Close()
	conn, err := e.Host.DialTCP(ctx, public4(portOwn), lab.SocketOptions{})
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = l.SetDeadline(time.Now().Add(answerWithin))
	peer, err := l.AcceptTCP()
	if err != nil {
		return err
	}
	defer peer.Close()
	began := time.Now()
	if err := e.command(ctx, "drain", "e1", "--deadline", deadline.String()); err != nil {
		return err
	}
	for who, c := range map[string]interface {
		Read(b []byte) (int, error)
		SetReadDeadline(t time.Time) error
	}{"app": conn, "server": peer} {
		_ = c.SetReadDeadline(began.Add(deadline + endWithin))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			return fmt.Errorf("after the deadline the %s hears %w, want a reset", who, err)
		}
		if early := deadline - time.Since(began); early > 0 {
			return fmt.Errorf("the %s is reset %v before the deadline", who, early)
		}
	}
	return errors.Join(e.goes(ctx, "offloaded", "n2", public4(firstE1)), e.command(ctx, "undrain", "e1"))
}

// firstWired has n1 behind a wire.
func firstWired() lab.Layout { return behind(lab.WireConfig{}) }

// leavesSilent has n1 fail in three ways: the app's SYNs, which it sends again by
// itself, are to go by n2 when n1 had its chance.
func leavesSilent(ctx context.Context, e *Env) error {
	n1 := e.Node("n1")
	noWay := []lab.Route{
		{To: netip.PrefixFrom(lab.Public4(), 32), Kind: "unreachable"},
		{To: netip.PrefixFrom(lab.Public6(), 128), Kind: "unreachable", Dev: "lo"},
	}
	return steps(
		func() error {
			return e.leavesFirst(ctx, "that loses everything", 2*time.Second, func() error {
				e.Wire("n1").SetLoss(1)
				return nil
			})
		},
		func() error {
			return e.leavesFirst(ctx, "whose router is asked for in vain", 2*time.Second, func() error {
				e.Wire("n1").SetLoss(1)
				_, err := e.Tool(ctx, "ip", "neighbour", "flush", "dev", "e1")
				return err
			})
		},
		func() error {
			return e.leavesFirst(ctx, "whose router says that it knows no way", 0, func() error { return n1.AddRoute(noWay...) })
		},
		func() error { return n1.DeleteRoute(noWay...) },
		func() error { return e.isBack(ctx) },
	)
}

// leavesFirst breaks n1 and connects: by n2, after so long at least.
func (e *Env) leavesFirst(ctx context.Context, what string, least time.Duration, fail func() error) error {
	e.Wire("n1").SetLoss(0)
	if err := e.isBack(ctx); err != nil {
		return err
	}
	if err := fail(); err != nil {
		return err
	}
	begin := time.Now()
	went := make(chan error, 2)
	for _, dst := range bothFamilies(firstE1) {
		go func() { went <- e.goes(ctx, "offloaded", "n2", dst) }()
	}
	if err := errors.Join(<-went, <-went); err != nil {
		return fmt.Errorf("after a network %s: %w", what, err)
	}
	if took := time.Since(begin); took < least {
		return fmt.Errorf("a network %s was left after %v", what, took)
	}
	return nil
}
