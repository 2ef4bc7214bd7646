package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

// ErrNoSuchName says that a domain's resolvers deny that a name exists.
var ErrNoSuchName = errors.New("no such name")

// Lookup returns the addresses a name has in d, of the families d has sources
// for, as d's own resolvers give them and nobody else: it is for the house's own
// errands inside a domain (RFC 8801 4.1, RFC 8908), whatever the domain's state.
// An empty list without error is a name without addresses. Nothing is learnt
// from it. Safe for concurrent use.
func (s *Server) Lookup(ctx context.Context, d *pvd.Domain, name string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, hardLimit)
	defer cancel()
	var out []netip.Addr
	var failure error
	for _, qtype := range []uint16{wire.TypeAAAA, wire.TypeA} {
		if !d.HasSource(qtype == wire.TypeAAAA) {
			continue
		}
		addrs, err := s.lookup(ctx, d, name, qtype)
		if errors.Is(err, ErrNoSuchName) {
			return nil, err
		}
		out, failure = append(out, addrs...), errors.Join(failure, err)
	}
	if len(out) > 0 {
		return out, nil
	}
	return nil, failure
}

func (s *Server) lookup(ctx context.Context, d *pvd.Domain, name string, qtype uint16) ([]netip.Addr, error) {
	name = wire.Fqdn(pvd.CanonicalName(name))
	r := &request{name: name, qtype: qtype, rd: true, question: []wire.Question{{Name: name, Qtype: qtype, Qclass: wire.ClassINET}}}
	res, err := s.ask(ctx, d, r, true)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", name, err)
	}
	m := res.msg
	if m.Rcode == wire.RcodeNameError {
		return nil, fmt.Errorf("look up %s in %s: %w", name, d.Name, ErrNoSuchName)
	}
	addrs, _ := addresses(m, name, qtype)
	return slices.Clip(addrs), nil
}
