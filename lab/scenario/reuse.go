package scenario

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"mifvif/lab"
)

// fewPorts leaves the host a thousand ports of its own: with sixteen server
// ports every four-tuple of 30,000 connections is used about twice.
func fewPorts() lab.Layout {
	l := lab.TwoNetworks()
	l.PortRange = "20000 20999"
	return l
}

// reuse opens connections that the server closes first. Its side of each keeps
// TIME_WAIT; a stack that ignores a new SYN on such a four-tuple makes clients
// hang after some thousand connections.
func reuse(ctx context.Context, e *Env) error {
	const connections = 30_000
	before, err := e.footprint(ctx)
	if err != nil {
		return err
	}
	var next, failed, hung atomic.Int64
	var first atomic.Pointer[error]
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := next.Add(1); i <= connections && ctx.Err() == nil && hung.Load() < 10; i = next.Add(1) {
				err := e.closedByServer(ctx, uint16(i%lab.Ports))
				if err == nil {
					continue
				}
				first.CompareAndSwap(nil, &err)
				failed.Add(1)
				if isTimeout(err) {
					hung.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if failed.Load() > 0 {
		return fmt.Errorf("of %d connections %d failed, %d of them hung, the first: %w",
			min(next.Load(), connections), failed.Load(), hung.Load(), *first.Load())
	}
	return within(ctx, func() error { return e.noLargerThan(ctx, before) })
}

// footprint is what the daemon holds.
type footprint struct{ files, goroutines, flows int }

func (e *Env) footprint(ctx context.Context) (f footprint, err error) {
	if e.Daemon == nil {
		return f, nil
	}
	if f.files, err = e.Daemon.Files(); err != nil {
		return f, err
	}
	var status struct {
		Process struct{ Goroutines int }
		Flows   struct{ TCP int }
	}
	err = e.JSON(ctx, &status, "status")
	f.goroutines, f.flows = status.Process.Goroutines, status.Flows.TCP
	return f, err
}

// noLargerThan returns an error while the daemon holds more than it did before
// the load, but for what is kept for the next one: a hundredth of the load.
func (e *Env) noLargerThan(ctx context.Context, before footprint) error {
	const keptFiles, keptGoroutines = 10, 300
	now, err := e.footprint(ctx)
	if err != nil {
		return err
	}
	if now.flows > before.flows || now.files > before.files+keptFiles || now.goroutines > before.goroutines+keptGoroutines {
		return fmt.Errorf("after the load the daemon holds %+v, before it held %+v", now, before)
	}
	return nil
}

func (e *Env) closedByServer(ctx context.Context, port uint16) error {
	conn, err := e.dial(ctx, public4(lab.PortCloseFirst+port), answerWithin)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	if _, err := in.ReadByte(); err != io.EOF {
		return fmt.Errorf("the server closed, the app saw %w", err)
	}
	return nil
}
