package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"mifvif/lab"
)

const picture = `
   app -- mif0 == mifvif --+-- e1 10.1.0.2, 2001:db8:1::2 -- n1 --+
          (host h)         |                                      +-- core 203.0.113.80, 2001:db8:ff::80
                           +-- e2 10.2.0.2, 2001:db8:2::2 -- n2 --+
`

const config = `
rules:
  - {name: calls, match: {proto: udp, port: [7001]}, require: [e1]}
  - {name: backup, match: {port: [7002]}, prefer: [e2]}
  - {name: work, match: {port: [7003]}, prefer: [e1]}
`

// settle is how long the demonstration gives a changed network.
const settle = 500 * time.Millisecond

// show is one demonstration under way.
type show struct {
	*lab.Common
	daemon *lab.Daemon
	out    io.Writer
}

// Run gives the demonstration with the mifvif binary and writes it to out. The
// error says what did not work; the world is gone in any case.
func Run(ctx context.Context, out io.Writer, binary string, log *slog.Logger) error {
	world, err := lab.NewCommon(lab.TwoNetworks(), log)
	if err != nil {
		return err
	}
	s := &show{Common: world, out: out}
	return errors.Join(s.run(ctx, binary), world.Close())
}

func (s *show) run(ctx context.Context, binary string) (err error) {
	s.say("A host with two uplinks in network namespaces of its own:\n%s", picture)
	s.say("Its configuration:\n%s", config)
	before, err := s.Host.Snapshot()
	if err != nil {
		return err
	}
	if s.daemon, err = s.Host.StartDaemon(ctx, binary, config); err != nil {
		return err
	}
	for _, act := range []func(context.Context) error{s.everyKind, s.uplinkDown, s.uplinkUp} {
		if err := act(ctx); err != nil {
			return fmt.Errorf("%w\n%s", err, s.daemon.Log())
		}
	}
	return s.end(ctx, before)
}

func (s *show) everyKind(ctx context.Context) error {
	s.title("Both uplinks are up: traffic of every kind")
	s.flows(ctx)
	return s.status(ctx)
}

func (s *show) uplinkDown(ctx context.Context) error {
	s.title("A conversation on each uplink, then e1 goes down")
	first, err := s.open(ctx, 7003)
	if err != nil {
		return err
	}
	defer first.Close()
	second, err := s.open(ctx, 7002)
	if err != nil {
		return err
	}
	defer second.Close()
	start := time.Now()
	if err := s.LinkDown("n1"); err != nil {
		return err
	}
	_ = first.SetReadDeadline(start.Add(10 * time.Second))
	_, err = first.Read(make([]byte, 1))
	s.say("  ip link set e1 down: the conversation on e1 ended after %v (%v)", time.Since(start).Round(time.Millisecond), err)
	s.say("  the one on e2: %s", still(second))
	time.Sleep(settle)
	s.flows(ctx)
	return nil
}

func (s *show) uplinkUp(ctx context.Context) error {
	s.title("e1 is back")
	if err := s.LinkUp("n1"); err != nil {
		return err
	}
	time.Sleep(settle)
	s.flows(ctx)
	return s.status(ctx)
}

// end stops the daemon and shows what it left.
func (s *show) end(ctx context.Context, before lab.Snapshot) error {
	s.title("The end")
	if err := s.daemon.Stop(ctx); err != nil {
		return err
	}
	after, err := s.Host.Snapshot()
	if err != nil {
		return err
	}
	left := 0
	for _, line := range before.Differences(after) {
		if line[0] == '+' {
			left++
			s.say("  left behind: %s", line[2:])
		}
	}
	if left == 0 {
		s.say("  mifvif is stopped and has left nothing behind.")
	}
	dropped, err := s.Dropped38()
	if err != nil {
		return err
	}
	s.say("  packets with a foreign source at the edges (BCP 38): n1 %d, n2 %d.", dropped["n1"], dropped["n2"])
	return nil
}

func (s *show) title(text string) { s.say("\n== %s", text) }

func (s *show) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }
