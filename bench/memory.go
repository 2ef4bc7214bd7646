package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"mifvif/bench/load"
	"mifvif/lab"
)

// idleFor is how long flows are idle before their memory is read.
const idleFor = 30 * time.Second

// memoryRows measure what an idle flow costs the daemon.
func memoryRows() []Row {
	row := func(id, title, network string) Row {
		return Row{
			ID: id, Title: title, Unit: "KiB", Less: true, Alone: true, Fresh: true, Turns: 1,
			measure: func(ctx context.Context, s *system) (sample, error) {
				const flows = 9000
				before, err := s.rss()
				if err != nil {
					return sample{}, err
				}
				after, err := s.holding(ctx, load.Task{
					Kind: "hold", Network: network, Server: netip.AddrPortFrom(lab.Public4(), lab.PortEchoFirst), Ports: lab.Ports, Workers: 64, Count: flows,
				})
				return sample{value: (after - before) / 1024 / flows}, err
			},
		}
	}
	return []Row{
		row("memory-tcp", "memory of an idle TCP flow", "tcp"),
		row("memory-udp", "memory of an idle UDP binding", "udp"),
	}
}

// holding returns the daemon's memory while a task's flows are open and idle.
func (s *system) holding(ctx context.Context, t load.Task) (rss float64, err error) {
	cmd, err := command(t)
	if err != nil {
		return 0, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("hold flows: %w", err)
	}
	defer reader.Close()
	cmd.Stdout, cmd.Stderr = writer, writer
	process, err := s.world.Host.Start(cmd)
	writer.Close()
	if err != nil {
		return 0, fmt.Errorf("hold flows: %w", err)
	}
	defer process.Kill()
	line, err := bufio.NewReader(reader).ReadString('\n')
	if strings.TrimSpace(line) != load.Holding {
		return 0, errors.Join(fmt.Errorf("hold flows: %q", line), err)
	}
	select {
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	case <-time.After(idleFor):
	}
	return s.rss()
}
