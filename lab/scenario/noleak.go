package scenario

import (
	"context"
	"errors"
	"fmt"

	"mifvif/lab"
)

const dnsPort = 53

// watched has noLeak look on at every one of the scenarios.
func watched(rows []Scenario) []Scenario {
	for i := range rows {
		rows[i].Run = noLeak(rows[i].Run)
	}
	return rows
}

// noLeak wraps a scenario about names: for its whole run every link is captured,
// and at its end no question may have left by a network that has not both ends
// of it, nor may any network's resolver have been asked from elsewhere.
func noLeak(run func(context.Context, *Env) error) func(context.Context, *Env) error {
	return func(ctx context.Context, e *Env) error {
		captures := make(map[string]*lab.Capture)
		for _, n := range e.Layout.Networks {
			if captures[n.Link] != nil {
				continue
			}
			c, err := e.Host.Capture(n.Link, func(r lab.Record) bool { return r.Out && r.DstPort == dnsPort && !e.inside(n.Link, r) })
			if err != nil {
				return err
			}
			defer c.Close()
			captures[n.Link] = c
		}
		if err := run(ctx, e); err != nil || e.Daemon == nil {
			return err
		}
		var errs []error
		for link, c := range captures {
			errs = append(errs, nothing(c, "a question left by "+link+" that is another network's"))
		}
		return errors.Join(append(errs, e.askedAtHome())...)
	}
}

// inside reports whether one network of the link has both ends of a packet.
func (e *Env) inside(link string, r lab.Record) bool {
	for _, n := range e.Layout.Networks {
		if n.Link == link && n.Owns(r.Src) && (n.Owns(r.Dst) || r.Dst.IsMulticast()) {
			return true
		}
	}
	return false
}

// askedAtHome looks through the query logs of all networks' resolvers.
func (e *Env) askedAtHome() error {
	for _, n := range e.Layout.Networks {
		resolver := e.Resolvers[n.Name]
		if resolver == nil {
			continue
		}
		for _, q := range resolver.Log.Queries() {
			if !n.Owns(q.Source.Addr()) && !q.Source.Addr().IsLinkLocalUnicast() {
				return fmt.Errorf("the resolver of %s was asked by another network: %v", n.Name, q)
			}
		}
	}
	return nil
}
