package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"mifvif/lab"
)

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
  - {name: pings, match: {proto: icmp}, prefer: [n2]}
`
)

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

// pingedAs wants a user's pings to be carried by a network, in both families.
func (e *Env) pingedAs(ctx context.Context, uid int, network string) error {
	for _, to := range []netip.Addr{lab.Public4(), lab.Public6()} {
		out, err := e.Tool(ctx, "setpriv", "--reuid", strconv.Itoa(uid), "--clear-groups", "ping", "-n", "-c", "1", "-W", "3", to.String())
		if err != nil {
			return fmt.Errorf("user %d pings %v: %w: %s", uid, to, err, out)
		}
		if e.Daemon == nil {
			continue
		}
		var flows []struct{ Proto, Dst, Rule string }
		if err := e.JSON(ctx, &flows, "flows", "--pvd", network); err != nil {
			return err
		}
		if !slices.ContainsFunc(flows, func(f struct{ Proto, Dst, Rule string }) bool {
			return strings.HasPrefix(f.Proto, "icmp") && strings.Contains(f.Dst, to.String())
		}) {
			return fmt.Errorf("user %d's ping of %v was not carried by %s: %v", uid, to, network, flows)
		}
	}
	return nil
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

func userPrefers(ctx context.Context, e *Env) error {
	echo := public4(lab.PortEcho)
	return steps(
		func() error { return e.withUser(ctx) },
		func() error { return e.carriedAs(ctx, userID, "n2", echo) },
		func() error { return e.carriedAs(ctx, userID+1, "n1", echo) },
		func() error { return e.carriedAs(ctx, userID, "n2", public6(lab.PortEcho)) },
		func() error { return e.pingedAs(ctx, userID, "n2") },
		func() error { return e.pingedAs(ctx, userID+1, "n1") },
		func() error { return e.all(ctx, 3, "n1", echo, lab.SocketOptions{}) },
	)
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
