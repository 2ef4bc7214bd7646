package dns

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

const soa = "example.net. 3600 IN SOA ns.example.net. admin.example.net. 1 3600 600 86400 60"

// denies answers NXDOMAIN with a SOA.
func denies(_ string, q *wire.Msg) [][]byte {
	m := respond(q, wire.RcodeNameError)
	rr, _ := wire.NewRR(soa)
	m.Ns = append(m.Ns, rr)
	return packed(m)
}

func TestAnswersAreKeptForTheirTime(t *testing.T) {
	one(t, answers("www.example.net. 60 IN A 203.0.113.80"), func(t *testing.T, s *Server, w *world) {
		t.Helper()
		steps := []struct {
			wait time.Duration
			q    *wire.Msg
			want string
			seen int
		}{
			{0, query("www.example.net.", wire.TypeA), "NOERROR; www.example.net. 60 IN A 203.0.113.80", 1},
			{10 * time.Second, query("WWW.example.NET.", wire.TypeA), "NOERROR; WWW.example.NET. 50 IN A 203.0.113.80", 1},
			{0, query("www.example.net.", wire.TypeTXT), "NOERROR; www.example.net. 60 IN A 203.0.113.80", 2},
			{49 * time.Second, query("www.example.net.", wire.TypeA), "NOERROR; www.example.net. 1 IN A 203.0.113.80", 2},
			{time.Second, query("www.example.net.", wire.TypeA), "NOERROR; www.example.net. 60 IN A 203.0.113.80", 3},
		}
		for i, st := range steps {
			time.Sleep(st.wait)
			got := brief(ask(t, s, st.q))
			if got != st.want || len(w.seen()) != st.seen {
				t.Errorf("step %d: %s after %d queries, want %s after %d", i, got, len(w.seen()), st.want, st.seen)
			}
		}
	})
}

func TestSignedAndUncheckedAnswersAreApart(t *testing.T) {
	one(t, answers(good), func(t *testing.T, s *Server, w *world) {
		t.Helper()
		for range 2 {
			for _, change := range []func(*wire.Msg){
				func(*wire.Msg) {}, func(m *wire.Msg) { m.CheckingDisabled = true }, func(m *wire.Msg) { m.IsEdns0().SetDo() },
			} {
				q := query("www.example.net.", wire.TypeA)
				change(q)
				ask(t, s, q)
			}
		}
		if n := len(w.seen()); n != 3 {
			t.Errorf("%d queries, want 3: one for each kind of client", n)
		}
	})
}

func TestDenialsAreKeptAsTheirSOASays(t *testing.T) {
	one(t, denies, func(t *testing.T, s *Server, w *world) {
		t.Helper()
		for i, st := range []struct {
			wait  time.Duration
			name  string
			qtype uint16
			seen  int
		}{
			{0, "no.example.net.", wire.TypeA, 1},
			{0, "no.example.net.", wire.TypeAAAA, 1},    // the name does not exist for any type
			{0, "x.y.no.example.net.", wire.TypeMX, 1},  // nor anything below (RFC 8020)
			{0, "nono.example.net.", wire.TypeA, 2},     // but beside it
			{59 * time.Second, "no.example.net.", 1, 2}, // the SOA's minimum is a minute
			{2 * time.Second, "no.example.net.", 1, 3},
		} {
			time.Sleep(st.wait)
			got := ask(t, s, query(st.name, st.qtype))
			if got.Rcode != wire.RcodeNameError || len(got.Ns) != 1 || got.Question[0].Name != st.name || len(w.seen()) != st.seen {
				t.Errorf("step %d: %s about %v after %d queries, want a denial with SOA after %d", i, brief(got), got.Question, len(w.seen()), st.seen)
			}
		}
	})
}

func TestDenialWithoutSOAIsNotKept(t *testing.T) {
	one(t, says(wire.RcodeNameError), func(t *testing.T, s *Server, w *world) {
		t.Helper()
		for range 2 {
			ask(t, s, query("no.example.net.", wire.TypeA))
		}
		if n := len(w.seen()); n != 2 {
			t.Errorf("%d queries, want 2 (RFC 2308 5)", n)
		}
	})
}

// What is known dies with the domain instance, and what was denied when another
// domain appears (standards D.7).
func TestCacheFollowsItsDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fiber, lte := domain(1, "fiber", "192.0.2.53"), domain(2, "lte", "192.0.2.54")
		w := newWorld(fiber)
		w.at(fiber, 0, func(network string, q *wire.Msg) [][]byte {
			if strings.HasPrefix(q.Question[0].Name, "no.") {
				return denies(network, q)
			}
			return answers(good)(network, q)
		})
		s, stop := start(t, w, nil)
		defer stop()
		again := fiber
		change := func(f func(*pvd.Domain)) {
			d := *again
			f(&d)
			again = &d
			w.choice.Domains = []*pvd.Domain{again}
		}
		asked := func() int {
			before := len(w.seen())
			ask(t, s, query("www.example.net.", wire.TypeA))
			ask(t, s, query("no.example.net.", wire.TypeA))
			return len(w.seen()) - before
		}
		s.Publish(pvd.NewSet([]*pvd.Domain{fiber}))
		for i, st := range []struct {
			what   string
			change func()
			want   int
		}{
			{"at first", func() {}, 2},
			{"again", func() {}, 0},
			{"nothing new", func() { s.Publish(pvd.NewSet([]*pvd.Domain{again})) }, 0},
			{"another domain appears", func() { s.Publish(pvd.NewSet([]*pvd.Domain{again, lte})) }, 1},
			{"it is captive", func() {
				change(func(d *pvd.Domain) { d.State = pvd.Captive })
				s.Publish(pvd.NewSet([]*pvd.Domain{again, lte}))
			}, 2},
			{"logged in", func() {
				change(func(d *pvd.Domain) { d.State = pvd.Online })
				s.Publish(pvd.NewSet([]*pvd.Domain{again, lte}))
			}, 2},
			{"attached anew", func() { change(func(d *pvd.Domain) { d.Attached++ }); s.Publish(pvd.NewSet([]*pvd.Domain{again, lte})) }, 2},
		} {
			st.change()
			if got := asked(); got != st.want {
				t.Errorf("%d, %s: %d of 2 names were asked again, want %d", i, st.what, got, st.want)
			}
		}
	})
}

func TestEqualQuestionsAreAskedOnce(t *testing.T) {
	one(t, after(100*time.Millisecond, answers(good)), func(t *testing.T, s *Server, w *world) {
		t.Helper()
		b, _ := query("www.example.net.", wire.TypeA).Pack()
		got := make(chan []byte, 500)
		for range cap(got) {
			s.ServeUDP(b, app(), func(a []byte) { got <- a })
		}
		for range cap(got) {
			<-got
		}
		if n := len(w.seen()); n != 1 {
			t.Errorf("%d queries for one question, want 1", n)
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache()
	now := time.Unix(1000, 0)
	for i := range 3 * cacheShards * shardEntries {
		r := &request{name: fmt.Sprintf("n%d.example.net.", i), qtype: wire.TypeA, rd: true}
		m := respond(query(r.name, r.qtype), wire.RcodeSuccess, r.name+" 60 IN A 203.0.113.80")
		e, err := newEntry(m, r, now)
		if err != nil {
			t.Fatal(err)
		}
		c.put(r, e)
	}
	n, size := 0, 0
	for i := range c.shards {
		n, size = n+len(c.shards[i].entries), size+c.shards[i].bytes
	}
	if n > cacheShards*shardEntries || size > cacheShards*shardBytes || n < cacheShards*shardEntries/2 || c.evicted.Load() == 0 {
		t.Errorf("%d entries of %d bytes after a flood, %d evicted", n, size, c.evicted.Load())
	}
	c.flush(nil)
	if len(c.list(now)) > 0 || c.shards[0].bytes != 0 {
		t.Error("something is left after a flush")
	}
}

func TestLearnedAddressesReplaceTheAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fiber := domain(1, "fiber", "192.0.2.53")
		w := newWorld(fiber)
		w.at(fiber, 0, answers("www.example.net. 60 IN CNAME a.example.net.", "a.example.net. 60 IN A 192.0.2.1", "a.example.net. 60 IN A 192.0.2.2"))
		s, stop := start(t, w, func(c *Config) {
			c.Learned = func(l Learned) []netip.Addr {
				if l.Exact {
					return l.Addrs
				}
				return []netip.Addr{l.Addrs[0], netip.MustParseAddr("198.19.0.1")}
			}
		})
		defer stop()
		want := "NOERROR; www.example.net. 60 IN CNAME a.example.net.; a.example.net. 60 IN A 192.0.2.1; a.example.net. 60 IN A 198.19.0.1"
		for range 2 {
			if got := brief(ask(t, s, query("www.example.net.", wire.TypeA))); got != want {
				t.Errorf("got %s\nwant %s", got, want)
			}
		}
		q := query("www.example.net.", wire.TypeA)
		q.CheckingDisabled = true
		if got := brief(ask(t, s, q)); strings.Contains(got, "198.19.") {
			t.Errorf("a client that checks for itself got %s", got)
		}
	})
}

// A trusted domain that names no zones is asked first; only its positive answers
// count (standards D.4, search-trusted).
func TestTrustedDomainIsSearchedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		corp, fiber := domain(1, "corp", "192.0.2.53"), domain(2, "fiber", "192.0.2.54")
		w := newWorld(fiber)
		w.choice.Search = []*pvd.Domain{corp}
		w.at(corp, 0, func(network string, q *wire.Msg) [][]byte {
			if q.Question[0].Name == "srv.corp.example.com." {
				return answers("srv.corp.example.com. 60 IN A 10.8.0.80")(network, q)
			}
			return says(wire.RcodeNameError)(network, q)
		})
		w.at(fiber, 0, answers(good))
		var learnt []Learned
		s, stop := start(t, w, func(c *Config) {
			c.Learned = func(l Learned) []netip.Addr { learnt = append(learnt, l); return l.Addrs }
		})
		defer stop()
		if got := brief(ask(t, s, query("srv.corp.example.com.", wire.TypeA))); got != "NOERROR; srv.corp.example.com. 60 IN A 10.8.0.80" {
			t.Error(got)
		}
		if got := ask(t, s, query("www.example.net.", wire.TypeA)); len(got.Answer) != 1 {
			t.Error(brief(got))
		}
		want := "[corp 192.0.2.53 udp corp 192.0.2.53 udp fiber 192.0.2.54 udp]"
		if got := fmt.Sprint(w.seen()); got != want {
			t.Errorf("asked %s, want %s", got, want)
		}
		if len(learnt) != 2 || !learnt[0].Private || learnt[0].Domain != corp || learnt[1].Private || learnt[1].Domain != fiber {
			t.Errorf("learnt %+v", learnt)
		}
	})
}
