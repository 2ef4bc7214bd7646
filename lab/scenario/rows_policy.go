package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"mifvif/lab"
)

// policyRows are RFC 6418 3.7, 3.8, 4.2, 4.3, 5.3, 5.5 and 6 where several actors
// and what is known of paths decide.
func policyRows() []Scenario {
	return []Scenario{
		{ID: "3.1", Title: "a metered network is used only where nothing else is left", Config: metered, Run: meteredLast},
		{ID: "3.3-3", Title: "what flows show of a path is remembered, and forgotten when its network comes back", Layout: farAndNear, Config: lowestLatency, Run: pathMemory},
		{ID: "3.6-2", Title: "an app learns which network and source carry a flow, and has them for the next flow too", Config: threeActors, Run: referral},
		{ID: "3.7-2", Title: "the same question has the same answer, explained step by step, and flows follow it", Config: threeActors, Run: explained},
		{ID: "3.7-3", Title: "a user's preference is followed for the user's own flows and nobody else's", Config: threeActors, Run: userPrefers},
		{ID: "3.7-7", Title: "low-latency flows take the near network and bulk the cheap one, at the same time", Layout: farAndNear, Config: classes, Run: appClasses},
		{ID: "3.8-1", Title: "locked rules, users' and the administrator's are reconciled in one place", Config: threeActors, Run: reconciled},
		{ID: "3.8-3", Title: "decisions are explained in words that do not change", Config: threeActors, Run: golden},
		{ID: "4.2-2", Title: "the better of two working networks is chosen, and cost where cost is preferred", Layout: farAndNear, Config: lowestLatency, Run: betterOrCheaper},
		{ID: "4.2-4", Title: "without any policy a silent network costs a connect less than 400 ms", Layout: weakLink, Config: noAffinity, Run: silentFirst},
		{ID: "4.3-2", Title: "two networks claim one destination: policy decides, traffic is stable, and the conflict is named", Config: threeActors, Run: contested},
		{ID: "4.3-3", Title: "an operator that calls its network overloaded is followed, unless the user says otherwise, and that is a conflict", Layout: overloaded, Config: sharedLink, Run: operatorAdvises},
		{ID: "5.3-C", Title: "preferences of several actors merge into one order", Config: threeActors, Run: merged},
		{ID: "5.3-D", Title: "a rule that cannot be reconciled with a higher one is dropped, with the reason", Config: threeActors, Run: irreconcilable},
		{ID: "5.4-C", Title: "an app binds to a network by its handle: that network or an error", Config: threeActors, Run: bindsHandle},
		{ID: "5.5-A", Title: "a daemon that starts anew decides as before", Config: threeActors, Run: sameAfterRestart},
		{ID: "5.5-E", Title: "a user's rule decides where the user's names are asked and where the flows go", Config: threeActors, Run: namesAndFlows},
	}
}

// metered prefers nothing, and e1 costs.
const metered = "pvds:\n  - {name: n1, interface: e1, metered: true}\n"

// noAffinity decides for each flow by itself.
const noAffinity = "defaults: {affinity: none}\n"

// threeActors has the administrator prefer e1 and lock one port to it; the user
// whose file is in userFile prefers e2.
const threeActors = `
pvds:
  - {name: n1, interface: e1, dns: {servers: [10.1.0.53]}}
  - {name: n2, interface: e2, dns: {servers: [10.2.0.53]}}
rules:
  - {name: vpn-only, match: {port: 7001}, require: [n1], locked: true}
  - {name: house, prefer: [n1, n2]}
`

func meteredLast(ctx context.Context, e *Env) error {
	echo := public4(lab.PortEcho)
	if err := e.all(ctx, 10, "n2", echo, lab.SocketOptions{}); err != nil {
		return err
	}
	if err := e.Detach("n2"); err != nil {
		return err
	}
	return within(ctx, func() error { return e.all(ctx, 1, "n1", echo, lab.SocketOptions{}) })
}

// contested has both networks route the public server's prefix, n1 by the worse
// metric; the house's order decides.
func contested(ctx context.Context, e *Env) error {
	told, err := e.watch(ctx)
	if err != nil {
		return err
	}
	prefix := netip.PrefixFrom(lab.Public4(), 24).Masked()
	for i, name := range []string{"n2", "n1"} {
		n := e.Network(name)
		if err := e.Host.AddRoute(lab.Route{To: prefix, Via: n.Gateway4(), Dev: n.Link, Metric: 10 + i}); err != nil {
			return err
		}
	}
	err = within(ctx, func() error {
		x, err := e.explain(ctx, lab.Public4().String(), "--port", "7")
		if err == nil && (len(x.Conflicts) != 1 || x.Conflicts[0].Winner != "n1" || x.Conflicts[0].Loser != "n2") {
			err = fmt.Errorf("conflicts %+v", x.Conflicts)
		}
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(
		told.once(ctx, "conflict", "n2", prefix.String()),
		e.all(ctx, 20, "n1", public4(lab.PortEcho), lab.SocketOptions{}),
		e.all(ctx, 20, "n1", public6(lab.PortEcho), lab.SocketOptions{}),
	)
}
