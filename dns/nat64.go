package dns

import (
	"context"
	"net/netip"
	"time"

	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

// only4 is the name that has IPv4 addresses only, so that an IPv6 address of it
// shows how a network makes them (RFC 7050).
const only4 = "ipv4only.arpa."

// Times of the search for a network's NAT64 prefix (RFC 7050 3).
const (
	found64Least = time.Minute
	found64Most  = 24 * time.Hour
	missed64     = 10 * time.Minute // without a TTL to go by
	early64      = 10 * time.Second // before the records end
	mostTTL64    = 600              // seconds, of a synthesised record without a SOA (RFC 6147 5.1.7)
)

// wellKnown4 are the addresses of only4.
func wellKnown4() [2]netip.Addr {
	return [2]netip.Addr{netip.AddrFrom4([4]byte{192, 0, 0, 170}), netip.AddrFrom4([4]byte{192, 0, 0, 171})}
}

// prefix64 returns the prefix that an address of only4 was made with; false if it
// was not, or if that cannot be told.
func prefix64(a netip.Addr) (netip.Prefix, bool) {
	var found netip.Prefix
	for _, bits := range []int{96, 64, 56, 48, 40, 32} {
		p := netip.PrefixFrom(a, bits).Masked()
		for _, v4 := range wellKnown4() {
			if made, ok := pvd.Embed64(p, v4); !ok || made != a {
				continue
			}
			if found.IsValid() {
				return netip.Prefix{}, false
			}
			found = p
		}
	}
	return found, found.IsValid()
}

// seek64 looks for the domain's NAT64 prefixes by its own resolvers as long as the
// instance lives, and tells what it finds.
func (s *Server) seek64(in *instance) {
	for {
		again := missed64
		if d := in.present(); d != nil && seekable64(d) {
			ctx, cancel := context.WithTimeout(in.ctx, hardLimit)
			prefixes, ttl, err := s.find64(ctx, d)
			cancel()
			if err == nil {
				s.cfg.Found64(d.Key(), prefixes)
				again = min(max(ttl-early64, found64Least), found64Most)
			}
		}
		if !in.rest(again, in.changed) {
			return
		}
	}
}

// seekable64 reports whether d may have a NAT64 that it has not told of itself.
func seekable64(d *pvd.Domain) bool {
	if !d.Usable(true) || len(reachable(d)) == 0 {
		return false
	}
	for i := range d.PREF64 {
		if d.PREF64[i].Origin != pvd.FromDNS {
			return false
		}
	}
	return true
}

// find64 asks once. The answer is never checked by DNSSEC (RFC 8880 7.1).
func (s *Server) find64(ctx context.Context, d *pvd.Domain) ([]netip.Prefix, time.Duration, error) {
	r, err := question(only4, wire.TypeAAAA, netip.AddrPort{})
	if err != nil {
		return nil, 0, err
	}
	e, _, err := s.consult(ctx, d, r, true)
	if err != nil {
		return nil, 0, err
	}
	var out []netip.Prefix
	for _, a := range e.addrs {
		if p, ok := prefix64(a); ok {
			out = append(out, p)
		}
	}
	if e.life <= 0 {
		return out, missed64, nil
	}
	return out, e.life, nil
}

// synthesise returns the AAAA answer that is made of a name's IPv4 addresses where
// it has no others and d is reached by IPv6 only (RFC 6147), nil where that is not
// to be done: for clients that check for themselves, for names that do not exist.
func (s *Server) synthesise(ctx context.Context, d *pvd.Domain, r *request, e *entry) *entry {
	if r.qtype != wire.TypeAAAA || r.cd || e != nil && (e.msgRcode != wire.RcodeSuccess || !e.denial) || r.name == only4 {
		return nil
	}
	if _, ok := d.Translated(netip.AddrFrom4([4]byte{192, 0, 0, 170})); !ok {
		return nil
	}
	ask := *r
	ask.qtype, ask.question = wire.TypeA, []wire.Question{{Name: r.question[0].Name, Qtype: wire.TypeA, Qclass: wire.ClassINET}}
	four, _, err := s.consult(ctx, d, &ask, true)
	if err != nil || len(four.addrs) == 0 {
		return nil
	}
	var m wire.Msg
	if m.Unpack(four.wire) != nil {
		return nil
	}
	limit := uint32(mostTTL64)
	if e != nil && e.life > 0 {
		limit = uint32(e.life / time.Second)
	}
	made := rewritten(&m, d, limit)
	if made == nil {
		return nil
	}
	own, err := newEntry(made, r, time.Now())
	if err != nil {
		return nil
	}
	own.server = four.server
	return own
}

// rewritten turns a message of A records into one of the AAAA records that stand
// for them in d; aliases stay.
func rewritten(m *wire.Msg, d *pvd.Domain, limit uint32) *wire.Msg {
	out := &wire.Msg{MsgHdr: m.MsgHdr}
	out.AuthenticatedData = false
	made := false
	for _, rr := range m.Answer {
		switch rr := rr.(type) {
		case *wire.A:
			v4, _ := netip.AddrFromSlice(rr.A.To4())
			v6, ok := d.Translated(v4)
			if !ok {
				continue
			}
			h := rr.Hdr
			h.Rrtype, h.Ttl = wire.TypeAAAA, min(h.Ttl, limit)
			out.Answer = append(out.Answer, &wire.AAAA{Hdr: h, AAAA: v6.AsSlice()})
			made = true
		case *wire.CNAME, *wire.DNAME:
			out.Answer = append(out.Answer, rr)
		}
	}
	if !made {
		return nil
	}
	return out
}
