package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"mifvif/lab"
)

// ownTable is the contract's table that draws traffic into mif0.
const ownTable = 64180

func ownsMapping(ctx context.Context, e *Env) error {
	if e.Daemon == nil {
		return errNoDaemon
	}
	return steps(
		func() error { return e.repairs(ctx) },
		func() error { return e.survivesKill(ctx) },
		func() error { return e.leavesNothing(ctx) },
	)
}

// repairs deletes the default routes to mif0, then everything else that makes it
// the way out; all must come back.
func (e *Env) repairs(ctx context.Context) error {
	for _, dst := range []netip.Addr{lab.Public4(), lab.Public6()} {
		if err := e.routeIs(dst, "mif0"); err != nil {
			return err
		}
		all := netip.PrefixFrom(dst, 0).Masked()
		if err := e.Host.DeleteRoute(lab.Route{To: all, Dev: "mif0", Table: ownTable}); err != nil {
			return err
		}
		if err := within(ctx, func() error { return e.routeIs(dst, "mif0") }); err != nil {
			return fmt.Errorf("the default route to mif0 was not restored: %w", err)
		}
	}
	return e.repairsAll(ctx)
}

// repairsAll takes away everything that is the daemon's, one kind after another:
// what stands there afterwards must be what stood there before.
func (e *Env) repairsAll(ctx context.Context) error {
	house := netip.MustParsePrefix
	for what, damage := range map[string]func() (int, error){
		"rules": func() (int, error) {
			return e.Host.DeleteRules(func(priority int) bool { return priority >= 6410 && priority <= 6419 })
		},
		"routes": func() (int, error) {
			return e.Host.DeleteRoutes(func(table int) bool { return table >= ownTable && table < 65300 })
		},
		"filter": func() (int, error) { return 1, e.Host.DeleteFilter("mifvif") },
		"addresses": func() (int, error) {
			return 2, e.Host.DeleteAddress("mif0", house("198.18.0.1/15"), house("2001:2::1/48"))
		},
		"link": func() (int, error) { return 1, e.Host.LinkDown("mif0") },
	} {
		if err := e.repaired(ctx, damage); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// repaired does a damage and waits until it is undone.
func (e *Env) repaired(ctx context.Context, damage func() (int, error)) error {
	before, err := e.Host.Snapshot()
	if err != nil {
		return err
	}
	removed, err := damage()
	if err != nil {
		return err
	}
	if removed == 0 {
		return errors.New("the daemon has none of its own")
	}
	return within(ctx, func() error {
		now, err := e.Host.Snapshot()
		if err != nil {
			return err
		}
		if diff := before.Differences(now); len(diff) > 0 {
			return fmt.Errorf("%d were removed and not restored:\n%s", removed, strings.Join(diff, "\n"))
		}
		return nil
	})
}

func (e *Env) routeIs(dst netip.Addr, want string) error {
	link, err := e.Host.RouteOf(dst, netip.Addr{})
	if err == nil && link != want {
		err = fmt.Errorf("the route of %v is %s, want %s", dst, link, want)
	}
	return err
}

// survivesKill kills the daemon: the kernel's own routes hold at once, and a
// new start takes over what is left.
func (e *Env) survivesKill(ctx context.Context) error {
	e.Daemon.Kill()
	for _, dst := range bothFamilies(lab.PortEcho) {
		if err := e.Carried(ctx, "n1", dst, lab.SocketOptions{}); err != nil {
			return fmt.Errorf("after kill -9 the kernel's own routes do not hold: %w", err)
		}
	}
	if err := e.cleanup(ctx); err != nil {
		return err
	}
	after, err := e.Host.Snapshot()
	if err != nil {
		return err
	}
	if left := leftovers(after); len(left) > 0 {
		return fmt.Errorf("after cleanup there is still:\n%s", strings.Join(left, "\n"))
	}
	for range 2 { // the second start finds what the first one left
		if err := e.StartDaemon(ctx); err != nil {
			return err
		}
		if err := e.Carried(ctx, "n1", public4(lab.PortEcho), lab.SocketOptions{Device: "e1"}); err != nil {
			return err
		}
		e.Daemon.Kill()
	}
	return nil
}

// leavesNothing stops the daemon in order: the host is as before its start.
func (e *Env) leavesNothing(ctx context.Context) error {
	if err := e.cleanup(ctx); err != nil {
		return err
	}
	before, err := e.Host.Snapshot()
	if err != nil {
		return err
	}
	if err := e.StartDaemon(ctx); err != nil {
		return err
	}
	if _, err := e.Ask(ctx, public4(lab.PortEcho), lab.SocketOptions{}); err != nil {
		return err
	}
	if err := e.Daemon.Stop(ctx); err != nil {
		return err
	}
	after, err := e.Host.Snapshot()
	if err != nil {
		return err
	}
	if diff := before.Differences(after); len(diff) > 0 {
		return fmt.Errorf("the host is not as before:\n%s", strings.Join(diff, "\n"))
	}
	return e.StartDaemon(ctx) // the player expects one
}
