package dns

import (
	"net/netip"
	"time"

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

// packed gives an entry to the client; what is too large for its way back is cut.
func (r *request) packed(e *entry, limit uint32, told []netip.Addr, now time.Time) []byte {
	out, ok := e.appendTo(nil, r, limit, told, now)
	if ok {
		return out
	}
	var m wire.Msg
	if m.Unpack(out) != nil {
		return r.pack(r.failed(wire.ExtendedErrorCodeInvalidData, "the answer cannot be encoded"))
	}
	return r.pack(&m)
}

// pack gives the answer the size its way back can carry: over UDP records are
// left out and TC says so (RFC 2181 9), over TCP a message may have 64 KiB.
func (r *request) pack(m *wire.Msg) []byte {
	size := r.limit()
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
