package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mifvif/lab"
)

// validationRows are RFC 6418 3.7, 4.4 and 5.5 where an address does not mean
// that anything can be reached.
func validationRows() []Scenario {
	return []Scenario{
		{ID: "3.7-6", Title: "a network without way to the Internet gets no flows until it has one", Config: proven, Run: blackholed},
		{ID: "4.4-2", Title: "a link that is up and carries nothing is left, and used again when it carries", Layout: weakLink, Config: proven, Run: deadAir},
		{ID: "5.5-F", Title: "a configured network is used after it has proven itself, not before", Layout: firstLater, Config: proven, Run: provesItself},
	}
}

// proven has every uplink asked for a page each second, and every flow decided
// for itself.
const proven = `
pvds:
  - {name: n1, interface: e1, check: {interval: 1s, url: "http://www.example.net/generate_204"}, dns: {servers: [10.1.0.53]}}
  - {name: n2, interface: e2, check: {interval: 1s, url: "http://www.example.net/generate_204"}, dns: {servers: [10.2.0.53]}}
defaults: {affinity: none}
`

// weakLink has n1 behind a wire that may fall silent.
func weakLink() lab.Layout { return behind(lab.WireConfig{}) }

// noticeWithin bounds how long a network that fails or recovers is misjudged:
// two probes of three seconds' patience and what lies between.
const noticeWithin = 10 * time.Second

// carriers returns how many of n new TCP flows each network carried.
func (e *Env) carriers(ctx context.Context, n int) (map[string]int, error) {
	seen := make(map[string]int)
	for range n {
		t, err := e.Ask(ctx, public4(lab.PortEcho), lab.SocketOptions{})
		if err != nil {
			return seen, err
		}
		seen[t.Network]++
	}
	return seen, nil
}

// shared waits until both networks carry new flows.
func (e *Env) shared(ctx context.Context) error {
	return patiently(ctx, noticeWithin, func() error {
		seen, err := e.carriers(ctx, 20)
		if err == nil && (seen["n1"] == 0 || seen["n2"] == 0) {
			err = fmt.Errorf("of 20 flows the networks carried %v", seen)
		}
		return err
	})
}

// left waits until mifvif has noticed, and then wants every flow on n2.
func (e *Env) left(ctx context.Context) error {
	if e.Daemon != nil {
		if err := patiently(ctx, noticeWithin, func() error { return e.inState(ctx, "n1", "degraded") }); err != nil {
			return err
		}
	}
	seen, err := e.carriers(ctx, 40)
	if err == nil && seen["n2"] != 40 {
		err = fmt.Errorf("of 40 flows the networks carried %v", seen)
	}
	return err
}

// patiently is within for what takes its time.
func patiently(ctx context.Context, patience time.Duration, f func() error) error {
	end := time.Now().Add(patience)
	for {
		err := f()
		if err == nil || time.Now().After(end) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// wayBack adds or takes away the core's routes to n1: without them everything
// that goes there is lost in silence.
func (e *Env) wayBack(there bool) error {
	n := e.Network("n1")
	routes := []lab.Route{{To: n.Own4(), Kind: "blackhole", Metric: 1}, {To: n.Own6(), Kind: "blackhole", Metric: 1}}
	if there {
		return e.Core.DeleteRoute(routes...)
	}
	return e.Core.AddRoute(routes...)
}

func blackholed(ctx context.Context, e *Env) error {
	return steps(
		func() error { return e.shared(ctx) },
		func() error { return e.wayBack(false) },
		func() error { return e.left(ctx) },
		func() error { return e.wayBack(true) },
		func() error { return e.shared(ctx) },
	)
}

func deadAir(ctx context.Context, e *Env) error {
	wire := e.Wire("n1")
	if err := e.shared(ctx); err != nil {
		return err
	}
	wire.SetLoss(1)
	if err := e.left(ctx); err != nil {
		return err
	}
	wire.SetLoss(0)
	return e.shared(ctx)
}

func provesItself(ctx context.Context, e *Env) error {
	if err := e.wayBack(false); err != nil {
		return err
	}
	probes := ports(80)
	flows, err := e.Host.Capture("e1", func(r lab.Record) bool { return r.Out && r.Dst == lab.Public4() && !probes(r) })
	if err != nil {
		return err
	}
	defer flows.Close()
	if err := e.Attach("n1"); err != nil {
		return err
	}
	if err := e.left(ctx); err != nil {
		return err
	}
	if err := nothing(flows, "flows went by a network that has proven nothing"); err != nil {
		return err
	}
	if err := e.wayBack(true); err != nil {
		return err
	}
	return e.shared(ctx)
}
