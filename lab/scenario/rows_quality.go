package scenario

import (
	"context"
	"fmt"
	"time"

	"mifvif/lab"
)

// qualityRows are RFC 6418 3.7, 3.8 and 5.5 where nothing but what flows and probes
// show tells networks apart.
func qualityRows() []Scenario {
	return []Scenario{
		{ID: "3.7-5", Title: "a network that begins to lose packets is left by new flows, although it is the nearer one", Layout: nearAndFar, Config: lowestLatency, Run: lossy},
		{ID: "3.8-2", Title: "links that say nothing of themselves are ranked by the round trips that flows show, and anew when those change", Layout: nearAndFar, Config: lowestLatency, Run: roundTripsOnly},
		{ID: "5.5-B", Title: "a link that stays up and falls silent is found out by probes before any app's flow is", Layout: nearAndFar, Config: probed, Run: probesOnly},
	}
}

// nearAndFar has n1, the kernel's choice, 10 ms away and n2 40 ms.
func nearAndFar() lab.Layout {
	return behind(lab.WireConfig{Delay: 5 * time.Millisecond}, lab.WireConfig{Delay: 20 * time.Millisecond})
}

// probed has every uplink asked for a page each second; the nearer one is preferred.
const probed = `
pvds:
  - {name: e1, interface: e1, check: {interval: 1s, url: "http://www.example.net/generate_204"}, dns: {servers: [10.1.0.53]}}
  - {name: e2, interface: e2, check: {interval: 1s, url: "http://www.example.net/generate_204"}, dns: {servers: [10.2.0.53]}}
defaults: {algorithm: lowest-latency}
`

// qualityWithin bounds how long flows take to find out that another network has
// become the better one: the ten seconds of hysteresis, and what has to be seen.
const qualityWithin = 45 * time.Second

// preferred waits until several new flows in a row go by a network.
func (e *Env) preferred(ctx context.Context, network string) error {
	return patiently(ctx, qualityWithin, func() error { return e.all(ctx, 8, network, public4(lab.PortEcho), lab.SocketOptions{}) })
}

func lossy(ctx context.Context, e *Env) error {
	if err := e.preferred(ctx, "n1"); err != nil {
		return fmt.Errorf("while nothing is lost: %w", err)
	}
	e.Wire("n1").SetLoss(0.3)
	if err := e.preferred(ctx, "n2"); err != nil {
		return fmt.Errorf("while a third is lost: %w", err)
	}
	return nil
}

func roundTripsOnly(ctx context.Context, e *Env) error {
	if err := e.preferred(ctx, "n1"); err != nil {
		return err
	}
	e.Wire("n1").SetDelay(100 * time.Millisecond)
	if err := e.preferred(ctx, "n2"); err != nil {
		return fmt.Errorf("after the near network has become the far one: %w", err)
	}
	return nil
}

func probesOnly(ctx context.Context, e *Env) error {
	if err := e.preferred(ctx, "n1"); err != nil {
		return err
	}
	e.Wire("n1").SetLoss(1)
	if e.Daemon != nil {
		err := patiently(ctx, 2*noticeWithin, func() error {
			all, err := e.domains(ctx)
			if err == nil && all["e1"].State == "online" {
				err = fmt.Errorf("the silent network is %s still", all["e1"].State)
			}
			return err
		})
		if err != nil {
			return err
		}
	} else if err := pause(ctx, noticeWithin); err != nil {
		return err
	}
	began := time.Now()
	if err := e.all(ctx, 8, "n2", public4(lab.PortEcho), lab.SocketOptions{}); err != nil {
		return err
	}
	if took := time.Since(began); took > 2*time.Second {
		return fmt.Errorf("8 flows took %v: the silent network was tried", took)
	}
	return nil
}
