package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"mifvif/control"
)

// followEvery is how often --follow looks for new flows.
const followEvery = time.Second

func flowsCommand(g *globals) *cobra.Command {
	var pvd string
	var follow bool
	cmd := withJSON(&cobra.Command{
		Use:   "flows",
		Short: "Live flows: app side, uplink side, domain, rule and reason",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := known(cmd.Context(), g.client(), pvd); err != nil {
				return err
			}
			if follow {
				return followFlows(cmd.Context(), cmd.OutOrStdout(), g, pvd)
			}
			flows, err := wanted(cmd.Context(), g.client(), pvd)
			if err != nil {
				return err
			}
			return show(cmd, g, flows, printFlows)
		},
	}, g)
	cmd.Flags().StringVar(&pvd, "pvd", "", "only the flows of domain `P`")
	cmd.Flags().BoolVar(&follow, "follow", false, "print each new flow as it appears (one JSON object a line with --json)")
	return cmd
}

// wanted returns the flows of one domain, or all.
func wanted(ctx context.Context, c *control.Client, pvd string) ([]control.Flow, error) {
	all, err := c.Flows(ctx)
	if err != nil {
		return nil, err
	}
	flows := make([]control.Flow, 0, len(all))
	for _, f := range all {
		if pvd == "" || f.PvD == pvd {
			flows = append(flows, f)
		}
	}
	return flows, nil
}

func printFlows(w io.Writer, flows []control.Flow) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tPROTO\tAPP\tDESTINATION\tNAME\tDOMAIN\tSOURCE\tPATH\tSENT\tRECEIVED\tAGE\tOWNER\tRULE\tREASON")
	for _, f := range flows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.ID, f.Proto, f.Src, f.Dst, orDash(f.Name), f.PvD,
			f.Source, paths(f), amount(f.TxBytes), amount(f.RxBytes), age(f.Started), orDash(f.Owner.Process), orDash(f.Rule), f.Reason)
	}
	t.Flush()
}

// paths says how a flow is carried, and by which domains if by several.
func paths(f control.Flow) string {
	if len(f.MPTCP.Paths) == 0 {
		return f.Path
	}
	var names []string
	for _, s := range f.MPTCP.Paths {
		name := s.PvD
		if s.Backup {
			name += "(backup)"
		}
		names = append(names, name)
	}
	return "mptcp:" + strings.Join(names, "+")
}

// followFlows prints every flow once, when it is first seen, until the context
// or the daemon ends.
func followFlows(ctx context.Context, w io.Writer, g *globals, pvd string) error {
	seen := make(map[string]bool)
	for {
		flows, err := wanted(ctx, g.client(), pvd)
		if err != nil {
			return err
		}
		now := make(map[string]bool, len(flows))
		for _, f := range flows {
			now[f.ID] = true
			if seen[f.ID] {
				continue
			}
			if g.json {
				if err := json.NewEncoder(w).Encode(f); err != nil {
					return fmt.Errorf("write a flow: %w", err)
				}
				continue
			}
			fmt.Fprintf(forEyes{w}, "%s %s %s -> %s over %s from %s: %s\n", f.Started.Format(time.TimeOnly), f.Proto, f.Src, f.Dst, f.PvD, f.Source, f.Reason)
		}
		seen = now
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
	}
}
