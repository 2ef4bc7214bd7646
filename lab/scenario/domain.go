package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"mifvif/lab"
)

// domain is what scripts read of a domain in `pvds --json`.
type domain struct {
	Name, ID, Interface, State string
	Explicit                   bool
	Sources                    []string
	NextHops                   []string `json:"next_hops"`
	DNS                        []struct{ Address, Origin string }
	Objects                    []object
}

type object struct {
	Kind, Value, Origin string
	Lifetime            *float64
}

// domains asks for all domains, by name.
func (e *Env) domains(ctx context.Context) (map[string]domain, error) {
	var all []domain
	if err := e.JSON(ctx, &all, "pvds"); err != nil {
		return nil, err
	}
	named := make(map[string]domain)
	for _, d := range all {
		named[d.Name] = d
	}
	return named, nil
}

// resolvers returns the addresses of a domain's resolvers.
func (d domain) resolvers() []string {
	var all []string
	for _, r := range d.DNS {
		all = append(all, r.Address)
	}
	return all
}

// is returns an error unless a domain has what a router advertised and nothing of
// another.
func (d domain) is(n lab.Network, source netip.Addr) error {
	resolver := struct{ Address, Origin string }{netip.AddrPortFrom(n.Resolver6(), 53).String(), "ra"}
	if d.Interface != n.Link || d.State != "online" || !slices.Equal(d.Sources, []string{source.String()}) ||
		!slices.Equal(d.NextHops, []string{n.Gateway6().String()}) || !slices.Contains(d.DNS, resolver) || len(d.DNS) != 1 {
		return fmt.Errorf("it is not what %s advertised: %+v", n.Name, d)
	}
	return nil
}
