package load

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

// echoWait is how long an echo may take before its datagram counts as lost.
const echoWait = time.Second

// echo opens as many UDP flows as the task says and has every one of them ask
// rounds times; workers of them wait for an answer at a time.
func echo(ctx context.Context, t Task) (Outcome, error) {
	const rounds = 4
	flows, err := open(t)
	defer closeAll(flows)
	if err != nil {
		return Outcome{}, err
	}
	return pool(ctx, t, rounds*t.Count, func(i int) error {
		c := flows[i%t.Count]
		_ = c.SetReadDeadline(time.Now().Add(echoWait))
		if _, err := io.WriteString(c, message); err != nil {
			return err //nolint:wrapcheck // shown as it is
		}
		var buf [256]byte
		_, err := c.Read(buf[:])
		return err //nolint:wrapcheck // shown as it is
	}), nil
}

// keep opens the task's flows, lets each say something, and holds them open
// while hold runs.
func keep(ctx context.Context, t Task, hold func()) (Outcome, error) {
	flows, err := open(t)
	defer closeAll(flows)
	if err != nil {
		return Outcome{}, err
	}
	out := pool(ctx, t, t.Count, func(i int) error {
		_ = flows[i].SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(flows[i], message); err != nil {
			return err //nolint:wrapcheck // shown as it is
		}
		var buf [256]byte
		_, err := flows[i].Read(buf[:])
		return err //nolint:wrapcheck // shown as it is
	})
	hold()
	return out, nil
}

// open opens the task's flows, some at a time.
func open(t Task) ([]net.Conn, error) {
	flows := make([]net.Conn, t.Count)
	t.Seconds, t.Pause = 0, 0
	out := pool(context.Background(), t, t.Count, func(i int) (err error) {
		flows[i], err = net.DialTimeout(t.Network, t.server(i), patience)
		return err //nolint:wrapcheck // wrapped below
	})
	if out.Failed > 0 {
		return flows, fmt.Errorf("open %d flows: %s", t.Count, out.First)
	}
	return flows, nil
}

func closeAll(flows []net.Conn) {
	for _, c := range flows {
		if c != nil {
			c.Close()
		}
	}
}
