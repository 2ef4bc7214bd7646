package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"mifvif/control"
	"mifvif/pvd"
)

func resolveCommand(g *globals) *cobra.Command {
	var q control.NameQuestion
	var cache bool
	cmd := withJSON(&cobra.Command{
		Use:   "resolve NAME",
		Short: "Ask mifvif's resolver: the answer, whose it is and why; or list every domain's cache",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case cache && len(args) == 0:
				return listCache(cmd, g, q.PvD)
			case cache || len(args) == 0:
				return usageError{errors.New("resolve wants a NAME, or --cache and none")}
			}
			q.Name = args[0]
			r, err := g.client().Resolve(cmd.Context(), q)
			if err != nil {
				return err
			}
			if err := show(cmd, g, r, printResolution); err != nil {
				return err
			}
			switch {
			case r.Failure != "" && r.PvD == "":
				return errRefused
			case r.Failure != "":
				return fmt.Errorf("%s was not answered: %s", strings.TrimSuffix(r.Name, "."), r.Failure)
			}
			return nil
		},
	}, g)
	cmd.Flags().StringVar(&q.Type, "type", "A", "`TYPE` of record")
	cmd.Flags().StringVar(&q.PvD, "pvd", "", "ask domain `P` and no other")
	cmd.Flags().BoolVar(&cache, "cache", false, "list what each domain's cache holds")
	return cmd
}

func printResolution(w io.Writer, r control.Resolution) {
	fmt.Fprintf(w, "%s %s: %s\n", r.Name, r.Type, r.Rcode)
	for _, a := range r.Answer {
		fmt.Fprintln(w, "  "+a)
	}
	by := "answered here"
	switch {
	case r.PvD != "" && r.Resolver != "":
		by = fmt.Sprintf("answered over %s by %s", r.PvD, r.Resolver)
	case r.Failure != "" && r.PvD != "":
		by = "not answered over " + r.PvD
	case r.Failure != "":
		by = "refused"
	case r.PvD != "":
		by = "answered here for " + r.PvD
	}
	if r.Cached {
		by += ", from its cache"
	}
	if r.Zone != "" {
		by += ", zone " + r.Zone
	}
	fmt.Fprintf(w, "%s: %s\n", by, r.Reason)
}

func listCache(cmd *cobra.Command, g *globals, pvd string) error {
	ctx := cmd.Context()
	if err := known(ctx, g.client(), pvd); err != nil {
		return err
	}
	all, err := g.client().Cache(ctx)
	if err != nil {
		return err
	}
	kept := []control.CacheEntry{}
	for _, e := range all {
		if pvd == "" || e.PvD == pvd {
			kept = append(kept, e)
		}
	}
	return show(cmd, g, kept, printCache)
}

func printCache(w io.Writer, kept []control.CacheEntry) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "DOMAIN\tNAME\tTYPE\tRCODE\tLEFT\tRESOLVER\tANSWER")
	for _, e := range kept {
		left := (time.Duration(e.Left) * time.Second).String()
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.PvD, e.Name, e.Type, e.Rcode, left, e.Resolver, orDash(e.Answer...))
	}
	t.Flush()
}

// resolve asks the resolver as an app of this host does.
func (d *daemon) resolve(ctx context.Context, q control.NameQuestion) (control.Resolution, error) {
	var in *pvd.Domain
	if q.PvD != "" {
		var err error
		if in, err = domainNamed(d.current.Load(), q.PvD); err != nil {
			return control.Resolution{}, err
		}
	}
	if q.Type == "" {
		q.Type = "A"
	}
	app := netip.AddrPort{}
	if own := d.config.Load().Interface.Addresses; len(own) > 0 {
		app = netip.AddrPortFrom(own[0].Addr(), 0)
	}
	r, err := d.resolver.Resolve(ctx, q.Name, q.Type, in, app)
	if err != nil {
		return control.Resolution{}, control.Mistake{Err: err}
	}
	return control.Resolution{
		Name: r.Name, Type: r.Type, Rcode: r.Rcode, Answer: r.Records, PvD: r.Domain, Resolver: whole(r.Resolver),
		Cached: r.Cached, Zone: r.Zone, Reason: r.Reason, Failure: r.Failure,
	}, nil
}

// cache lists what is kept.
func (d *daemon) cache() []control.CacheEntry {
	out := []control.CacheEntry{}
	for _, c := range d.resolver.Cache() {
		out = append(out, control.CacheEntry{
			PvD: c.Domain, Name: strings.TrimSuffix(c.Name, "."), Type: c.Type, Rcode: c.Rcode, Answer: c.Records,
			Resolver: whole(c.Resolver), Left: c.Left.Seconds(),
		})
	}
	return out
}

// whole writes an address, "" for none.
func whole(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
