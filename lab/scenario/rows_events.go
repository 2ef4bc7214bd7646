package scenario

import (
	"context"
	"fmt"
	"strings"

	"mifvif/lab"
)

// eventRows are RFC 6418 3.9: what an app or a script can learn of failures.
func eventRows() []Scenario {
	return []Scenario{
		{ID: "3.9-3", Title: "every change of a network's state, and every flow that goes on elsewhere, is one event", Config: byPort, Run: eachOnce},
	}
}

func eachOnce(ctx context.Context, e *Env) error {
	s, err := e.watch(ctx)
	if err != nil {
		return err
	}
	udp, err := e.sockets(lab.SocketOptions{}, 1, "n1", public4(firstE1))
	if err != nil {
		return err
	}
	defer closeSockets(udp)
	return steps(
		func() error { return e.LinkDown("n1") },
		func() error { return s.once(ctx, "pvd.state", "e1", "-> offline") },
		func() error { return udp[0].by("n2") },
		func() error { return s.once(ctx, "flow.moved", "", "e1 -> e2") },
		func() error { return udp[0].by("n2") },
		func() error { return e.LinkUp("n1") },
		func() error {
			return within(ctx, func() error { return e.Carried(ctx, "n1", public4(firstE1), lab.SocketOptions{}) })
		},
		func() error { return statesOnce(s.of("pvd.state", "e1"), "online") },
		func() error { return s.once(ctx, "flow.moved", "", "e1 -> e2") },
		func() error {
			if other := s.of("pvd.state", "e2"); len(other) > 0 {
				return fmt.Errorf("the other network is said to have changed: %v", other)
			}
			return nil
		},
	)
}

// statesOnce wants each event to begin where the one before ended, and the last to
// end in a state.
func statesOnce(events []event, last string) error {
	at := "online"
	for _, one := range events {
		change, _, _ := strings.Cut(one.Detail, ":")
		from, to, ok := strings.Cut(change, " -> ")
		if !ok || from != at || to == from {
			return fmt.Errorf("after %q comes the event %v", at, one)
		}
		at = to
	}
	if at != last {
		return fmt.Errorf("the last of the events %v leaves %q, want %q", events, at, last)
	}
	return nil
}
