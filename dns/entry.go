package dns

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"time"

	wire "github.com/miekg/dns"
)

// Bounds of an answer's life in the cache.
const (
	maxPositive = 24 * time.Hour
	maxNegative = time.Hour // RFC 2308 5: one to three hours are sensible
)

// entry is one answer of one domain's resolver, as it is and ready to be given to
// any client: packed once, with the places of what differs from client to client.
// It is immutable.
type entry struct {
	name   string // lower case, with the final dot
	qtype  uint16
	wire   []byte // without OPT; id, RD and CD are zero
	asked  int    // where the question ends
	ttls   []int  // where the TTLs are
	places []int  // where the addresses are
	addrs  []netip.Addr
	least  uint32         // the least TTL on the way to addrs
	server netip.AddrPort // whose answer it is
	// reasons are the resolver's extended errors (RFC 8914).
	reasons []wire.EDNS0

	msgRcode int // with the upper bits that only an OPT can carry
	stored   time.Time
	life     time.Duration // 0: not to be cached
	denial   bool          // no such name, or no such data
}

// expired reports whether the entry's time is over.
func (e *entry) expired(now time.Time) bool { return now.Sub(e.stored) >= e.life }

// newEntry makes an entry of a resolver's answer to r. It takes m over.
func newEntry(m *wire.Msg, r *request, now time.Time) (*entry, error) {
	e := &entry{name: r.name, qtype: r.qtype, msgRcode: m.Rcode, reasons: reasons(m), stored: now}
	own := &wire.Msg{Compress: true, Answer: m.Answer, Ns: m.Ns}
	own.Question = []wire.Question{{Name: r.name, Qtype: r.qtype, Qclass: wire.ClassINET}}
	own.Response, own.Authoritative, own.RecursionAvailable = true, m.Authoritative, m.RecursionAvailable
	own.AuthenticatedData, own.Rcode = m.AuthenticatedData, m.Rcode&0xf
	for _, rr := range m.Extra {
		if !hopByHop(rr.Header().Rrtype) {
			own.Extra = append(own.Extra, rr)
		}
	}
	for _, rr := range m.Answer {
		if h := rr.Header(); strings.EqualFold(h.Name, r.name) {
			h.Name = r.name // points at the question, so that each client sees its own spelling
		}
	}
	if !r.do && !r.cd {
		unhint(m.Answer, own.Extra)
	}
	e.denial = m.Rcode == wire.RcodeNameError || m.Rcode == wire.RcodeSuccess && !answered(m, r.qtype)
	e.life = life(m, e.denial)
	var err error
	if e.wire, err = own.Pack(); err != nil {
		return nil, err //nolint:wrapcheck // only that it cannot be packed matters
	}
	if r.qtype == wire.TypeA || r.qtype == wire.TypeAAAA {
		e.addrs, e.least = addresses(m, r.name, r.qtype)
	}
	if !e.survey() {
		return nil, errMalformed
	}
	return e, nil
}

// answered reports whether a message has data of the type that was asked for.
func answered(m *wire.Msg, qtype uint16) bool {
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == qtype {
			return true
		}
	}
	return qtype == wire.TypeCNAME && len(m.Answer) > 0
}

// life returns how long a message may be kept: as long as its shortest record, a
// denial as its SOA says and without one not at all (RFC 2308 5).
func life(m *wire.Msg, denial bool) time.Duration {
	least := uint32(maxPositive / time.Second)
	for _, section := range [][]wire.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			if h := rr.Header(); h.Rrtype != wire.TypeOPT {
				least = min(least, sane(h.Ttl))
			}
		}
	}
	if !denial {
		return time.Duration(least) * time.Second
	}
	for _, rr := range m.Ns {
		if soa, ok := rr.(*wire.SOA); ok {
			return min(time.Duration(min(least, sane(soa.Minttl)))*time.Second, maxNegative)
		}
	}
	return 0
}

// sane is a TTL as it is to be understood: one with the top bit set means 0 (RFC
// 2181 8).
func sane(ttl uint32) uint32 {
	if ttl > 1<<31-1 {
		return 0
	}
	return ttl
}

// survey finds the places of TTLs and addresses in the packed message.
func (e *entry) survey() bool {
	b := e.wire
	_, an, ns, ar := counts(b)
	at := skipName(b, headerLen) + 4
	e.asked = at
	left := len(e.addrs)
	for range an + ns + ar {
		at = skipName(b, at)
		if at+10 > len(b) {
			return false
		}
		rrtype, length := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+8:]))
		e.ttls = append(e.ttls, at+4)
		at += 10
		if at+length > len(b) {
			return false
		}
		if left > 0 && rrtype == e.qtype && (length == 4 || length == 16) {
			if a, _ := netip.AddrFromSlice(b[at : at+length]); a == e.addrs[len(e.addrs)-left] {
				e.places = append(e.places, at)
				left--
			}
		}
		at += length
	}
	return left == 0
}

// skipName returns where a name ends; the message is our own, so it is sound.
func skipName(b []byte, at int) int {
	for at < len(b) {
		switch n := int(b[at]); {
		case n == 0:
			return at + 1
		case n&0xc0 != 0:
			return at + 2
		default:
			at += 1 + n
		}
	}
	return at
}

// appendTo appends the answer for r to dst: id and question are the client's own,
// AD only for those who asked (RFC 6840 5.8), TTLs are what is left of them and no
// more than limit (seconds, 0: no cap), EDNS is ours. told replaces the addresses
// unless it is nil. It does not allocate but for extended errors. ok is false when
// the answer is larger than the client takes.
func (e *entry) appendTo(dst []byte, r *request, limit uint32, told []netip.Addr, now time.Time) (out []byte, ok bool) {
	start := len(dst)
	dst = append(dst, e.wire...)
	b := dst[start:]
	binary.BigEndian.PutUint16(b, r.id)
	if r.rd {
		b[2] |= 1
	}
	if !r.ad && !r.do {
		b[3] &^= 0x20
	}
	if r.cd {
		b[3] |= 0x10
	}
	copy(b[headerLen:e.asked], r.spelt)
	age := uint32(max(now.Sub(e.stored), 0) / time.Second)
	for _, at := range e.ttls {
		ttl := sane(binary.BigEndian.Uint32(b[at:]))
		ttl -= min(age, ttl)
		if limit > 0 {
			ttl = min(ttl, limit)
		}
		binary.BigEndian.PutUint32(b[at:], ttl)
	}
	for i, a := range told {
		if a.Is4() {
			*(*[4]byte)(b[e.places[i]:]) = a.As4()
		} else {
			*(*[16]byte)(b[e.places[i]:]) = a.As16()
		}
	}
	if r.edns {
		dst = e.appendOPT(dst, start, r)
	} else if e.msgRcode > 0xf {
		b[3] = b[3]&^0xf | wire.RcodeServerFailure
	}
	return dst, len(dst)-start <= r.limit()
}

// appendOPT ends a message with our OPT record.
func (e *entry) appendOPT(dst []byte, start int, r *request) []byte {
	ar := binary.BigEndian.Uint16(dst[start+10:])
	binary.BigEndian.PutUint16(dst[start+10:], ar+1)
	var flags byte
	if r.do {
		flags = 0x80
	}
	dst = append(dst, 0, 0, byte(wire.TypeOPT), ednsSize>>8, ednsSize&0xff, byte(e.msgRcode>>4), 0, flags, 0, 0, 0)
	length := len(dst) - 2
	for _, o := range e.reasons {
		if ede, ok := o.(*wire.EDNS0_EDE); ok && len(ede.ExtraText) < 1024 {
			dst = binary.BigEndian.AppendUint16(dst, wire.EDNS0EDE)
			dst = binary.BigEndian.AppendUint16(dst, uint16(2+len(ede.ExtraText)))
			dst = binary.BigEndian.AppendUint16(dst, ede.InfoCode)
			dst = append(dst, ede.ExtraText...)
		}
	}
	binary.BigEndian.PutUint16(dst[length:], uint16(len(dst)-length-2))
	return dst
}

// cost is roughly what the entry takes in memory, in bytes.
func (e *entry) cost() int {
	return 256 + 2*len(e.name) + len(e.wire) + 8*len(e.ttls) + 32*len(e.addrs)
}
