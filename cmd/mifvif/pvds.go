package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mifvif/control"
)

func pvdsCommand(g *globals) *cobra.Command {
	return withJSON(&cobra.Command{
		Use:   "pvds [NAME]",
		Short: "Every provisioning domain with every object it holds and where each came from",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := g.client().PvDs(cmd.Context())
			if err != nil {
				return err
			}
			if len(args) == 1 {
				if all, err = only(all, args[0]); err != nil {
					return err
				}
			}
			return show(cmd, g, all, printPvDs)
		},
	}, g)
}

func printPvDs(w io.Writer, all []control.PvD) {
	for _, p := range all {
		printPvD(w, p)
	}
}

func printPvD(w io.Writer, p control.PvD) {
	fmt.Fprintf(w, "%s  %s on %s: %s\n", p.Name, p.State, p.Interface, p.Reason)
	for _, o := range p.Objects {
		life := "for good"
		if o.Lifetime != nil {
			life = "for " + (time.Duration(*o.Lifetime) * time.Second).String()
		}
		line := fmt.Sprintf("  %-9s %-40s from %-7s %s %s", o.Kind, o.Value, o.Origin, life, strings.Join(o.Flags, " "))
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}
