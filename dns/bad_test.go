package dns

import (
	"encoding/binary"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"
)

// raw packs a query after a change.
func raw(change func(*wire.Msg)) []byte {
	m := query("www.example.net.", wire.TypeA)
	m.Id = 77
	change(m)
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

// badQueries maps a description to a query and its rcode; -1: no answer at all.
func badQueries() map[string]struct {
	b     []byte
	rcode int
} {
	whole := raw(func(*wire.Msg) {})
	lie := func(at int, n uint16) []byte {
		b := raw(func(*wire.Msg) {})
		binary.BigEndian.PutUint16(b[at:], n)
		return b
	}
	record, _ := wire.NewRR("a.example. 1 IN A 192.0.2.1")
	opt := new(wire.OPT)
	opt.Hdr.Name, opt.Hdr.Rrtype = ".", wire.TypeOPT
	return map[string]struct {
		b     []byte
		rcode int
	}{
		"empty":             {nil, -1},
		"short header":      {whole[:11], -1},
		"an answer":         {raw(func(m *wire.Msg) { m.Response = true }), -1},
		"oversize":          {append(slices.Clip(whole), make([]byte, maxQuery)...), -1},
		"header only":       {whole[:12], wire.RcodeFormatError},
		"truncated name":    {whole[:20], wire.RcodeFormatError},
		"truncated OPT":     {whole[:len(whole)-5], wire.RcodeFormatError},
		"no OPT announced":  {whole[:len(whole)-11], wire.RcodeFormatError},
		"no question":       {raw(func(m *wire.Msg) { m.Question = nil }), wire.RcodeFormatError},
		"two questions":     {raw(func(m *wire.Msg) { m.Question = append(m.Question, m.Question[0]) }), wire.RcodeFormatError},
		"65535 questions":   {lie(4, 65535), wire.RcodeFormatError},
		"65535 additionals": {lie(10, 65535), wire.RcodeFormatError},
		"with an answer":    {raw(func(m *wire.Msg) { m.Answer = append(m.Answer, record) }), wire.RcodeFormatError},
		"with an authority": {raw(func(m *wire.Msg) { m.Ns = append(m.Ns, record) }), wire.RcodeFormatError},
		"looping name":      {[]byte{0, 77, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1}, wire.RcodeFormatError},
		"forward pointer":   {[]byte{0, 77, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 60, 0, 1, 0, 1}, wire.RcodeFormatError},
		"two OPTs":          {raw(func(m *wire.Msg) { m.Extra = append(m.Extra, opt) }), wire.RcodeFormatError},
		"EDNS version 1":    {raw(func(m *wire.Msg) { m.IsEdns0().SetVersion(1) }), wire.RcodeBadVers},
		"notify":            {raw(func(m *wire.Msg) { m.Opcode = wire.OpcodeNotify }), wire.RcodeNotImplemented},
		"update":            {raw(func(m *wire.Msg) { m.Opcode = wire.OpcodeUpdate }), wire.RcodeNotImplemented},
		"opcode 15":         {raw(func(m *wire.Msg) { m.Opcode = 15 }), wire.RcodeNotImplemented},
		"class chaos":       {raw(func(m *wire.Msg) { m.Question[0].Qclass = wire.ClassCHAOS }), wire.RcodeRefused},
		"class any":         {raw(func(m *wire.Msg) { m.Question[0].Qclass = wire.ClassANY }), wire.RcodeRefused},
		"any":               {raw(func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeANY }), wire.RcodeRefused},
		"axfr":              {raw(func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeAXFR }), wire.RcodeRefused},
		"ixfr":              {raw(func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeIXFR }), wire.RcodeRefused},
		"type OPT":          {raw(func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeOPT }), wire.RcodeRefused},
		"type 0":            {raw(func(m *wire.Msg) { m.Question[0].Qtype = 0 }), wire.RcodeRefused},
	}
}

func TestBadQueriesNeverLeave(t *testing.T) {
	for name, tt := range badQueries() {
		t.Run(name, func(t *testing.T) {
			one(t, answers(good), func(t *testing.T, s *Server, w *world) {
				t.Helper()
				if tt.rcode < 0 {
					s.ServeUDP(tt.b, app(), func([]byte) { t.Error("it was answered") })
					synctest.Wait()
					if s.Drops()["malformed"] != 1 {
						t.Error("the drop is not counted")
					}
					return
				}
				got := askRaw(t, s, tt.b)
				if got == nil || got.Id != 77 || !got.Response || got.Rcode != tt.rcode {
					t.Errorf("got %s, want %s for id 77", brief(got), wire.RcodeToString[tt.rcode])
				}
				if len(w.seen()) > 0 {
					t.Error("it was forwarded")
				}
			})
		})
	}
}

func FuzzQuery(f *testing.F) {
	for _, q := range badQueries() {
		f.Add(q.b)
	}
	f.Add(raw(func(*wire.Msg) {}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if !looksLikeQuery(b) {
			return
		}
		r, rcode := parse(b)
		answer := r.pack(r.local(rcode))
		var m wire.Msg
		if err := m.Unpack(answer); err != nil {
			t.Fatalf("our answer cannot be read: %v", err)
		}
		if m.Id != r.id || !m.Response || len(answer) > r.size {
			t.Fatalf("answer %v of %d bytes does not fit the query", m.MsgHdr, len(answer))
		}
		if rcode != wire.RcodeSuccess {
			return
		}
		if _, err := r.upstream(1, true).Pack(); err != nil {
			t.Fatalf("a query that was accepted cannot be sent on: %v", err)
		}
		reserved(r)
		_ = homeless(r.name, r.qtype)
		if p := reversePrefix(r.name); p.IsValid() {
			locallyServed(p)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	q := query("www.example.net.", wire.TypeA)
	q.Id = 77
	f.Add(packed(respond(q, 0, good))[0])
	f.Add(packed(respond(q, 0, many(30)...))[0])
	f.Add(loop(q))
	f.Add(bomb(q)[:2000])
	for _, b := range forged(q) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !matches(b, 77, q.Question[0]) {
			return
		}
		m, err := unpack(b)
		if err != nil {
			return
		}
		_ = usable(m)
		addresses(m, "www.example.net.", wire.TypeA)
		r, _ := parse(raw(func(*wire.Msg) {}))
		e, err := newEntry(m, r, time.Now())
		if err != nil {
			return
		}
		answer := r.packed(e, 30, nil, time.Now())
		var back wire.Msg
		if err := back.Unpack(answer); err != nil || len(answer) > r.size {
			t.Fatalf("the client gets %d bytes it cannot read: %v", len(answer), err)
		}
	})
}
