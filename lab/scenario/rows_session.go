package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"mifvif/lab"
	"mifvif/lab/serve"
)

// sessionRows are RFC 6418 4.2 to 4.4: routing and session problems.
func sessionRows() []Scenario {
	return []Scenario{
		{ID: "4.2-6", Title: "10,000 mixed flows while an uplink flaps 20 times: no foreign source at any edge, none hangs, the other uplink loses nothing", Config: byPort, Run: flapping},
		{ID: "4.4-3", Title: "a transfer stays unbroken on its network when a better one appears", Layout: slowThenBetter, Config: byPort, Run: transferStays},
		{ID: "4.4-4", Title: "when a network becomes useless, its flows end and the next connect succeeds on another", Config: byPort, Run: reconnects},
	}
}

// slowThenBetter has n1 at 40 Mbit/s and n2, ranked first by everyone, later.
func slowThenBetter() lab.Layout {
	l := behind(slow())
	l.Networks[1].Detached, l.Networks[1].Metric = true, 50
	return l
}

func transferStays(ctx context.Context, e *Env) error {
	const size = 12 << 20
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	conn, err := e.Host.DialTCP(ctx, public4(firstE2Source), lab.SocketOptions{})
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	elsewhere, err := e.Host.Capture("e2", ports(firstE2Source))
	if err != nil {
		return err
	}
	fmt.Fprintf(conn, "%d\n", size)
	check := &serve.Pattern{}
	if _, err := io.CopyN(check, conn, size/4); err != nil {
		return err
	}
	if err := e.Attach("n2"); err != nil {
		return err
	}
	if err := within(ctx, func() error { return e.Carried(ctx, "n2", public4(firstE2), lab.SocketOptions{}) }); err != nil {
		return fmt.Errorf("new flows: %w", err)
	}
	rest, err := io.Copy(check, conn)
	if err != nil || rest != size-size/4 {
		return fmt.Errorf("the transfer broke after %d of %d bytes: %w", size/4+rest, size, errors.Join(err, io.ErrUnexpectedEOF))
	}
	return nothing(elsewhere, "packets of the transfer were seen on the new network")
}

func reconnects(ctx context.Context, e *Env) error {
	for _, dst := range bothFamilies(firstE1) {
		// The cable is pulled: addresses and routes stay, packets do not pass.
		session, err := e.Talk(ctx, dst, lab.SocketOptions{})
		if err != nil {
			return err
		}
		defer session.Close()
		if session.Network != "n1" {
			return fmt.Errorf("%v was carried by %q, want n1", dst, session.Network)
		}
		if err := e.Unplug("n1"); err != nil {
			return err
		}
		if err := session.Ends(endWithin); err != nil {
			return err
		}
		if err := within(ctx, func() error { return e.Carried(ctx, "n2", dst, lab.SocketOptions{}) }); err != nil {
			return fmt.Errorf("the next connect: %w", err)
		}
		if err := e.Plug("n1"); err != nil {
			return err
		}
		if err := within(ctx, func() error { return e.Carried(ctx, "n1", dst, lab.SocketOptions{}) }); err != nil {
			return fmt.Errorf("after the cable is back: %w", err)
		}
	}
	return nil
}
