package dns

import (
	"net/netip"
	"strings"
	"time"

	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

// Bounds of what one answer may teach.
const (
	maxAliases = 16
	maxAddrs   = 64
)

// learn passes on the addresses a positive answer gave, before the app has it. It
// returns those to give the app instead, nil if they are the same; ok is false if
// the app must not have the answer.
func (s *Server) learn(r *request, e *entry, d *pvd.Domain, private bool) (told []netip.Addr, ok bool) {
	if s.cfg.Learned == nil || len(e.addrs) == 0 {
		return nil, true
	}
	told = s.cfg.Learned(Learned{
		App: r.from, Name: strings.TrimSuffix(e.name, "."), Addrs: e.addrs,
		TTL: time.Duration(e.least) * time.Second, Domain: d, Private: private, Exact: r.do || r.cd,
	})
	switch {
	case len(told) != len(e.addrs):
		return nil, false
	case &told[0] == &e.addrs[0]:
		return nil, true
	}
	return told, true
}

// addresses follows the aliases from name and returns the addresses at their
// end with the least TTL on the way. Records about other names teach nothing.
func addresses(m *wire.Msg, name string, qtype uint16) ([]netip.Addr, uint32) {
	ttl := uint32(1<<31 - 1)
	for range maxAliases {
		next, t, ok := alias(m, name)
		if !ok {
			break
		}
		name, ttl = next, min(ttl, t)
	}
	var addrs []netip.Addr
	for _, rr := range m.Answer {
		h := rr.Header()
		if h.Rrtype != qtype || !strings.EqualFold(h.Name, name) || len(addrs) == maxAddrs {
			continue
		}
		if a, ok := addrOf(rr); ok {
			addrs, ttl = append(addrs, a), min(ttl, h.Ttl)
		}
	}
	return addrs, ttl
}

// alias returns what the CNAME of name points to.
func alias(m *wire.Msg, name string) (next string, ttl uint32, ok bool) {
	for _, rr := range m.Answer {
		if c, is := rr.(*wire.CNAME); is && strings.EqualFold(c.Hdr.Name, name) {
			return c.Target, c.Hdr.Ttl, true
		}
	}
	return "", 0, false
}

func addrOf(rr wire.RR) (netip.Addr, bool) {
	switch rr := rr.(type) {
	case *wire.A:
		a, ok := netip.AddrFromSlice(rr.A)
		return a.Unmap(), ok
	case *wire.AAAA:
		return netip.AddrFromSlice(rr.AAAA)
	}
	return netip.Addr{}, false
}
