package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"mifvif/lab"
	"mifvif/lab/serve"
)

// liveRows are RFC 6418 3.4: sessions whose network dies.
func liveRows() []Scenario {
	return []Scenario{
		{ID: "3.4-2", Title: "a transfer whose network dies cannot move: its app is told at once, and has the rest by the other network", Layout: slowFirst, Config: byPort, Run: startsAnew},
	}
}

// slowFirst has n1 at 40 Mbit/s, so that a transfer takes its time.
func slowFirst() lab.Layout { return behind(slow()) }

// slow is a wire of 40 Mbit/s.
func slow() lab.WireConfig { return lab.WireConfig{Rate: 40_000_000, Delay: 5 * time.Millisecond} }

func startsAnew(ctx context.Context, e *Env) error {
	const size = 12 << 20
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	conn, err := e.Host.DialTCP(ctx, public4(firstE1Source), lab.SocketOptions{})
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%d\n", size)
	if _, err := io.CopyN(&serve.Pattern{}, conn, size/4); err != nil {
		return err
	}
	if err := e.Unplug("n1"); err != nil {
		return err
	}
	_ = conn.SetReadDeadline(time.Now().Add(endWithin))
	if _, err := io.Copy(io.Discard, conn); !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("the app of the broken transfer is not told that it was reset: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	anew, err := e.Host.DialTCP(ctx, public4(firstE1Source), lab.SocketOptions{})
	if err != nil {
		return fmt.Errorf("anew: %w", err)
	}
	defer anew.Close()
	deadline, _ := ctx.Deadline()
	_ = anew.SetDeadline(deadline)
	fmt.Fprintf(anew, "%d\n", size)
	if n, err := io.Copy(&serve.Pattern{}, anew); err != nil || n != size {
		return fmt.Errorf("anew, after %d of %d bytes: %w", n, size, errors.Join(err, io.ErrUnexpectedEOF))
	}
	return nil
}
