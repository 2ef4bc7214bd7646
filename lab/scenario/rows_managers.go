package scenario

import (
	"context"
	"fmt"
	"strings"
	"time"

	"mifvif/lab"
)

// managerRows are RFC 6418 5.5 where several programs want to configure the
// host.
func managerRows() []Scenario {
	return []Scenario{
		{ID: "5.5-C", Title: "what another network manager does to routes and resolver is noticed, put right and said", Config: byPort, Run: otherManager},
	}
}

// otherManager plays a program that makes n2 the host's only network: the best
// default route, the resolver, and mif0's way out gone.
func otherManager(ctx context.Context, e *Env) error {
	if e.Daemon == nil {
		return errNoDaemon
	}
	n2 := e.Network("n2")
	own, err := e.resolver()
	if err != nil {
		return err
	}
	time.Sleep(2 * time.Second) // other programs do not wait for our start
	best := n2.HostRoutes()
	for i := range best {
		best[i].Metric = 1
	}
	if err := e.Host.AddRoute(best...); err != nil {
		return err
	}
	if err := e.Host.WriteFile("/etc/resolv.conf", fmt.Appendf(nil, "nameserver %v\n", n2.Resolver4())); err != nil {
		return err
	}
	if _, err := e.Host.DeleteRules(func(priority int) bool { return priority == 6416 }); err != nil {
		return err
	}
	if err := within(ctx, func() error { return e.Carried(ctx, "n1", public4(onlyE1), lab.SocketOptions{}) }); err != nil {
		return fmt.Errorf("flows after another's default route: %w", err)
	}
	if err := within(ctx, func() error {
		now, err := e.resolver()
		if err == nil && now != own {
			err = fmt.Errorf("the resolver is still %v, was %v", now, own)
		}
		return err
	}); err != nil {
		return err
	}
	for _, word := range []string{"rewritten by somebody else", "removed by somebody else"} {
		if err := within(ctx, func() error {
			if !strings.Contains(e.Daemon.Log(), word) {
				return fmt.Errorf("the daemon did not say %q", word)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return e.Host.DeleteRoute(best...)
}
