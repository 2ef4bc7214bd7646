package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"mifvif/lab"
)

// explanation is what `mifvif explain --json` says.
type explanation struct {
	Decision   struct{ PvD, Rule, Actor, Reason string }
	Candidates []struct{ PvD, Verdict, Reason string }
	Rules      []rule
	Conflicts  []struct{ Winner, Loser, Reason string }
}

// rule is one that spoke.
type rule struct{ Name, Actor, Effect string }

// String returns all of it, to be compared.
func (x explanation) String() string {
	return fmt.Sprint(x.Decision, x.Candidates, x.Rules, x.Conflicts)
}

func (e *Env) explain(ctx context.Context, args ...string) (explanation, error) {
	var x explanation
	err := e.JSON(ctx, &x, append([]string{"explain"}, args...)...)
	return x, err
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
	if err := e.endedExplained(ctx); err != nil {
		return err
	}
	if first.Decision.PvD != "n1" || first.Decision.Rule != "house" || len(first.Candidates) != 2 || len(first.Rules) != 1 {
		return fmt.Errorf("explained as %+v", first)
	}
	return e.all(ctx, 5, "n1", echo, lab.SocketOptions{})
}

// endedExplained has a socket's datagrams go on by the other network, and wants to
// know of the first one, by its id, where it went.
func (e *Env) endedExplained(ctx context.Context) error {
	udp, err := e.sockets(lab.SocketOptions{}, 1, "n1", public4(lab.PortEcho))
	if err != nil {
		return err
	}
	defer closeSockets(udp)
	var flows []struct{ ID, Proto, PvD, Dst string }
	if err := e.JSON(ctx, &flows, "flows", "--pvd", "n1"); err != nil {
		return err
	}
	id := ""
	for _, f := range flows {
		if f.Proto == "udp" && f.Dst == public4(lab.PortEcho).String() {
			id = f.ID
		}
	}
	return steps(
		func() error { return e.LinkDown("n1") },
		func() error {
			return within(ctx, func() error { return e.isOffline(ctx, "n1") })
		},
		func() error { return udp[0].by("n2") },
		func() error {
			x, err := e.explain(ctx, id)
			if err == nil && (x.Decision.PvD != "n1" || x.Decision.Rule != "house") {
				err = fmt.Errorf("the ended flow %q is explained as %+v", id, x.Decision)
			}
			return err
		},
		func() error { return e.LinkUp("n1") },
		func() error {
			return within(ctx, func() error { return e.Carried(ctx, "n1", public4(lab.PortEcho), lab.SocketOptions{}) })
		},
	)
}

// goldenDecision is the whole text of an explanation.
const goldenDecision = `tcp 198.18.0.1:0 -> 203.0.113.80:7001
goes over n1 (e1) from 10.1.0.2: required by rule, by rule "vpn-only" of the admin
TCP is terminated: nothing is known of the path yet
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
