package scenario

import (
	"context"
	"fmt"
	"time"

	"mifvif/lab"
)

// commandChecks are what people change while mifvif runs.
func commandChecks() []Scenario {
	return []Scenario{
		{ID: "drain", Title: "a drained network gets no new flows, the old ones stay until the deadline", Config: threeActors, Run: drained},
		{ID: "rules", Title: "a user's rule holds as soon as it is added, and no longer than it is there", Config: threeActors, Run: ownRules},
	}
}

// command runs one that must succeed.
func (e *Env) command(ctx context.Context, args ...string) error {
	if e.Daemon == nil {
		return errNoDaemon
	}
	exit, err := e.Daemon.CLI(ctx, args...)
	if err == nil && exit.Code != 0 {
		err = fmt.Errorf("mifvif %v: %v", args, exit)
	}
	return err
}

func drained(ctx context.Context, e *Env) error {
	echo := public4(lab.PortEcho)
	old, err := e.Talk(ctx, echo, lab.SocketOptions{})
	if err != nil {
		return err
	}
	defer old.Close()
	const deadline = 3 * time.Second
	return steps(
		func() error { return e.command(ctx, "drain", "n1", "--deadline", deadline.String()) },
		func() error { return e.all(ctx, 5, "n2", echo, lab.SocketOptions{}) },
		old.Say, // still there
		func() error { return old.Ends(2 * deadline) },
		func() error { return e.command(ctx, "undrain", "n1") },
		func() error { return e.all(ctx, 5, "n1", echo, lab.SocketOptions{}) },
	)
}

func ownRules(ctx context.Context, e *Env) error {
	echo := public4(lab.PortEcho)
	return steps(
		func() error { return e.all(ctx, 3, "n1", echo, lab.SocketOptions{}) },
		func() error { return e.command(ctx, "rules", "add", "{name: mine, match: {port: 7}, prefer: [n2]}") },
		func() error { return e.carriedAs(ctx, 0, "n2", echo) },
		func() error { return e.carriedAs(ctx, userID, "n1", echo) },
		func() error { return e.command(ctx, "rules", "rm", "mine") },
		func() error { return e.carriedAs(ctx, 0, "n1", echo) },
	)
}
