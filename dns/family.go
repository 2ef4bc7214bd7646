package dns

import (
	"context"
	"net/netip"
	"slices"

	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

// outranked reports whether the addresses of an answer are of the family that the
// domain's own selection table ranks lower than the other, which the name has too
// (RFC 6724 6). The app's library sorts by the default table and mif0's addresses, so
// the lower family is withheld instead (RFC 6418 3.5-1). Clients that check for
// themselves get what there is.
func (s *Server) outranked(ctx context.Context, d *pvd.Domain, r *request, e *entry) bool {
	if s.cfg.Sort == nil || len(d.Selection) == 0 || len(e.addrs) == 0 || r.do || r.cd {
		return false
	}
	other := *r
	switch r.qtype {
	case wire.TypeA:
		other.qtype = wire.TypeAAAA
	case wire.TypeAAAA:
		other.qtype = wire.TypeA
	default:
		return false
	}
	other.question = []wire.Question{{Name: r.question[0].Name, Qtype: other.qtype, Qclass: wire.ClassINET}}
	o, _, err := s.consult(ctx, d, &other, true)
	if err != nil || len(o.addrs) == 0 || !d.Carries(other.qtype == wire.TypeAAAA) {
		return false
	}
	// In the default order where the table says nothing: IPv6 first.
	six, four := e.addrs, o.addrs
	if r.qtype == wire.TypeA {
		six, four = four, six
	}
	list := slices.Concat(six[:1:1], four[:1:1])
	if list[0].Is4() == list[1].Is4() {
		return false
	}
	s.cfg.Sort(d, list)
	return list[0].Is6() != (r.qtype == wire.TypeAAAA)
}

// SortFunc puts destinations in the order of preference inside d (RFC 6724 6).
type SortFunc func(d *pvd.Domain, list []netip.Addr)
