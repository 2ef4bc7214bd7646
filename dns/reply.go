package dns

import (
	wire "github.com/miekg/dns"
)

// local starts an answer of our own.
func (r *request) local(rcode int) *wire.Msg {
	m := &wire.Msg{Question: r.question}
	m.Id, m.Response, m.Opcode = r.id, true, r.opcode
	m.RecursionDesired, m.RecursionAvailable, m.CheckingDisabled = r.rd, true, r.cd
	m.Rcode = rcode
	if r.edns {
		m.SetEdns0(ednsSize, r.do)
	}
	return m
}

// failed is SERVFAIL with the reason in words, for clients that can read it
// (RFC 8914: 23 is Network Error).
func (r *request) failed(code uint16, why string) *wire.Msg {
	m := r.local(wire.RcodeServerFailure)
	m.Extra = explain(m.Extra, &wire.EDNS0_EDE{InfoCode: code, ExtraText: why})
	return m
}

// relayed turns a resolver's answer into the client's: id and question are the
// client's own, EDNS is ours, AD only for those who asked (RFC 6840 5.8), no
// TTL above the cap. What qualified the other hop's message stays there.
func (r *request) relayed(up *wire.Msg, maxTTL uint32) *wire.Msg {
	m := r.local(up.Rcode)
	if up.Rcode > 0xf && !r.edns {
		m.Rcode = wire.RcodeServerFailure
	}
	m.Authoritative, m.RecursionAvailable = up.Authoritative, up.RecursionAvailable
	m.AuthenticatedData = up.AuthenticatedData && (r.ad || r.do)
	m.Answer, m.Ns = up.Answer, up.Ns
	own := m.Extra
	m.Extra = nil
	for _, rr := range up.Extra {
		if !hopByHop(rr.Header().Rrtype) {
			m.Extra = append(m.Extra, rr)
		}
	}
	capTTL(maxTTL, m.Answer, m.Ns, m.Extra)
	m.Extra = append(m.Extra, own...)
	m.Extra = explain(m.Extra, reasons(up)...)
	return m
}

// pack gives the answer the size its way back can carry: over UDP records are
// left out and TC says so (RFC 2181 9), over TCP a message may have 64 KiB.
func (r *request) pack(m *wire.Msg) []byte {
	size := r.size
	if r.tcp {
		size = wire.MaxMsgSize
	}
	m.Truncate(size)
	b, err := m.Pack()
	if err != nil || len(b) > size {
		b, err = r.failed(wire.ExtendedErrorCodeInvalidData, "the answer cannot be encoded").Pack()
	}
	if err != nil {
		return nil
	}
	return b
}

// hopByHop reports whether a record belongs to the message, not to the data.
func hopByHop(t uint16) bool {
	return t == wire.TypeOPT || t == wire.TypeTSIG || t == wire.TypeSIG
}

// capTTL lowers TTLs to limit (0: no cap). A TTL with the top bit set means 0
// (RFC 2181 8).
func capTTL(limit uint32, sections ...[]wire.RR) {
	for _, section := range sections {
		for _, rr := range section {
			h := rr.Header()
			if h.Ttl > 1<<31-1 {
				h.Ttl = 0
			}
			if limit > 0 {
				h.Ttl = min(h.Ttl, limit)
			}
		}
	}
}

// reasons are the extended errors a resolver gave (RFC 8914 3 lets a forwarder
// pass them on).
func reasons(up *wire.Msg) []wire.EDNS0 {
	opt := up.IsEdns0()
	if opt == nil {
		return nil
	}
	var out []wire.EDNS0
	for _, o := range opt.Option {
		if e, ok := o.(*wire.EDNS0_EDE); ok && len(out) < 4 {
			out = append(out, e)
		}
	}
	return out
}

// explain adds extended errors to the OPT record of extra, if there is one.
func explain(extra []wire.RR, why ...wire.EDNS0) []wire.RR {
	for _, rr := range extra {
		if opt, ok := rr.(*wire.OPT); ok {
			opt.Option = append(opt.Option, why...)
		}
	}
	return extra
}
