package dns

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

// warm returns a server whose cache knows www.example.net and denies
// no.example.net, and the packed query for each.
func warm(t *testing.T, s *Server) {
	t.Helper()
	for _, name := range []string{"www.example.net.", "no.example.net."} {
		if ask(t, s, query(name, wire.TypeA)) == nil {
			t.Fatal("no answer")
		}
	}
}

func known(network string, q *wire.Msg) [][]byte {
	if q.Question[0].Name == "no.example.net." {
		return denies(network, q)
	}
	return answers("www.example.net. 60 IN A 203.0.113.80", "www.example.net. 60 IN A 203.0.113.81")(network, q)
}

// What is answered on the spot is byte for byte what the long way answers.
func TestQuickAnswersAreTheLongWays(t *testing.T) {
	one(t, known, func(t *testing.T, s *Server, _ *world) {
		t.Helper()
		warm(t, s)
		for what, change := range map[string]func(*wire.Msg){
			"plain":       func(*wire.Msg) {},
			"no EDNS":     func(m *wire.Msg) { m.Extra = nil },
			"spelling":    func(m *wire.Msg) { m.Question[0].Name = "wWw.eXample.NET." },
			"AD":          func(m *wire.Msg) { m.AuthenticatedData = true },
			"denied":      func(m *wire.Msg) { m.Question[0].Name = "no.example.net." },
			"other type":  func(m *wire.Msg) { m.Question[0].Name = "no.example.net."; m.Question[0].Qtype = wire.TypeMX },
			"not known":   func(m *wire.Msg) { m.Question[0].Name = "ftp.example.net." },
			"CD":          func(m *wire.Msg) { m.CheckingDisabled = true },
			"no rd":       func(m *wire.Msg) { m.RecursionDesired = false },
			"class":       func(m *wire.Msg) { m.Question[0].Qclass = wire.ClassCHAOS },
			"ANY":         func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeANY },
			"odd name":    func(m *wire.Msg) { m.Question[0].Name = `a\.b.example.net.` },
			"root":        func(m *wire.Msg) { m.Question[0].Name = "." },
			"EDNS option": func(m *wire.Msg) { m.IsEdns0().Option = []wire.EDNS0{&wire.EDNS0_NSID{Code: wire.EDNS0NSID}} },
		} {
			q := query("www.example.net.", wire.TypeA)
			change(q)
			b, err := q.Pack()
			if err != nil {
				t.Fatal(err)
			}
			got := s.Cached(nil, b, app())
			short := map[string]bool{"plain": true, "no EDNS": true, "spelling": true, "AD": true, "denied": true}[what]
			if (got != nil) != short {
				t.Errorf("%s: answered on the spot: %v", what, got != nil)
				continue
			}
			if want := s.answer(t.Context(), b, app(), false); got != nil && !bytes.Equal(got, want) {
				t.Errorf("%s: got\n%x, the long way says\n%x", what, got, want)
			}
		}
	})
}

func TestQuickAnswersDoNotAllocate(t *testing.T) {
	names := NewNames(NamesConfig{Max: 100, PerApp: 1})
	fiber := domain(1, "fiber", "192.0.2.53")
	w := newWorld(fiber)
	w.at(fiber, 0, known)
	s, _ := start(t, w, func(c *Config) { c.Learned = names.Learn })
	s.Publish(pvd.NewSet([]*pvd.Domain{fiber}))
	warm(t, s)
	b, _ := query("www.example.net.", wire.TypeA).Pack()
	buf := make([]byte, 0, 2000)
	from := netip.AddrPortFrom(app().Addr(), 1)
	if got := testing.AllocsPerRun(1000, func() {
		if s.Cached(buf, b, from) == nil {
			t.Fatal("not from the cache")
		}
	}); got > 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkCached(b *testing.B) {
	r := &request{name: "www.example.net.", qtype: wire.TypeA, rd: true}
	e, err := newEntry(respond(query(r.name, r.qtype), 0, "www.example.net. 60 IN A 203.0.113.80"), r, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	fiber := domain(1, "fiber", "192.0.2.53")
	names := NewNames(NamesConfig{Max: 100, PerApp: 1})
	s, err := New(Config{Chooser: newWorld(fiber), Dialer: newWorld(), Learned: names.Learn}, nil)
	if err != nil {
		b.Fatal(err)
	}
	s.instances.of(fiber).cache.put(r, e)
	q, _ := query("www.example.net.", wire.TypeA).Pack()
	buf := make([]byte, 0, 2000)
	for b.Loop() {
		s.Cached(buf, q, app())
	}
}

func FuzzQuick(f *testing.F) {
	for _, q := range badQueries() {
		f.Add(q.b)
	}
	f.Add(raw(func(*wire.Msg) {}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var q quick
		if !q.read(b) {
			return
		}
		r, rcode := parse(b)
		if rcode != wire.RcodeSuccess || r.name != string(q.key[:q.name]) || r.qtype != q.request.qtype || r.do != q.request.do ||
			r.size != q.request.size || r.edns != q.request.edns || r.cd != q.request.cd || r.ad != q.request.ad || !bytes.Equal(r.spelt, q.request.spelt) {
			t.Fatalf("read as %+v, the long way reads %+v (%d)", q.request, r, rcode)
		}
	})
}
