package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"

	"mifvif/bench/load"
	"mifvif/lab"
)

// The flood of ra-flood, and how long the host is watched before it.
const (
	floodFor   = 60 * time.Second
	calmFor    = 10 * time.Second
	floodRate  = 1000 // advertisements a second
	floodPause = 5 * time.Millisecond
)

// floodRow has somebody on n1's link claim to be a thousand routers, and looks at
// connects and datagrams of n2 meanwhile.
func floodRow() Row {
	return Row{
		ID: "ra-flood", Title: "connect by the other network, p99 while 1,000 router advertisements a second come for a minute, to that before",
		Unit: "x", Less: true, Turns: 1, Layout: flooded, Fresh: true, measure: flood,
	}
}

func flood(ctx context.Context, s *system) (sample, error) {
	calm, _, err := s.beside(ctx, calmFor)
	if err != nil {
		return sample{}, err
	}
	rss, err := s.rss()
	if err != nil {
		return sample{}, err
	}
	cpu, err := s.cpu()
	if err != nil {
		return sample{}, err
	}
	flooding, stop := context.WithCancel(ctx)
	defer stop()
	var sent int
	var most float64
	var failed error
	var running sync.WaitGroup
	running.Go(func() { sent, failed = s.world.Node("n1").Flood(flooding, "lan", floodRate, s.world.Network("n2").Lie) })
	running.Go(func() { most = s.largest(flooding) })
	during, lost, err := s.beside(ctx, floodFor)
	stop()
	running.Wait()
	if err = errors.Join(err, failed); err != nil {
		return sample{}, err
	}
	if least := floodRate * int(floodFor/time.Second) / 2; sent < least {
		return sample{}, fmt.Errorf("only %d advertisements were sent, at least %d make a flood", sent, least)
	}
	used, err := s.cpu()
	out := sample{value: during.P99 / calm.P99, extra: map[string]float64{
		"p99 before us": calm.P99, "p99 during us": during.P99, "p50 before us": calm.P50, "p50 during us": during.P50,
		"failed": float64(during.Failed), "datagrams lost": float64(lost.Failed),
	}}
	if s.daemon != nil {
		out.extra["RSS growth MiB"], out.extra["CPU s"] = (most-rss)/(1<<20), used-cpu
	}
	return out, err
}

// beside opens connections one after the other and has datagrams echoed for a
// time, by processes of their own, and returns how both went.
func (s *system) beside(ctx context.Context, howLong time.Duration) (connects, datagrams load.Outcome, err error) {
	task := func(kind, network string) load.Task {
		return load.Task{
			Kind: kind, Network: network, Server: netip.AddrPortFrom(lab.Public4(), lab.PortEchoFirst), Ports: 1, Workers: 1,
			Count: math.MaxInt32, Seconds: howLong.Seconds(), Pause: floodPause.Seconds(),
		}
	}
	var failed error
	var running sync.WaitGroup
	running.Go(func() { datagrams, failed = s.load(ctx, task("ping", "udp")) })
	connects, err = s.load(ctx, task("connect", "tcp"))
	running.Wait()
	return connects, datagrams, errors.Join(err, failed)
}

// largest returns the most memory that the daemon held until ctx ended, in bytes.
func (s *system) largest(ctx context.Context) (most float64) {
	for ctx.Err() == nil {
		if now, err := s.rss(); err == nil {
			most = max(most, now)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return most
}
