package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mifvif/lab"
	"mifvif/lab/serve"
)

// execChecks are commands that one network is for.
func execChecks() []Scenario {
	return []Scenario{{
		ID: "exec", Title: "a command started for a network uses it and no other, reaches nothing without it, and leaves nothing",
		Config: threeActors, Run: confined,
	}}
}

// confinedTool runs a tool in a domain; it may exit with anything.
func (e *Env) confinedTool(ctx context.Context, domain string, command ...string) (lab.Exit, error) {
	if e.Daemon == nil {
		return lab.Exit{}, errNoDaemon
	}
	return e.Daemon.CLI(ctx, append([]string{"exec", "--pvd", domain, "--"}, command...)...)
}

// confined plays a command in n2, while the house prefers n1.
func confined(ctx context.Context, e *Env) error {
	if e.Daemon == nil {
		return errNoDaemon
	}
	before, err := e.Host.Snapshot()
	if err != nil {
		return err
	}
	other, err := e.Host.Capture("e1", func(r lab.Record) bool { return e.public(r.Src) || e.public(r.Dst) })
	if err != nil {
		return err
	}
	defer other.Close()
	for _, url := range []string{"http://203.0.113.80/", "http://[2001:db8:ff::80]/", "http://www.example.net/"} {
		exit, err := e.confinedTool(ctx, "n2", "curl", "-sS", "--max-time", "10", url)
		if err != nil {
			return err
		}
		if _, network, ok := serve.ParseSeen(exit.Stdout); !ok || network != "n2" {
			return fmt.Errorf("curl %s for n2: %v", url, exit)
		}
	}
	for _, dst := range []netip.Addr{lab.Public4(), lab.Public6()} {
		exit, err := e.confinedTool(ctx, "n2", "ping", "-n", "-c", "1", "-W", "3", dst.String())
		if err != nil || exit.Code != 0 {
			return fmt.Errorf("ping %v for n2: %v: %w", dst, exit, err)
		}
	}
	if err := e.askedOnly(ctx, "n2", "for-n2.example.net"); err != nil {
		return err
	}
	if err := e.asBefore(ctx, before); err != nil {
		return err
	}
	if err := e.withoutItsNetwork(ctx); err != nil {
		return err
	}
	return nothing(other, "a command for n2 was seen on n1's link")
}

// public reports whether an address is one of the public servers'.
func (e *Env) public(a netip.Addr) bool { return a == lab.Public4() || a == lab.Public6() }

// askedOnly has a command ask for a name, which one network's resolver must hear and
// no other's.
func (e *Env) askedOnly(ctx context.Context, network, name string) error {
	if _, err := e.confinedTool(ctx, network, "dig", "+tries=1", "+time=3", name); err != nil {
		return err
	}
	for of, resolver := range e.Resolvers {
		asked := slices.ContainsFunc(resolver.Log.Queries(), func(q serve.Query) bool { return strings.HasPrefix(q.Name, name) })
		if asked != (of == network) {
			return fmt.Errorf("the resolver of %s was asked for %s: %v", of, name, asked)
		}
	}
	return nil
}

// withoutItsNetwork takes the network away: connections are refused at once.
func (e *Env) withoutItsNetwork(ctx context.Context) error {
	if err := e.LinkDown("n2"); err != nil {
		return err
	}
	return within(ctx, func() error {
		exit, err := e.confinedTool(ctx, "n2", "curl", "-sS", "--max-time", "3", "http://203.0.113.80/")
		const refused, unreachable = 7, "reaches nothing until it is online"
		if err == nil && (exit.Code != refused || !strings.Contains(exit.Stderr, unreachable)) {
			err = fmt.Errorf("curl for a network that is away: %v", exit)
		}
		return err
	})
}

// asBefore waits until nothing of a command is left.
func (e *Env) asBefore(ctx context.Context, before lab.Snapshot) error {
	return within(ctx, func() error {
		now, err := e.Host.Snapshot()
		if err != nil {
			return err
		}
		if diff := before.Differences(now); len(diff) > 0 {
			return fmt.Errorf("commands have changed the host:\n%s", strings.Join(diff, "\n"))
		}
		return nil
	})
}
