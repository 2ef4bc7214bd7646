package dns

import (
	"encoding/binary"
	"net/netip"
	"strings"

	wire "github.com/miekg/dns"
)

// Sizes in bytes. 1232 is what passes everywhere unfragmented (DNS flag day
// 2020); no honest query is longer than maxQuery.
const (
	headerLen = 12
	maxQuery  = 4096
	ednsSize  = 1232
)

// request is a client's query as far as the rest of the package needs it.
type request struct {
	id       uint16
	opcode   int
	rd       bool // recursion desired
	ad       bool // wants to know whether the answer is authentic (RFC 6840 5.7)
	cd       bool // validates itself (RFC 4035 3.2.2)
	question []wire.Question
	spelt    []byte // the question's bytes, as the client wrote them
	name     string // lower case, with the final dot
	qtype    uint16
	edns     bool
	do       bool
	size     int // of the largest UDP answer the client takes
	from     netip.AddrPort
	tcp      bool
}

// looksLikeQuery reports whether b can be a query at all: anything else gets no
// answer, so that two servers never talk to each other.
func looksLikeQuery(b []byte) bool {
	return len(b) >= headerLen && len(b) <= maxQuery && b[2]&0x80 == 0
}

// parse reads a query for which looksLikeQuery is true. When the rcode is not
// success the request holds just what the refusal needs.
func parse(b []byte) (*request, int) {
	r := header(b)
	if r.opcode != wire.OpcodeQuery {
		return r, wire.RcodeNotImplemented
	}
	if !soundCounts(b) {
		return r, wire.RcodeFormatError
	}
	var m wire.Msg
	if err := m.Unpack(b); err != nil || !complete(b, &m) {
		return r, wire.RcodeFormatError
	}
	r.question = m.Question
	r.name, r.qtype = strings.ToLower(m.Question[0].Name), m.Question[0].Qtype
	if end := skipName(b, headerLen) + 4; end <= len(b) {
		r.spelt = b[headerLen:end]
	}
	if rcode := r.readOPT(m.Extra); rcode != wire.RcodeSuccess {
		return r, rcode
	}
	if m.Question[0].Qclass != wire.ClassINET || refusedType(r.qtype) {
		return r, wire.RcodeRefused
	}
	return r, wire.RcodeSuccess
}

// limit is the size in bytes of the largest answer that fits its way back.
func (r *request) limit() int {
	if r.tcp {
		return wire.MaxMsgSize
	}
	return r.size
}

// header reads the fixed part of a query.
func header(b []byte) *request {
	return &request{
		id:     binary.BigEndian.Uint16(b),
		opcode: int(b[2]>>3) & 0xf,
		rd:     b[2]&1 != 0,
		ad:     b[3]&0x20 != 0,
		cd:     b[3]&0x10 != 0,
		size:   wire.MinMsgSize,
	}
}

// soundCounts reports whether the header announces one question and no
// records but the few that qualify a query (OPT, TSIG, SIG(0)).
func soundCounts(b []byte) bool {
	qd, an, ns, ar := counts(b)
	return qd == 1 && an == 0 && ns == 0 && ar <= 3
}

func counts(b []byte) (qd, an, ns, ar int) {
	n := func(i int) int { return int(binary.BigEndian.Uint16(b[i:])) }
	return n(4), n(6), n(8), n(10)
}

// complete reports whether m holds as many records as the header of b
// announced: the parser takes a message that ends early for a short one.
func complete(b []byte, m *wire.Msg) bool {
	qd, an, ns, ar := counts(b)
	return len(m.Question) == qd && len(m.Answer) == an && len(m.Ns) == ns && len(m.Extra) == ar
}

// readOPT takes over the client's EDNS (RFC 6891 6.1.1-6.1.3).
func (r *request) readOPT(extra []wire.RR) int {
	for _, rr := range extra {
		opt, ok := rr.(*wire.OPT)
		if !ok {
			continue
		}
		if r.edns || opt.Hdr.Name != "." {
			return wire.RcodeFormatError
		}
		r.edns, r.do = true, opt.Do()
		r.size = min(max(int(opt.UDPSize()), wire.MinMsgSize), ednsSize)
		if opt.Version() != 0 {
			return wire.RcodeBadVers
		}
	}
	return wire.RcodeSuccess
}

// refusedType reports whether a type asks for more than one RRset or means the
// transport itself (RFC 6895 3.1): zone transfers and ANY (RFC 8482) serve no
// app and invite abuse.
func refusedType(t uint16) bool {
	return t == wire.TypeNone || t == wire.TypeOPT || t >= 128 && t <= 255
}

// upstream builds the query that goes to a resolver: a new random id, the
// question as the client spelt it, the client's DO and CD, our own EDNS (RFC 5452
// 9.2, RFC 6891 6.1.1: EDNS is hop by hop). Whether the answer is authentic is
// always asked: the cache serves those who want to know too.
func (r *request) upstream(id uint16, edns bool) *wire.Msg {
	m := &wire.Msg{Question: r.question}
	m.Id, m.RecursionDesired = id, r.rd
	m.AuthenticatedData, m.CheckingDisabled = true, r.cd
	if edns {
		m.SetEdns0(ednsSize, r.do)
	}
	return m
}
