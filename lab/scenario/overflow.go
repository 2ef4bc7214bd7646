package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"mifvif/lab"
)

// overflowChecks show that the second uplink gets new flows exactly while the
// first one is full, whether its bandwidth is declared or has to be found out.
func overflowChecks() []Scenario {
	const declared = "pvds: [{name: n1, interface: e1, bandwidth: {down: 20mbit, up: 20mbit}}, {name: n2, interface: e2, bandwidth: {down: 20mbit, up: 20mbit}}]\n"
	const by = "defaults: {algorithm: overflow, affinity: none}\n"
	return []Scenario{
		{ID: "overflow", Title: "new flows take the second uplink while the first is above 90 % of its bandwidth, and no other", Layout: narrow, Config: declared + by, Run: overflows},
		{ID: "overflow-measured", Title: "the same where nobody has declared a bandwidth", Layout: narrow, Config: by, Run: overflows},
	}
}

// narrowRate is what each of the two uplinks carries.
const narrowRate = 20_000_000 // bit/s

// narrow is a host with two uplinks that queue for 60 ms when they are full.
func narrow() lab.Layout {
	wire := lab.WireConfig{Rate: narrowRate, Delay: 5 * time.Millisecond, Queue: 100}
	return behind(wire, wire)
}

// How long the second uplink's measurement, and what connects show of a full
// uplink, may take to be known.
const noticing = 3 * time.Second

func overflows(ctx context.Context, e *Env) error {
	for range 2 { // what was learnt of the first time must not matter
		if err := e.halfFull(ctx); err != nil {
			return err
		}
		if err := e.full(ctx); err != nil {
			return err
		}
	}
	return nil
}

// halfFull loads the first uplink with about half of what it carries.
func (e *Env) halfFull(ctx context.Context) error {
	const every = 25 * time.Millisecond
	block := make([]byte, narrowRate/2/8/int(time.Second/every))
	talk, err := e.Talk(ctx, public4(lab.PortEcho), lab.SocketOptions{})
	if err != nil {
		return err
	}
	var load sync.WaitGroup
	defer load.Wait()
	defer talk.Close()
	if talk.Network != "n1" {
		return fmt.Errorf("with nothing in use a flow was carried by %s, want n1", talk.Network)
	}
	load.Go(func() { _, _ = io.Copy(io.Discard, talk.in) })
	load.Go(func() {
		for {
			if _, err := talk.conn.Write(block); err != nil {
				return
			}
			time.Sleep(every)
		}
	})
	if err := pause(ctx, noticing); err != nil {
		return err
	}
	return e.newFlows(ctx, "n1", "at half its rate")
}

// full loads it with two downloads as fast as they go, and ends them.
func (e *Env) full(ctx context.Context) error {
	stop, err := e.downloads(ctx, 2, io.Discard)
	if err != nil {
		return err
	}
	defer stop()
	if err := pause(ctx, noticing); err != nil {
		return err
	}
	if err := e.found(ctx); err != nil {
		return err
	}
	if err := e.newFlows(ctx, "n2", "full"); err != nil {
		return err
	}
	stop()
	if err := pause(ctx, noticing); err != nil {
		return err
	}
	return e.newFlows(ctx, "n1", "free again")
}

// found opens flows until one takes the second uplink: where no bandwidth is
// declared, connects have to show first that the uplink is full.
func (e *Env) found(ctx context.Context) error {
	return within(ctx, func() error {
		t, err := e.Ask(ctx, public4(lab.PortEcho), lab.SocketOptions{})
		if err != nil {
			return err
		}
		if t.Network != "n2" {
			return errors.New("no flow takes the second uplink")
		}
		return nil
	})
}

// newFlows opens a flow every tenth of a second, for some seconds, and wants
// each of them on one network, since the first uplink is as it is.
func (e *Env) newFlows(ctx context.Context, network, first string) error {
	for i := range 30 {
		t, err := e.Ask(ctx, public4(lab.PortEcho), lab.SocketOptions{})
		if err != nil {
			return err
		}
		if t.Network != network {
			return fmt.Errorf("with the first uplink %s new flow %d was carried by %s, want %s", first, i, t.Network, network)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
