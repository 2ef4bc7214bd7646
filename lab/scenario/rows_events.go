package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"mifvif/lab"
)

// eventRows are RFC 6418 3.9: what an app or a script can learn of failures.
func eventRows() []Scenario {
	return []Scenario{
		{ID: "3.9-3", Title: "every change of a network's state, and every flow that goes on elsewhere, is one event", Config: byPort, Run: eachOnce},
	}
}

// event is one line of `mifvif watch`.
type event struct{ Type, PvD, Detail string }

// stream gathers what `mifvif watch` prints.
type stream struct {
	mu     sync.Mutex
	rest   []byte
	events []event
}

// Write implements io.Writer for the program's output.
func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest = append(s.rest, b...)
	for {
		line, rest, ok := bytes.Cut(s.rest, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		var one event
		if err := json.Unmarshal(line, &one); err != nil {
			return 0, fmt.Errorf("mifvif watch said %q: %w", line, err)
		}
		s.events, s.rest = append(s.events, one), rest
	}
}

// of returns the events so far of a type and a domain, "" for any.
func (s *stream) of(kind, domain string) []event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.events), func(e event) bool { return e.Type != kind || domain != "" && e.PvD != domain })
}

// watch starts `mifvif watch` in the host and waits until it hears.
func (e *Env) watch(ctx context.Context) (*stream, error) {
	s := new(stream)
	cmd := exec.Command(e.binary, "watch")
	cmd.Env = append(os.Environ(), "MIFVIF_SOCKET="+e.Daemon.Socket())
	cmd.Stdout = s
	process, err := e.Host.Start(cmd)
	if err != nil {
		return nil, err
	}
	e.OnClose(func() error { process.Kill(); return nil })
	return s, within(ctx, func() error {
		if _, err := e.Daemon.CLI(ctx, "reload"); err != nil {
			return err
		}
		if len(s.of("reload", "")) == 0 {
			return errors.New("no event of a reload")
		}
		return nil
	})
}

// wants waits for a number of events of a type.
func (s *stream) wants(ctx context.Context, count int, kind, domain, says string) error {
	return within(ctx, func() error {
		got := s.of(kind, domain)
		if len(got) != count || !strings.Contains(got[len(got)-1].Detail, says) {
			return fmt.Errorf("events %s of %s: %v, want %d, the last of %q", kind, domain, got, count, says)
		}
		return nil
	})
}

func eachOnce(ctx context.Context, e *Env) error {
	if e.Daemon == nil {
		return errNoDaemon
	}
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
		func() error { return s.wants(ctx, 1, "pvd.state", "e1", "-> offline") },
		func() error { return udp[0].by("n2") },
		func() error { return s.wants(ctx, 1, "flow.moved", "", "e1 -> e2") },
		func() error { return udp[0].by("n2") },
		func() error { return e.LinkUp("n1") },
		func() error {
			return within(ctx, func() error { return e.Carried(ctx, "n1", public4(firstE1), lab.SocketOptions{}) })
		},
		func() error { return statesOnce(s.of("pvd.state", "e1"), "online") },
		func() error { return s.wants(ctx, 1, "flow.moved", "", "e1 -> e2") },
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
