package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Task is one load as a process is told it, in JSON.
type Task struct {
	Kind    string         `json:"kind"` // conns, connect, ping, echo, hold or dns
	Network string         `json:"network"`
	Server  netip.AddrPort `json:"server"`
	Ports   int            `json:"ports"` // server ports from Server's up
	Workers int            `json:"workers"`
	Count   int            `json:"count"` // connections, rounds or flows
	Close   string         `json:"close"` // server, client or reset
	// Seconds bounds the load: after so many nothing more is begun. 0 does not.
	Seconds float64 `json:"seconds"`
	// Pause is how long a worker rests after each piece of work, in seconds.
	Pause float64 `json:"pause"`
}

// Outcome is what a load has seen.
type Outcome struct {
	Done    int     `json:"done"`
	Failed  int     `json:"failed"` // hung ones among them
	Seconds float64 `json:"seconds"`
	P50     float64 `json:"p50"` // microseconds
	P99     float64 `json:"p99"`
	First   string  `json:"first"` // error, "" if there was none
}

// Rate returns what was done per second.
func (o Outcome) Rate() float64 {
	if o.Seconds == 0 {
		return 0
	}
	return float64(o.Done) / o.Seconds
}

// Holding is the line that a process prints when the flows of its task "hold"
// are open.
const Holding = "holding"

// patience is how long one connection or answer is waited for.
const patience = 5 * time.Second

// Run does the task. hold is called by the task "hold" while its flows are open.
func Run(ctx context.Context, t Task, hold func()) (Outcome, error) {
	if t.Workers < 1 || t.Count < 1 || t.Ports < 1 {
		return Outcome{}, errors.New("a load needs workers, a count and ports of at least 1")
	}
	switch t.Kind {
	case "conns":
		return conns(ctx, t), nil
	case "connect":
		return connects(ctx, t), nil
	case "ping":
		return ping(ctx, t)
	case "echo":
		return echo(ctx, t)
	case "hold":
		return keep(ctx, t, hold)
	case "dns":
		return queries(ctx, t)
	}
	return Outcome{}, fmt.Errorf("no load %q (conns, connect, ping, echo, hold, dns)", t.Kind)
}

// server returns the address of the i-th piece of work.
func (t Task) server(i int) string {
	return netip.AddrPortFrom(t.Server.Addr(), t.Server.Port()+uint16(i%t.Ports)).String()
}

// quantiles fills P50 and P99.
func (o *Outcome) quantiles(times []time.Duration) {
	if len(times) == 0 {
		return
	}
	slices.Sort(times)
	at := func(q float64) float64 { return float64(times[int(q*float64(len(times)-1))]) / 1e3 }
	o.P50, o.P99 = at(0.5), at(0.99)
}
