package main

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/spf13/cobra"

	"mifvif/control"
	"mifvif/pvd"
)

func drainCommand(g *globals) *cobra.Command {
	var deadline time.Duration
	cmd := &cobra.Command{
		Use:   "drain PVD",
		Short: "Put no new flows on a domain; at the deadline the rest are ended",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if deadline < 0 {
				return usageError{errors.New("--deadline is a time from now, such as 10m")}
			}
			return g.client().Drain(cmd.Context(), control.Drain{PvD: args[0], On: true, Deadline: deadline.Seconds()})
		},
	}
	cmd.Flags().DurationVar(&deadline, "deadline", 0, "when the flows that are left are ended (`D` from now; default: never)")
	return cmd
}

func undrainCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "undrain PVD",
		Short: "Put new flows on a drained domain again",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.client().Drain(cmd.Context(), control.Drain{PvD: args[0]})
		},
	}
}

// drains are the domains that get no new flows because somebody said so, by name,
// each with its deadline, zero if it has none. They do not change: flows are asked
// about for as long as the set is in force that they were published with.
type drains map[string]time.Time

// with returns the drains after an order, which may have a deadline.
func (d drains) with(o *control.Drain, until time.Time) drains {
	next := make(drains, len(d)+1)
	maps.Copy(next, d)
	delete(next, o.PvD)
	if o.On {
		next[o.PvD] = until
	}
	return next
}

// apply returns the set with those domains draining.
func (d drains) apply(set *pvd.Set) *pvd.Set {
	if len(d) == 0 {
		return set
	}
	var out []*pvd.Domain
	for _, p := range set.All() {
		if until, ok := d[p.Name]; ok && (p.State == pvd.Online || p.State == pvd.Degraded) {
			now := *p
			now.State, now.Reason = pvd.Draining, "it was drained by hand"
			switch {
			case until.IsZero():
			case d.over(p.Name):
				now.Reason += ", what was left has ended"
			default:
				now.Reason += ", what is left ends at " + until.Format(time.DateTime)
			}
			p = &now
		}
		out = append(out, p)
	}
	return pvd.NewSet(out)
}

// over reports whether the deadline of a domain has passed.
func (d drains) over(name string) bool {
	until, ok := d[name]
	return ok && !until.IsZero() && !time.Now().Before(until)
}

// drain has the publisher drain a domain or stop draining it.
func (d *daemon) drain(ctx context.Context, q control.Drain) error {
	if _, err := domainNamed(d.current.Load(), q.PvD); err != nil {
		return err
	}
	return d.publisher.order(ctx, order{drain: &q})
}

// order gives an order and returns when it is in force.
func (p *publisher) order(ctx context.Context, o order) error {
	o.done = make(chan struct{})
	select {
	case p.orders <- o:
		<-o.done // the publisher finishes what it has taken
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// heed takes an order: another configuration, or a domain to drain.
func (p *publisher) heed(o order) {
	if o.drain == nil {
		p.d.config.Store(o.config)
		p.builder.Configure(discovery(o.config))
		return
	}
	until := time.Time{}
	if o.drain.On && o.drain.Deadline > 0 {
		wait := time.Duration(o.drain.Deadline * float64(time.Second))
		until = time.Now().Add(wait)
		p.deadline.Reset(wait)
	}
	p.drains = p.drains.with(o.drain, until)
}
