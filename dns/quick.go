package dns

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"sync"
	"time"

	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

// quick is the memory of one query that is answered on the spot.
type quick struct {
	request request
	key     [300]byte // name, type and flags
	name    int       // bytes of key that are the name
	domains [8]*pvd.Domain
}

// quicks are reused, so that a query that is answered on the spot allocates nothing.
type quicks struct{ pool sync.Pool }

func (q *quicks) get() *quick {
	if v, ok := q.pool.Get().(*quick); ok {
		return v
	}
	return new(quick)
}

// Cached answers the usual kind of query from the cache of the domain that it is
// for, appended to dst: the decision is the same as on the long way, only nothing
// is parsed into records. It returns nil when the query has to take that way
// (ServeUDP). It does not block and does not allocate.
func (s *Server) Cached(dst, query []byte, from netip.AddrPort) []byte {
	q := s.quicks.get()
	defer s.quicks.pool.Put(q)
	if !q.read(query) {
		return nil
	}
	r := &q.request
	r.from = from
	now := time.Now()
	e := s.anyones(q, now)
	if e == nil || s.withheld(r) || strings.HasSuffix(e.name, ".arpa.") {
		return nil
	}
	r.name = e.name
	choice := s.cfg.Chooser.Choose(Query{Name: e.name, Type: r.qtype, App: from}, q.domains[:0])
	if len(choice.Domains) == 0 || len(choice.Search) > 0 || choice.Zone == "" && homeless(e.name, r.qtype) {
		return nil
	}
	d := choice.Domains[0]
	if len(d.Selection) > 0 {
		return nil // may have to look at the other family too
	}
	in := s.instances.of(d)
	if e = q.in(in, now); e == nil {
		return nil
	}
	told, ok := s.learn(r, e, d, choice.Zone != "")
	if !ok {
		return nil
	}
	out, ok := e.appendTo(dst, r, seconds(choice.MaxTTL), told, now)
	if !ok {
		return nil
	}
	in.cache.hits.Add(1)
	s.stats.answered(d.Name, e.msgRcode)
	return out
}

// anyones returns an entry for the question from any domain's cache. It tells
// nothing but that the name is worth a decision, and how it is written.
func (s *Server) anyones(q *quick, now time.Time) *entry {
	list := s.instances.list.Load()
	if list == nil {
		return nil
	}
	for _, in := range *list {
		if e := q.in(in, now); e != nil {
			return e
		}
	}
	return nil
}

// in returns the entry for the question in one domain's cache, or nil.
func (q *quick) in(in *instance, now time.Time) *entry {
	r := &q.request
	name := q.key[:q.name]
	if e := in.cache.get(appendKind(name, r.qtype, r.do, r.cd), now); e != nil {
		return e
	}
	if e := in.cache.get(appendKind(name, anyType, r.do, r.cd), now); e != nil && e.qtype == r.qtype {
		return e
	}
	return nil
}

// read takes in a query of one question about a host's name, with or without an
// OPT record that has no options; false for every other.
func (q *quick) read(b []byte) bool {
	if len(b) < headerLen || len(b) > wire.MinMsgSize || b[2] != 1 || b[3]&^0x30 != 0 {
		return false // no plain recursive query
	}
	qd, an, ns, ar := counts(b)
	if qd != 1 || an != 0 || ns != 0 || ar > 1 {
		return false
	}
	at, ok := q.readName(b)
	if !ok || at+4 > len(b) || binary.BigEndian.Uint16(b[at+2:]) != wire.ClassINET {
		return false
	}
	q.request = request{
		id: binary.BigEndian.Uint16(b), rd: true, ad: b[3]&0x20 != 0, cd: b[3]&0x10 != 0,
		qtype: binary.BigEndian.Uint16(b[at:]), spelt: b[headerLen : at+4], size: wire.MinMsgSize,
	}
	if refusedType(q.request.qtype) {
		return false
	}
	return q.readOPT(b[at+4:], ar)
}

// readName copies the question's name in lower case into the key and returns where
// it ends.
func (q *quick) readName(b []byte) (at int, ok bool) {
	q.name = 0
	for at = headerLen; at < len(b); {
		n := int(b[at])
		at++
		if n == 0 {
			return at, q.name > 0
		}
		if n > 63 || at+n > len(b) || q.name+n+1 > 254 {
			return 0, false
		}
		for _, c := range b[at : at+n] {
			switch {
			case 'A' <= c && c <= 'Z':
				c += 'a' - 'A'
			case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			default:
				return 0, false // needs escapes
			}
			q.key[q.name] = c
			q.name++
		}
		q.key[q.name] = '.'
		q.name++
		at += n
	}
	return 0, false
}

// readOPT reads what follows the question: nothing, or an OPT record.
func (q *quick) readOPT(b []byte, records int) bool {
	const length = 11
	if records == 0 {
		return len(b) == 0
	}
	if len(b) != length || b[0] != 0 || binary.BigEndian.Uint16(b[1:]) != wire.TypeOPT || b[6] != 0 || b[9] != 0 || b[10] != 0 {
		return false
	}
	q.request.edns, q.request.do = true, b[7]&0x80 != 0
	q.request.size = min(max(int(binary.BigEndian.Uint16(b[3:])), wire.MinMsgSize), ednsSize)
	return true
}
