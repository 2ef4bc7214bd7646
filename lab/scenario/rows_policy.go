package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

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
		{ID: "6-4", Title: "a broken policy is refused whole and the old one stays in force", Config: byPort, Run: brokenPolicy},
	}
}

// metered prefers nothing, and e1 costs.
const metered = "pvds:\n  - {name: n1, interface: e1, metered: true}\n"

const lowestLatency = "defaults: {algorithm: lowest-latency}\n"

// noAffinity decides for each flow by itself.
const noAffinity = "defaults: {affinity: none}\n"

// classes gives two classes of apps what they need.
const classes = `
rules:
  - {name: interactive, match: {dscp: ef}, algorithm: lowest-latency}
  - {name: bulk, match: {dscp: cs1}, prefer: [e1]}
`

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

// The user of threeActors, where the daemon looks for the rules, and what they are.
const (
	userID    = 4711
	userFile  = "/run/users/4711.yaml"
	userRules = `
rules:
  - {name: mine, match: {port: [7, 7003]}, prefer: [n2]}
  - {name: names, match: {name: "*.pinned.example.net"}, prefer: [n2]}
  - {name: theirs, match: {port: 7001}, require: [n2]}
  - {name: never, match: {port: 7004}, forbid: [n1]}
`
)

// farAndNear has n1 100 ms away and n2 10 ms.
func farAndNear() lab.Layout {
	l := lab.TwoNetworks()
	l.Networks[0].Impairment = &lab.WireConfig{Delay: 50 * time.Millisecond}
	l.Networks[1].Impairment = &lab.WireConfig{Delay: 5 * time.Millisecond}
	return l
}

// explanation is what `mifvif explain --json` says.
type explanation struct {
	Decision   struct{ PvD, Rule, Actor, Reason string }
	Candidates []struct{ PvD, Verdict, Reason string }
	Rules      []struct{ Name, Actor, Effect string }
	Conflicts  []struct{ Winner, Loser, Reason string }
}

// String returns all of it, to be compared.
func (x explanation) String() string {
	return fmt.Sprint(x.Decision, x.Candidates, x.Rules, x.Conflicts)
}

func (e *Env) explain(ctx context.Context, args ...string) (explanation, error) {
	var x explanation
	err := e.JSON(ctx, &x, append([]string{"explain"}, args...)...)
	return x, err
}

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

// as connects as some user and returns the network that carried it.
func (e *Env) as(ctx context.Context, uid int, dst netip.AddrPort) (string, error) {
	script := fmt.Sprintf(`exec 3<>/dev/tcp/%v/%d && read -t 5 -u 3 line && echo "$line"`, dst.Addr(), dst.Port())
	out, err := e.Tool(ctx, "setpriv", "--reuid", strconv.Itoa(uid), "--clear-groups", "bash", "-c", script)
	if err != nil {
		return "", err
	}
	_, network, ok := strings.Cut(strings.TrimSpace(out), "NET=")
	if !ok {
		return "", fmt.Errorf("the echo peer said %q", out)
	}
	return network, nil
}

// carriedAs wants a user's flow to be carried by a network.
func (e *Env) carriedAs(ctx context.Context, uid int, network string, dst netip.AddrPort) error {
	got, err := e.as(ctx, uid, dst)
	if err == nil && got != network {
		err = fmt.Errorf("user %d's flow to %v was carried by %s, want %s", uid, dst, got, network)
	}
	return err
}

// withUser writes the user's rules and has the daemon read them.
func (e *Env) withUser(ctx context.Context) error { return e.user(ctx, userRules) }

// user writes a user's rules and has the daemon read them.
func (e *Env) user(ctx context.Context, rules string) error {
	if e.Daemon == nil {
		return nil // the kernel has no rules of users
	}
	if _, err := e.Host.Exec(ctx, "mkdir", "-p", path.Dir(userFile)); err != nil {
		return err
	}
	if err := e.Host.WriteFile(userFile, []byte(rules)); err != nil {
		return err
	}
	exit, err := e.Daemon.CLI(ctx, "reload")
	if err == nil && exit.Code != 0 {
		err = fmt.Errorf("reload: %v", exit)
	}
	return err
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

func pathMemory(ctx context.Context, e *Env) error {
	echo := public4(lab.PortEcho)
	for range 3 { // both paths are tried
		if _, err := e.Ask(ctx, echo, lab.SocketOptions{}); err != nil {
			return err
		}
	}
	if err := patiently(ctx, 30*time.Second, func() error { return e.all(ctx, 5, "n2", echo, lab.SocketOptions{}) }); err != nil {
		return fmt.Errorf("the near network is not preferred: %w", err)
	}
	remembered := func(want bool) error {
		x, err := e.explain(ctx, lab.Public4().String(), "--port", "7")
		if err != nil {
			return err
		}
		for _, c := range x.Candidates {
			if c.PvD == "e1" && strings.Contains(c.Reason, "round trip") == want {
				return nil
			}
		}
		return fmt.Errorf("what is known of the far path is not as it should be (remembered: %v): %v", want, x.Candidates)
	}
	return steps(
		func() error { return remembered(true) },
		func() error { return e.Detach("n1") },
		func() error {
			return within(ctx, func() error {
				x, err := e.explain(ctx, lab.Public4().String())
				if err == nil && !strings.Contains(x.String(), "offline") {
					err = fmt.Errorf("the network that is gone is not missed: %v", x)
				}
				return err
			})
		},
		func() error { return e.Attach("n1") },
		func() error { return within(ctx, func() error { return remembered(false) }) },
	)
}

func explained(ctx context.Context, e *Env) error {
	echo := public4(lab.PortEcho)
	first, err := e.explain(ctx, lab.Public4().String(), "--port", "7")
	if err != nil {
		return err
	}
	for range 5 {
		again, err := e.explain(ctx, lab.Public4().String(), "--port", "7")
		if err != nil || first.String() != again.String() {
			return fmt.Errorf("the same question has another answer: %+v, then %+v (%w)", first, again, err)
		}
	}
	if first.Decision.PvD != "n1" || first.Decision.Rule != "house" || len(first.Candidates) != 2 || len(first.Rules) != 1 {
		return fmt.Errorf("explained as %+v", first)
	}
	return e.all(ctx, 5, "n1", echo, lab.SocketOptions{})
}

func userPrefers(ctx context.Context, e *Env) error {
	echo := public4(lab.PortEcho)
	return steps(
		func() error { return e.withUser(ctx) },
		func() error { return e.carriedAs(ctx, userID, "n2", echo) },
		func() error { return e.carriedAs(ctx, userID+1, "n1", echo) },
		func() error { return e.carriedAs(ctx, userID, "n2", public6(lab.PortEcho)) },
		func() error { return e.all(ctx, 3, "n1", echo, lab.SocketOptions{}) },
	)
}

// Code points of appClasses, in the upper six bits of an octet.
const (
	tosEF  = 46 << 2
	tosCS1 = 8 << 2
)

func appClasses(ctx context.Context, e *Env) error {
	echo := public4(lab.PortEcho)
	for range 3 {
		if _, err := e.Ask(ctx, echo, lab.SocketOptions{TOS: tosEF}); err != nil {
			return err
		}
	}
	return patiently(ctx, 30*time.Second, func() error {
		return errors.Join(
			e.all(ctx, 5, "n2", echo, lab.SocketOptions{TOS: tosEF}),
			e.all(ctx, 5, "n1", echo, lab.SocketOptions{TOS: tosCS1}),
		)
	})
}

func reconciled(ctx context.Context, e *Env) error {
	return steps(
		func() error { return e.withUser(ctx) },
		func() error { return e.carriedAs(ctx, userID, "n1", public4(7001)) }, // locked
		func() error { return e.carriedAs(ctx, userID, "n2", public4(7003)) }, // the user's
		func() error { return e.carriedAs(ctx, userID, "n2", public4(7004)) }, // the user's ban over the house's order
		func() error { return e.carriedAs(ctx, userID, "n1", public4(7005)) }, // the house's
	)
}

// goldenDecision is the whole text of an explanation.
const goldenDecision = `tcp 198.18.0.1:0 -> 203.0.113.80:7001
goes over n1 (e1) from 10.1.0.2: required by rule, by rule "vpn-only" of the admin
  n1               chosen  required by rule
  n2               lost    rule "vpn-only" requires another
  rule "vpn-only" of the admin: require
  rule "theirs" of the user: dropped
  rule "house" of the admin: prefer
  conflict: "vpn-only" stands, "theirs" was dropped: no domain satisfies both, and the admin's rule stands above
`

func golden(ctx context.Context, e *Env) error {
	if e.Daemon == nil {
		return errNoDaemon
	}
	if err := e.withUser(ctx); err != nil {
		return err
	}
	exit, err := e.Daemon.CLI(ctx, "explain", lab.Public4().String(), "--port", "7001", "--user", strconv.Itoa(userID))
	if err == nil && (exit.Code != 0 || exit.Stdout != goldenDecision) {
		err = fmt.Errorf("explained as\n%s(exit %d), want\n%s", exit.Stdout, exit.Code, goldenDecision)
	}
	return err
}

func betterOrCheaper(ctx context.Context, e *Env) error {
	echo := public4(lab.PortEcho)
	for range 3 {
		if _, err := e.Ask(ctx, echo, lab.SocketOptions{}); err != nil {
			return err
		}
	}
	if err := patiently(ctx, 30*time.Second, func() error { return e.all(ctx, 5, "n2", echo, lab.SocketOptions{}) }); err != nil {
		return fmt.Errorf("by round trip: %w", err)
	}
	if e.Daemon != nil {
		if err := errors.Join(e.Daemon.SetConfig(lowestLatency+"pvds:\n  - {name: e2, interface: e2, metered: true}\n"), e.Daemon.Reload()); err != nil {
			return err
		}
	}
	return within(ctx, func() error { return e.all(ctx, 5, "n1", echo, lab.SocketOptions{}) })
}

// Connects of silentFirst, and how long the slowest but one of a hundred may take.
const (
	silentConnects = 100
	silentBound    = 400 * time.Millisecond
)

func silentFirst(ctx context.Context, e *Env) error {
	if _, err := e.carriers(ctx, 4); err != nil {
		return err
	}
	e.Wire("n1").SetLoss(1)
	var took []time.Duration
	for i := range silentConnects {
		began := time.Now()
		conn, err := e.App.DialTCP(ctx, public4(uint16(lab.PortEchoFirst+i%8)), lab.SocketOptions{})
		if err != nil {
			return fmt.Errorf("connect %d: %w", i, err)
		}
		took = append(took, time.Since(began))
		conn.Close()
	}
	slices.Sort(took)
	if p99 := took[len(took)*99/100]; p99 > silentBound {
		return fmt.Errorf("the 99th percentile of %d connects took %v, want at most %v", len(took), p99, silentBound)
	}
	return nil
}

func merged(ctx context.Context, e *Env) error {
	if err := e.withUser(ctx); err != nil {
		return err
	}
	x, err := e.explain(ctx, lab.Public4().String(), "--port", "7003", "--user", strconv.Itoa(userID))
	if err != nil {
		return err
	}
	if len(x.Candidates) != 2 || x.Candidates[0].PvD != "n2" || x.Candidates[1].PvD != "n1" || len(x.Rules) != 2 || len(x.Conflicts) != 0 {
		return fmt.Errorf("explained as %+v", x)
	}
	if err := e.carriedAs(ctx, userID, "n2", public4(7003)); err != nil {
		return err
	}
	if err := e.Detach("n2"); err != nil {
		return err
	}
	return within(ctx, func() error { return e.carriedAs(ctx, userID, "n1", public4(7003)) })
}

func irreconcilable(ctx context.Context, e *Env) error {
	if err := e.withUser(ctx); err != nil {
		return err
	}
	x, err := e.explain(ctx, lab.Public4().String(), "--port", "7001", "--user", strconv.Itoa(userID))
	if err != nil {
		return err
	}
	if len(x.Conflicts) != 1 || x.Conflicts[0].Winner != "vpn-only" || x.Conflicts[0].Loser != "theirs" || x.Conflicts[0].Reason == "" {
		return fmt.Errorf("conflicts %+v", x.Conflicts)
	}
	return e.carriedAs(ctx, userID, "n1", public4(7001))
}

func sameAfterRestart(ctx context.Context, e *Env) error {
	if e.Daemon == nil {
		return errNoDaemon
	}
	ask := func() (all []explanation, err error) {
		for _, dst := range []netip.Addr{lab.Public4(), lab.Public6()} {
			for port := 7000; port < 7008; port++ {
				x, err := e.explain(ctx, dst.String(), "--port", strconv.Itoa(port))
				if err != nil {
					return nil, err
				}
				all = append(all, x)
			}
		}
		return all, nil
	}
	before, err := ask()
	if err != nil {
		return err
	}
	if err := errors.Join(e.Daemon.Stop(ctx), e.StartDaemon(ctx)); err != nil {
		return err
	}
	return within(ctx, func() error {
		after, err := ask()
		if err == nil && fmt.Sprint(before) != fmt.Sprint(after) {
			err = fmt.Errorf("before %+v, after %+v", before, after)
		}
		return err
	})
}

func namesAndFlows(ctx context.Context, e *Env) error {
	if err := e.withUser(ctx); err != nil {
		return err
	}
	const name = "user.pinned.example.net"
	ask := func(uid int, name string) error {
		_, err := e.Tool(ctx, "setpriv", "--reuid", strconv.Itoa(uid), "--clear-groups", "dig", "+tries=1", "+time=5", name)
		return err
	}
	return steps(
		func() error { return e.carriedAs(ctx, userID, "n2", public4(lab.PortEcho)) },
		func() error { return ask(userID, name) },
		func() error { return e.OnlyAsked("pinned.example.net.", "n2") },
		func() error { return ask(userID+1, "others.example.net") },
		func() error { return e.OnlyAsked("others.example.net.", "n1") },
	)
}

func brokenPolicy(ctx context.Context, e *Env) error {
	if e.Daemon == nil {
		return errNoDaemon
	}
	for _, broken := range []string{
		"rules:\n  - {name: a, require: [e1], forbid: [e1]}\n", "rules: [\n", "rulez: []\n",
		strings.Replace(byPort, "prefer: [e2]", "prefer: [e2], locked: maybe", 1),
	} {
		if err := e.Daemon.SetConfig(broken); err != nil {
			return err
		}
		exit, err := e.Daemon.CLI(ctx, "reload")
		if err != nil {
			return err
		}
		if exit.Code == 0 || !strings.Contains(exit.Stderr, "mifvif.yaml:") {
			return fmt.Errorf("a broken policy was taken, or not said where it is broken: %v", exit)
		}
		if err := e.all(ctx, 3, "n2", public4(firstE2), lab.SocketOptions{}); err != nil {
			return fmt.Errorf("the old policy is not in force: %w", err)
		}
	}
	return nil
}

func bindsHandle(ctx context.Context, e *Env) error {
	var domains []struct {
		Name, Interface string
		Handles         []netip.Addr
	}
	if err := e.JSON(ctx, &domains, "pvds"); err != nil {
		return err
	}
	for _, d := range domains {
		for _, a := range d.Handles {
			dst := public4(lab.PortEcho)
			if a.Is6() {
				dst = public6(lab.PortEcho)
			}
			opt := lab.SocketOptions{Source: netip.AddrPortFrom(a, 0)}
			if err := e.all(ctx, 5, d.Name, dst, opt); err != nil {
				return fmt.Errorf("bound to %v, the handle of %s: %w", a, d.Name, err)
			}
			if t, err := e.AskUDP(dst, opt); err != nil || t.Network != d.Name {
				return fmt.Errorf("bound to %v, the handle of %s: UDP was carried by %v (%w)", a, d.Name, t, err)
			}
			// The administrator lets n2 have none of this port.
			dst = netip.AddrPortFrom(dst.Addr(), 7001)
			t, err := e.Ask(ctx, dst, opt)
			switch {
			case d.Name == "n1" && err != nil:
				return err
			case d.Name != "n1" && err == nil:
				return fmt.Errorf("a domain that is denied was used: %s, by %s", t.Network, d.Name)
			}
		}
	}
	if len(domains) != 2 {
		return fmt.Errorf("there are %d domains, want 2", len(domains))
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
	return e.all(ctx, 5, "r3a", echo, lab.SocketOptions{})
}

// referral opens a flow, asks where it went, and opens the next one there by the
// network's handle: what the app tells its peer about itself holds.
func referral(ctx context.Context, e *Env) error {
	var domains []struct {
		Name    string
		Handles []netip.Addr
	}
	if err := e.JSON(ctx, &domains, "pvds"); err != nil {
		return err
	}
	for _, d := range domains {
		for _, a := range d.Handles {
			dst := public4(firstE1)
			if a.Is6() {
				dst = public6(firstE1)
			}
			opt := lab.SocketOptions{Source: netip.AddrPortFrom(a, 0)}
			first, err := e.Talk(ctx, dst, opt)
			if err != nil {
				return err
			}
			defer first.Close()
			var flows []struct{ PvD, Dst, Source string }
			if err := e.JSON(ctx, &flows, "flows", "--pvd", d.Name); err != nil {
				return err
			}
			if !slices.ContainsFunc(flows, func(f struct{ PvD, Dst, Source string }) bool {
				return f.Dst == dst.String() && f.Source == first.Source.String()
			}) {
				return fmt.Errorf("the peer sees %v, and no flow over %s has that source: %v", first.Source, d.Name, flows)
			}
			second, err := e.Ask(ctx, netip.AddrPortFrom(dst.Addr(), firstE2), opt)
			if err != nil || second.Source.Addr() != first.Source.Addr() || second.Network != first.Network {
				return fmt.Errorf("the second flow is %+v, the first %v by %s (%w)", second, first.Source, first.Network, err)
			}
		}
	}
	if len(domains) != 2 {
		return fmt.Errorf("there are %d domains, want 2", len(domains))
	}
	return nil
}

// contested has both networks route the public server's prefix, n1 by the worse
// metric; the house's order decides.
func contested(ctx context.Context, e *Env) error {
	prefix := netip.PrefixFrom(lab.Public4(), 24).Masked()
	for i, name := range []string{"n2", "n1"} {
		n := e.Network(name)
		if err := e.Host.AddRoute(lab.Route{To: prefix, Via: n.Gateway4(), Dev: n.Link, Metric: 10 + i}); err != nil {
			return err
		}
	}
	err := within(ctx, func() error {
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
		e.all(ctx, 20, "n1", public4(lab.PortEcho), lab.SocketOptions{}),
		e.all(ctx, 20, "n1", public6(lab.PortEcho), lab.SocketOptions{}),
	)
}
