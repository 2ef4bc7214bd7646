package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mifvif/lab"
)

// safetyRows are RFC 6418 6: what one network can do to another, and to the
// host.
func safetyRows() []Scenario {
	return []Scenario{
		{ID: "6-1", Title: "with on_exit: block nothing leaves by any network when mifvif is killed", Config: blocking, Run: killSwitch},
		{ID: "6-2", Title: "a flood of router advertisements on one network, full of the other's addresses, does nothing to the other", Layout: firstAdvertises, Config: byPort, Run: flooded},
		additionalRow(),
	}
}

const blocking = `
interface: {on_exit: block}
rules:
  - {name: secret, match: {port: [7]}, require: [e1]}
`

// refuseWithin is how soon an app must hear that there is no way.
const refuseWithin = time.Second

func killSwitch(ctx context.Context, e *Env) error {
	if e.Daemon == nil {
		return errNoDaemon
	}
	if err := e.Carried(ctx, "n1", public4(lab.PortEcho), lab.SocketOptions{}); err != nil {
		return err
	}
	e.Daemon.Kill()
	if err := e.nothingLeaves(ctx); err != nil {
		return fmt.Errorf("after kill -9: %w", err)
	}
	if err := e.cleanup(ctx, "--keep-block"); err != nil {
		return err
	}
	if err := e.nothingLeaves(ctx); err != nil {
		return fmt.Errorf("after cleanup --keep-block: %w", err)
	}
	if err := e.cleaned(ctx); err != nil {
		return err
	}
	if err := e.StartDaemon(ctx); err != nil {
		return err
	}
	if err := e.Daemon.Stop(ctx); err != nil {
		return err
	}
	if err := e.nothingLeaves(ctx); err != nil {
		return fmt.Errorf("after a stop: %w", err)
	}
	if err := e.cleaned(ctx); err != nil {
		return err
	}
	e.config = "" // the player wants nothing left behind
	return e.StartDaemon(ctx)
}

// nothingLeaves has apps try in vain, while both uplinks are watched.
func (e *Env) nothingLeaves(ctx context.Context) error {
	var watched []*lab.Capture
	for _, link := range []string{"e1", "e2"} {
		c, err := e.Host.Capture(link, func(r lab.Record) bool { return r.Dst == lab.Public4() || r.Dst == lab.Public6() })
		if err != nil {
			return err
		}
		defer c.Close()
		watched = append(watched, c)
	}
	for range 10 {
		for _, dst := range bothFamilies(lab.PortEcho) {
			began := time.Now()
			if t, err := e.Ask(ctx, dst, lab.SocketOptions{}); err == nil {
				return fmt.Errorf("a flow to %v was carried by %q", dst, t.Network)
			}
			if took := time.Since(began); took > refuseWithin {
				return fmt.Errorf("an app waited %v to hear that %v is not reached", took, dst)
			}
			if _, err := e.AskUDP(dst, lab.SocketOptions{}); err == nil {
				return errors.New("a datagram was carried")
			}
		}
	}
	for _, c := range watched {
		if err := nothing(c, "packets left"); err != nil {
			return err
		}
	}
	return nil
}

// cleanup runs it.
func (e *Env) cleanup(ctx context.Context, flags ...string) error {
	exit, err := e.Daemon.CLI(ctx, append([]string{"cleanup"}, flags...)...)
	if err != nil || exit.Code != 0 {
		return fmt.Errorf("mifvif cleanup: %v: %w", exit, err)
	}
	return nil
}

// cleaned runs cleanup, after which the kernel's own routes hold.
func (e *Env) cleaned(ctx context.Context) error {
	if err := e.cleanup(ctx); err != nil {
		return err
	}
	if _, err := e.Ask(ctx, public4(lab.PortEcho), lab.SocketOptions{}); err != nil {
		return fmt.Errorf("after cleanup: %w", err)
	}
	return nil
}
