package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mifvif/control"
)

func statusCommand(g *globals) *cobra.Command {
	return withJSON(&cobra.Command{
		Use:   "status",
		Short: "The interface, each domain, flows and warnings on one screen",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := g.client().Status(cmd.Context())
			if err != nil {
				return err
			}
			return show(cmd, g, s, printStatus)
		},
	}, g)
}

func printStatus(w io.Writer, s control.Status) {
	fmt.Fprintf(w, "mifvif %s  %s for %s\n", s.Version, s.State, age(s.Since))
	route := "the default route"
	if !s.Interface.DefaultRoute {
		route = "not the default route"
	}
	fmt.Fprintf(w, "%s  %s  mtu %d  %s\n", s.Interface.Name, orDash(s.Interface.Addresses...), s.Interface.MTU, route)
	fmt.Fprintf(w, "flows  tcp %d  udp %d  icmp %d  other %d\n\n", s.Flows.TCP, s.Flows.UDP, s.Flows.ICMP, s.Flows.Other)

	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "DOMAIN\tSTATE\tINTERFACE\tRTT\tLOSS\tFLOWS\tSHARE\tUP\tDOWN\tSENT\tRECEIVED")
	total := s.Flows.TCP + s.Flows.UDP + s.Flows.ICMP + s.Flows.Other
	for _, p := range s.PvDs {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", p.Name, p.State, p.Interface,
			measured(p.RTT, 1000, "ms"), measured(p.Loss, 100, "%"), p.Flows, part(p.Flows, total),
			rate(p.TxRate), rate(p.RxRate), amount(p.TxBytes), amount(p.RxBytes))
	}
	fmt.Fprintln(t)
	t.Flush()
	t = tabwriter.NewWriter(w, 0, 8, 2, ' ', 0) // columns of their own
	fmt.Fprintln(t, "DOMAIN\tADDRESSES\tNEXT HOPS\tDNS")
	for _, p := range s.PvDs {
		var servers []string
		for _, r := range p.DNS {
			servers = append(servers, strings.TrimSuffix(r.Address, ":53"))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", p.Name, orDash(p.Sources...), orDash(p.NextHops...), orDash(servers...))
	}
	t.Flush()
	for _, line := range remarks(s) {
		fmt.Fprintln(w, line)
	}
}

// remarks are the domains that are not online with the reason, and the warnings, a
// line each behind an empty one.
func remarks(s control.Status) []string {
	out := []string{""}
	for _, p := range s.PvDs {
		if p.State != "online" {
			out = append(out, fmt.Sprintf("%s is %s: %s", p.Name, p.State, p.Reason))
		}
	}
	for _, warning := range s.Warnings {
		out = append(out, "warning: "+warning)
	}
	if len(out) == 1 {
		return nil
	}
	return out
}

// measured writes a figure that may not be known.
func measured(v *float64, factor float64, unit string) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f%s", *v*factor, unit)
}

// part writes n's share of total.
func part(n, total int) string {
	if total == 0 {
		return "-"
	}
	return fmt.Sprintf("%d%%", n*100/total)
}
