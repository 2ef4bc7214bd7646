package scenario

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mifvif/lab"
)

const (
	mixedFlows = 10_000
	flaps      = 20
	workers    = 24
)

// flapping opens many flows of every kind while e1 goes down and up. Flows of
// e1 may break, but they must say so; flows pinned to e2, TCP and UDP, must lose
// nothing, and new ones that prefer it must succeed there; no packet may reach an
// edge with a source that is not that network's.
func flapping(ctx context.Context, e *Env) error {
	opt := lab.SocketOptions{}
	if e.Daemon == nil {
		opt.Device = "e2" // the kernel knows no rule; what happens to the rest is of interest
	}
	pinned, err := e.talksWith(ctx, opt, 50, "n2", bothFamilies(onlyE2)...)
	if err != nil {
		return err
	}
	defer closeAll(pinned)
	sockets, err := e.sockets(opt, 10, "n2", bothFamilies(onlyE2)...)
	if err != nil {
		return err
	}
	defer closeSockets(sockets)
	stop, heard := make(chan struct{}), make(chan error, 2)
	go func() { heard <- sayUntil(pinned, stop) }()
	go func() { heard <- sayUntil(sockets, stop) }()

	flapped := make(chan error, 1)
	go func() { flapped <- e.flap(ctx) }()
	tally := e.mixed(ctx, flapped)

	close(stop)
	if lost := errors.Join(<-heard, <-heard); lost != nil {
		return fmt.Errorf("flows pinned to the untouched uplink: %w", firstLine(lost))
	}
	return tally.verdict()
}

// flap takes e1 down and up; every third time only the cable is pulled.
func (e *Env) flap(ctx context.Context) error {
	for i := range flaps {
		down, up := e.LinkDown, e.LinkUp
		if i%3 == 2 {
			down, up = e.Unplug, e.Plug
		}
		if err := down("n1"); err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
		if err := up("n1"); err != nil {
			return err
		}
		time.Sleep(150 * time.Millisecond)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// A tally counts how the mixed flows went.
type tally struct {
	done, failed, hung, harmed, n1, n2 atomic.Int64

	mu     sync.Mutex
	hangs  string // a flow that hung
	harm   string // a flow that preferred the untouched uplink and was not carried there
	broken error  // the flapping itself
}

// mixed runs the flows, at least mixedFlows and as long as the flapping lasts.
func (e *Env) mixed(ctx context.Context, flapped <-chan error) *tally {
	t := &tally{}
	var next atomic.Int64
	over := make(chan struct{})
	go func() {
		defer close(over)
		t.broken = <-flapped
	}()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := next.Add(1)
				select {
				case <-over:
					if i > mixedFlows {
						return
					}
				default:
				}
				what, network, err := e.mixedFlow(ctx, int(i))
				t.count(what, network, err)
				if e.Daemon != nil && i%3 == 1 && strings.HasSuffix(what, strconv.Itoa(int(firstE2))) {
					t.steady(what, network, err)
				}
			}
		})
	}
	wg.Wait()
	<-over
	return t
}

// mixedFlow opens the i-th flow: TCP, UDP, ICMP echo, DNS, both families, preferring
// either uplink or none, and returns which network carried it.
func (e *Env) mixedFlow(ctx context.Context, i int) (what, network string, err error) {
	dst := bothFamilies([]uint16{firstE1, firstE2, lab.PortEcho}[i%3])[i/3%2]
	switch i / 6 % 5 {
	case 0, 1:
		network, err = e.oneTCP(ctx, dst)
		return "tcp to " + dst.String(), network, err
	case 3:
		return "echo to " + dst.Addr().String(), "", e.oneEcho(dst.Addr(), uint16(i))
	case 4:
		return "dns", "", e.oneDNS()
	}
	network, err = e.oneUDP(dst)
	return "udp to " + dst.String(), network, err
}

func (t *tally) count(what, network string, err error) {
	t.done.Add(1)
	switch network {
	case "n1":
		t.n1.Add(1)
	case "n2":
		t.n2.Add(1)
	}
	if err == nil {
		return
	}
	t.failed.Add(1)
	if isTimeout(err) {
		t.hung.Add(1)
		t.mu.Lock()
		defer t.mu.Unlock()
		t.hangs = what + ": " + err.Error()
	}
}

// steady counts a flow that prefers the untouched uplink.
func (t *tally) steady(what, network string, err error) {
	if err == nil && network == "n2" {
		return
	}
	t.harmed.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.harm = fmt.Sprintf("%s, by %q: %v", what, network, err)
}

// verdict wants both uplinks used, no hang, and few failures: only flows that
// were on e1 when it fell may fail.
func (t *tally) verdict() error {
	done, failed := t.done.Load(), t.failed.Load()
	switch {
	case t.broken != nil:
		return fmt.Errorf("flap e1: %w", t.broken)
	case t.hung.Load() > 0:
		return fmt.Errorf("%d of %d flows hung, one was %s", t.hung.Load(), done, t.hangs)
	case t.harmed.Load() > 0:
		return fmt.Errorf("%d flows that prefer the untouched uplink were not carried by it, one was %s", t.harmed.Load(), t.harm)
	case failed > done/10:
		return fmt.Errorf("%d of %d flows failed although one uplink always was there", failed, done)
	case t.n1.Load() < done/20 || t.n2.Load() < done/20:
		return fmt.Errorf("n1 carried %d and n2 %d of %d flows: the load was not mixed", t.n1.Load(), t.n2.Load(), done)
	}
	return nil
}
