package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"mifvif/lab"
	"mifvif/lab/nd"
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

// all has count new flows, which must all be carried by one network.
func (e *Env) all(ctx context.Context, count int, network string, dst netip.AddrPort, opt lab.SocketOptions) error {
	for range count {
		t, err := e.Ask(ctx, dst, opt)
		if err != nil {
			return err
		}
		if t.Network != network {
			return fmt.Errorf("a flow to %v was carried by %s, want %s", dst, t.Network, network)
		}
	}
	return nil
}

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

func brokenPolicy(ctx context.Context, e *Env) error {
	if e.Daemon == nil {
		return errNoDaemon
	}
	for broken, says := range map[string]string{
		"rules:\n  - {name: a, require: [e1], forbid: [e1]}\n":                               `mifvif.yaml:2:5: rule "a" forbids every domain`,
		"rules:\n  - {name: a, locked: true, require: [e1]}\n  - {name: b, require: [e2]}\n": `mifvif.yaml:3:5: rule "b" contradicts the locked rule "a"`,
		"rules: &r\n  - {name: a, require: *r}\n":                                            "mifvif.yaml:",
		"rules: [\n":  "mifvif.yaml:1:",
		"rulez: []\n": "mifvif.yaml:1:1:",
		strings.Replace(byPort, "prefer: [e2]", "prefer: [e2], locked: maybe", 1): "mifvif.yaml:6:",
	} {
		if err := e.Daemon.SetConfig(broken); err != nil {
			return err
		}
		exit, err := e.Daemon.CLI(ctx, "reload")
		if err != nil {
			return err
		}
		if exit.Code != 2 || !strings.Contains(exit.Stderr, says) {
			return fmt.Errorf("a broken policy was taken, or not said where it is broken (%s): %v", says, exit)
		}
		if err := e.all(ctx, 3, "n2", public4(firstE2), lab.SocketOptions{}); err != nil {
			return fmt.Errorf("the old policy is not in force: %w", err)
		}
	}
	return nil
}

// sharedLink names the two domains of a shared link; nobody prefers any.
const sharedLink = `
pvds:
  - {name: alpha, interface: e3, next_hops: ["fe80::3"]}
  - {name: beta, interface: e3, next_hops: ["fe80::4"]}
rules:
  - {name: shared, forbid: [e1, e2]}
`

// overloaded has r3b ask to be used last.
func overloaded() lab.Layout {
	return lab.TwoRouters(func(n lab.Network) nd.RA {
		ra := n.PlainAdvert()
		if n.Name == "r3b" {
			ra.Preference = nd.Low
		}
		return ra
	})
}

func operatorAdvises(ctx context.Context, e *Env) error {
	if _, err := e.parted(ctx, "alpha", "beta"); err != nil {
		return err
	}
	echo := public6(lab.PortEcho)
	if err := e.all(ctx, 10, "r3a", echo, lab.SocketOptions{}); err != nil {
		return err
	}
	told, err := e.watch(ctx)
	if err != nil {
		return err
	}
	if err := e.user(ctx, "rules:\n  - {name: mine, prefer: [beta]}\n"); err != nil {
		return err
	}
	for range 3 {
		if err := e.carriedAs(ctx, userID, "r3b", echo); err != nil {
			return err
		}
	}
	x, err := e.explain(ctx, lab.Public6().String(), "--user", strconv.Itoa(userID))
	if err != nil {
		return err
	}
	if len(x.Conflicts) != 1 || x.Conflicts[0].Winner != "mine" || !strings.Contains(x.Conflicts[0].Loser, "beta") {
		return fmt.Errorf("conflicts %+v, want the router's preference overruled by the user's rule", x.Conflicts)
	}
	if err := told.once(ctx, "conflict", "", `"mine" stands above "router preference of beta"`); err != nil {
		return err
	}
	return e.all(ctx, 5, "r3a", echo, lab.SocketOptions{})
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
