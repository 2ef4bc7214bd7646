package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mifvif/lab"
)

const lowestLatency = "defaults: {algorithm: lowest-latency}\n"

// classes gives two classes of apps what they need.
const classes = `
rules:
  - {name: interactive, match: {dscp: ef}, algorithm: lowest-latency}
  - {name: bulk, match: {dscp: cs1}, prefer: [e1]}
`

// farAndNear has n1 100 ms away and n2 10 ms.
func farAndNear() lab.Layout {
	return behind(lab.WireConfig{Delay: 50 * time.Millisecond}, lab.WireConfig{Delay: 5 * time.Millisecond})
}

func pathMemory(ctx context.Context, e *Env) error {
	echo := public4(lab.PortEcho)
	for range 3 { // both paths are tried
		if _, err := e.Ask(ctx, echo, lab.SocketOptions{}); err != nil {
			return err
		}
	}
	if err := patiently(ctx, 30*time.Second, func() error { return e.all(ctx, 5, "n2", echo, lab.SocketOptions{}) }); err != nil {
		return fmt.Errorf("the near network is not preferred: %w", err)
	}
	remembered := func(want bool) error {
		x, err := e.explain(ctx, lab.Public4().String(), "--port", "7")
		if err != nil {
			return err
		}
		for _, c := range x.Candidates {
			if c.PvD == "e1" && strings.Contains(c.Reason, "round trip") == want {
				return nil
			}
		}
		return fmt.Errorf("what is known of the far path is not as it should be (remembered: %v): %v", want, x.Candidates)
	}
	return steps(
		func() error { return remembered(true) },
		func() error { return e.Detach("n1") },
		func() error {
			return within(ctx, func() error {
				x, err := e.explain(ctx, lab.Public4().String())
				if err == nil && !strings.Contains(x.String(), "offline") {
					err = fmt.Errorf("the network that is gone is not missed: %v", x)
				}
				return err
			})
		},
		func() error { return e.Attach("n1") },
		func() error { return within(ctx, func() error { return remembered(false) }) },
	)
}

// Code points of appClasses, in the upper six bits of an octet.
const (
	tosEF  = 46 << 2
	tosCS1 = 8 << 2
)

func appClasses(ctx context.Context, e *Env) error {
	echo := public4(lab.PortEcho)
	for range 3 {
		if _, err := e.Ask(ctx, echo, lab.SocketOptions{TOS: tosEF}); err != nil {
			return err
		}
	}
	return patiently(ctx, 30*time.Second, func() error {
		return errors.Join(
			e.all(ctx, 5, "n2", echo, lab.SocketOptions{TOS: tosEF}),
			e.all(ctx, 5, "n1", echo, lab.SocketOptions{TOS: tosCS1}),
		)
	})
}

func betterOrCheaper(ctx context.Context, e *Env) error {
	echo := public4(lab.PortEcho)
	for range 3 {
		if _, err := e.Ask(ctx, echo, lab.SocketOptions{}); err != nil {
			return err
		}
	}
	if err := patiently(ctx, 30*time.Second, func() error { return e.all(ctx, 5, "n2", echo, lab.SocketOptions{}) }); err != nil {
		return fmt.Errorf("by round trip: %w", err)
	}
	if e.Daemon != nil {
		if err := errors.Join(e.Daemon.SetConfig(lowestLatency+"pvds:\n  - {name: e2, interface: e2, metered: true}\n"), e.Daemon.Reload()); err != nil {
			return err
		}
	}
	return within(ctx, func() error { return e.all(ctx, 5, "n1", echo, lab.SocketOptions{}) })
}

// Connects of silentFirst, and how long the slowest but one of a hundred may take.
const (
	silentConnects = 100
	silentBound    = 400 * time.Millisecond
)

func silentFirst(ctx context.Context, e *Env) error {
	if _, err := e.carriers(ctx, 4); err != nil {
		return err
	}
	e.Wire("n1").SetLoss(1)
	var took []time.Duration
	for i := range silentConnects {
		began := time.Now()
		conn, err := e.App.DialTCP(ctx, public4(uint16(lab.PortEchoFirst+i%8)), lab.SocketOptions{})
		if err != nil {
			return fmt.Errorf("connect %d: %w", i, err)
		}
		took = append(took, time.Since(began))
		conn.Close()
	}
	slices.Sort(took)
	if p99 := took[len(took)*99/100]; p99 > silentBound {
		return fmt.Errorf("the 99th percentile of %d connects took %v, want at most %v", len(took), p99, silentBound)
	}
	return nil
}
