package scenario

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mifvif/lab"
)

// shareChecks are measurements of how several uplinks are used together.
func shareChecks() []Scenario {
	return []Scenario{
		{ID: "least-used-2", Title: "16 downloads fill two uplinks of 100 Mbit/s", Layout: lines(2), Config: leastUsed(2), Run: filled(2)},
		{ID: "least-used-4", Title: "16 downloads fill four uplinks of 100 Mbit/s", Layout: lines(4), Config: leastUsed(4), Run: filled(4)},
	}
}

// Of each uplink, and what part of all of them together the apps must get: the
// rest is headers.
const (
	lineRate = 100_000_000 // bit/s
	share    = 0.93
)

// How long the downloads get to find their rate, and how long they are measured.
const (
	settling  = 3 * time.Second
	measuring = 20 * time.Second
)

// lines is a host with n equal uplinks.
func lines(n int) func() lab.Layout {
	return func() lab.Layout {
		var l lab.Layout
		for i := range n {
			l.Networks = append(l.Networks, lab.Network{
				Name: fmt.Sprint("n", i+1), Number: i + 1, Link: fmt.Sprint("e", i+1),
				Impairment: &lab.WireConfig{Rate: lineRate, Delay: 2 * time.Millisecond},
			})
		}
		return l
	}
}

func leastUsed(n int) string {
	config := new(strings.Builder)
	config.WriteString("pvds:\n")
	for i := range n {
		fmt.Fprintf(config, "  - {name: n%d, interface: e%[1]d, bandwidth: {down: 100mbit, up: 100mbit}}\n", i+1)
	}
	config.WriteString("defaults: {algorithm: least-used, affinity: none}\n")
	return config.String()
}

// filled measures what sixteen downloads get of n uplinks.
func filled(n int) func(context.Context, *Env) error {
	return func(ctx context.Context, e *Env) error {
		var got atomic.Int64
		stop, err := e.downloads(ctx, 16, counter{&got})
		if err != nil {
			return err
		}
		defer stop()
		if err := pause(ctx, settling); err != nil {
			return err
		}
		before := got.Load()
		if err := pause(ctx, measuring); err != nil {
			return err
		}
		rate := float64(got.Load()-before) * 8 / measuring.Seconds()
		if rate < share*float64(n*lineRate) {
			return fmt.Errorf("16 downloads got %.1f Mbit/s of %d x 100 Mbit/s, want %.1f", rate/1e6, n, share*float64(n)*lineRate/1e6)
		}
		return nil
	}
}

// downloads begins downloads that do not end by themselves, each of another port,
// into a writer that all of them use, and returns what ends them.
func (e *Env) downloads(ctx context.Context, count uint16, into io.Writer) (stop func(), err error) {
	var running sync.WaitGroup
	var conns []net.Conn
	stop = sync.OnceFunc(func() {
		for _, c := range conns {
			c.Close()
		}
		running.Wait()
	})
	for i := range count {
		c, err := e.App.DialTCP(ctx, public4(lab.PortSourceFrom+i), lab.SocketOptions{})
		if err != nil {
			stop()
			return nil, err
		}
		conns = append(conns, c)
		fmt.Fprintf(c, "%d\n", 1<<40)
		running.Go(func() { _, _ = io.Copy(into, c) })
	}
	return stop, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// counter counts what is written to it.
type counter struct{ n *atomic.Int64 }

func (c counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}
