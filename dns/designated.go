package dns

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

// Bounds of looking resolvers up that a domain only names.
const (
	maxDesignated      = 4 // names of one domain
	maxFound           = 8 // resolvers of one name
	designatedLeast    = time.Minute
	designatedMost     = 24 * time.Hour
	designatedAgain    = 10 * time.Minute // where nothing was found
	designatedMostTime = 30 * time.Second
)

// designate looks up, as long as the instance lives, what the resolvers are that the
// domain only names (RFC 9463 3.1.9), by its own other resolvers, and tells what it
// finds.
func (s *Server) designate(in *instance) {
	for {
		again := designatedAgain
		if d := in.present(); d != nil && designates(d) {
			ctx, cancel := context.WithTimeout(in.ctx, designatedMostTime)
			found, life := s.designated(ctx, d)
			cancel()
			if in.ctx.Err() == nil {
				s.cfg.Designated(d.Key(), found)
			}
			if len(found) > 0 {
				again = min(max(life, designatedLeast), designatedMost)
			}
		}
		if !in.rest(again, in.renamed) {
			return
		}
	}
}

// designates reports whether there is anything to look up in d, and a way to.
func designates(d *pvd.Domain) bool {
	return len(d.Designated) > 0 && len(reachable(d)) > 0 && (d.Usable(false) || d.Usable(true))
}

// designated asks for each name of d, and returns for how long that is true.
func (s *Server) designated(ctx context.Context, d *pvd.Domain) (found []pvd.Resolver, life time.Duration) {
	life = designatedMost
	for _, x := range d.Designated[:min(len(d.Designated), maxDesignated)] {
		e, err := s.lookUp(ctx, d, "_dns."+x.Name+".", wire.TypeSVCB) // RFC 9461 4
		var m wire.Msg
		if err != nil || m.Unpack(e.wire) != nil {
			continue
		}
		life = min(life, e.life)
		var own []pvd.Resolver
		for _, rr := range m.Answer {
			if svcb, ok := rr.(*wire.SVCB); ok && svcb.Priority > 0 && len(own) < maxFound {
				own = append(own, s.service(ctx, d, x.Name, svcb)...)
			}
		}
		found = append(found, own[:min(len(own), maxFound)]...)
	}
	return found, life
}

// service returns the resolvers that one record of a name stands for, each address of
// the target by each transport that mifvif speaks. Its certificate is to prove the
// name, whatever the target is called (RFC 9463 3.3).
func (s *Server) service(ctx context.Context, d *pvd.Domain, name string, svcb *wire.SVCB) (all []pvd.Resolver) {
	dot, doh, port, path := services(svcb)
	if !dot && !doh {
		return nil
	}
	target := svcb.Target
	if target == "." {
		target = name + "."
	}
	for _, kind := range []uint16{wire.TypeAAAA, wire.TypeA} {
		e, err := s.lookUp(ctx, d, target, kind)
		if err != nil {
			continue
		}
		for _, addr := range slices.DeleteFunc(slices.Clone(e.addrs), func(a netip.Addr) bool { return !serves(a) }) {
			add := func(transport pvd.Transport, usual uint16) {
				if port != 0 {
					usual = port
				}
				all = append(all, pvd.Resolver{Addr: netip.AddrPortFrom(addr, usual), Transport: transport, Name: name, Path: path})
			}
			if dot {
				add(pvd.DoT, 853)
			}
			if doh {
				add(pvd.DoH, 443)
			}
		}
	}
	return all
}

// services reads what a record offers; one that needs what mifvif does not know
// offers nothing (RFC 9460 8).
func services(svcb *wire.SVCB) (dot, doh bool, port uint16, path string) {
	for _, value := range svcb.Value {
		switch v := value.(type) {
		case *wire.SVCBMandatory:
			if slices.ContainsFunc(v.Code, func(k wire.SVCBKey) bool {
				return k != wire.SVCB_ALPN && k != wire.SVCB_PORT && k != wire.SVCB_DOHPATH
			}) {
				return false, false, 0, ""
			}
		case *wire.SVCBAlpn:
			dot, doh = slices.Contains(v.Alpn, "dot"), slices.Contains(v.Alpn, "h2")
		case *wire.SVCBPort:
			port = v.Port
		case *wire.SVCBDoHPath:
			path = v.Template
		}
	}
	if doh = doh && strings.HasPrefix(path, "/") && strings.HasSuffix(path, dohTemplate) && len(path) <= 255; !doh {
		path = ""
	}
	return dot, doh, port, path
}

// serves reports whether an address of an answer can be a resolver's.
func serves(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && !a.IsLinkLocalUnicast()
}

// lookUp asks d one question.
func (s *Server) lookUp(ctx context.Context, d *pvd.Domain, name string, kind uint16) (*entry, error) {
	r, err := question(name, kind, netip.AddrPort{})
	if err != nil {
		return nil, err
	}
	e, _, err := s.consult(ctx, d, r, true)
	return e, err
}
