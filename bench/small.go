package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"

	"mifvif/bench/load"
	"mifvif/lab"
)

// Command is the hidden subcommand of the binary that runs one load.Task.
const Command = "bench-load"

// smallRows are many short things: connections, questions, flows, names.
func smallRows() []Row {
	const conns = 20_000
	public := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(lab.Public4(), port) }
	rows := []Row{}
	for _, c := range []struct {
		order string
		port  uint16
	}{{"server", lab.PortCloseFirst}, {"client", lab.PortEchoFirst}, {"reset", lab.PortEchoFirst}} {
		rows = append(rows, Row{
			ID: "conns-" + c.order, Title: "connections, 64 at a time, ended by " + c.order, Unit: "1/s", TCP: true,
			measure: func(ctx context.Context, s *system) (sample, error) {
				o, err := s.load(ctx, load.Task{
					Kind: "conns", Network: "tcp", Server: public(c.port), Ports: lab.Ports, Workers: 64, Count: conns, Close: c.order,
				})
				return sample{value: o.Rate(), extra: map[string]float64{"failed": float64(o.Failed), "p99 us": o.P99}}, err
			},
		})
	}
	for _, network := range []string{"tcp", "udp"} {
		rows = append(rows, Row{
			ID: "ping-" + network, Title: strings.ToUpper(network) + " ping-pong, p50", Unit: "us", Less: true, TCP: network == "tcp",
			measure: func(ctx context.Context, s *system) (sample, error) {
				o, err := s.load(ctx, load.Task{Kind: "ping", Network: network, Server: public(lab.PortEcho), Ports: 1, Workers: 1, Count: 5000})
				return sample{value: o.P50, extra: map[string]float64{"p99 us": o.P99, "failed": float64(o.Failed)}}, err
			},
		})
	}
	return append(rows,
		Row{
			ID: "udp-echo", Title: "UDP echo over 10,000 flows", Unit: "1/s",
			measure: func(ctx context.Context, s *system) (sample, error) {
				o, err := s.load(ctx, load.Task{Kind: "echo", Network: "udp", Server: public(lab.PortEchoFirst), Ports: lab.Ports, Workers: 256, Count: 10_000})
				answered := 100 * float64(o.Done) / float64(max(o.Done+o.Failed, 1))
				return sample{value: o.Rate(), extra: map[string]float64{"answered %": answered}}, err
			},
		},
		Row{
			ID: "dns", Title: "DNS queries, 32 at a time", Unit: "1/s",
			measure: func(ctx context.Context, s *system) (sample, error) {
				server := s.world.Network("n1").Resolver4()
				if s.daemon != nil {
					server = netip.MustParseAddr("198.18.0.2")
				}
				o, err := s.load(ctx, load.Task{Kind: "dns", Network: "udp", Server: netip.AddrPortFrom(server, 53), Ports: 1, Workers: 32, Count: 10_000})
				return sample{value: o.Rate(), extra: map[string]float64{"failed": float64(o.Failed)}}, err
			},
		},
	)
}

// load runs a task in the host by a process of its own.
func (s *system) load(ctx context.Context, t load.Task) (load.Outcome, error) {
	cmd, err := command(t)
	if err != nil {
		return load.Outcome{}, err
	}
	exit, err := s.world.Host.ExecCmd(ctx, cmd)
	if err != nil {
		return load.Outcome{}, fmt.Errorf("load %s: %w", t.Kind, err)
	}
	return outcome(t, exit.Stdout, exit.Stderr)
}

// command is this binary with a task.
func command(t load.Task) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this binary: %w", err)
	}
	text, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("encode a task: %w", err)
	}
	return exec.Command(self, Command, string(text)), nil
}

// outcome reads what a load has printed.
func outcome(t load.Task, stdout, stderr string) (load.Outcome, error) {
	var o load.Outcome
	if err := json.Unmarshal([]byte(stdout), &o); err != nil {
		return o, fmt.Errorf("load %s: %w: %s", t.Kind, err, stderr)
	}
	if o.Done == 0 {
		return o, fmt.Errorf("load %s: nothing was done: %s", t.Kind, o.First)
	}
	return o, nil
}
