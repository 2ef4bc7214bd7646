package dns

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

// everything answers any question with an address.
func everything(_ string, q *wire.Msg) [][]byte {
	return packed(respond(q, wire.RcodeSuccess, q.Question[0].Name+" 60 IN TXT left"))
}

func TestSpecialNames(t *testing.T) {
	tests := []struct {
		name  string
		qtype uint16
		want  string // "left": it was forwarded
	}{
		{"localhost.", wire.TypeA, "NOERROR; localhost. 600 IN A 127.0.0.1"},
		{"LocalHost.", wire.TypeAAAA, "NOERROR; LocalHost. 600 IN AAAA ::1"},
		{"a.localhost.", wire.TypeA, "NOERROR; a.localhost. 600 IN A 127.0.0.1"},
		{"localhost.", wire.TypeMX, "NOERROR"},
		{"invalid.", wire.TypeA, "NXDOMAIN"},
		{"a.invalid.", wire.TypeA, "NXDOMAIN"},
		{"abc.onion.", wire.TypeA, "NXDOMAIN"},
		{"x.ALT.", wire.TypeA, "NXDOMAIN"},
		{"printer.local.", wire.TypeA, "NXDOMAIN"},
		{"a.test.", wire.TypeA, "NXDOMAIN"},
		{"db.internal.", wire.TypeA, "NXDOMAIN"},
		{"nas.home.arpa.", wire.TypeA, "NXDOMAIN"},
		{"home.arpa.", wire.TypeDS, "left"},
		{"_dns.resolver.arpa.", wire.TypeSVCB, "NOERROR"},
		{"default.service.arpa.", wire.TypeSRV, "NXDOMAIN"},
		{"nas.", wire.TypeA, "NXDOMAIN"},
		{"com.", wire.TypeDS, "left"},
		{".", wire.TypeNS, "left"},
		{"notlocal.example.", wire.TypeA, "left"},
		{"local.example.", wire.TypeA, "left"},
		{"ipv4only.arpa.", wire.TypeAAAA, "left"},
		{"1.0.0.127.in-addr.arpa.", wire.TypePTR, "NOERROR; 1.0.0.127.in-addr.arpa. 600 IN PTR localhost."},
		{"9.9.9.127.in-addr.arpa.", wire.TypePTR, "NXDOMAIN"},
		{"1.0.0.10.in-addr.arpa.", wire.TypePTR, "NXDOMAIN"},
		{"10.in-addr.arpa.", wire.TypeSOA, "NXDOMAIN"},
		{"1.16.172.in-addr.arpa.", wire.TypePTR, "NXDOMAIN"},
		{"1.15.172.in-addr.arpa.", wire.TypePTR, "left"},
		{"172.in-addr.arpa.", wire.TypeSOA, "left"},
		{"5.9.168.192.in-addr.arpa.", wire.TypePTR, "NXDOMAIN"},
		{"5.1.168.192.in-addr.arpa.", wire.TypePTR, "left"}, // fiber's own prefix
		{"1.254.169.in-addr.arpa.", wire.TypePTR, "NXDOMAIN"},
		{"1.0.64.100.in-addr.arpa.", wire.TypePTR, "NXDOMAIN"},
		{"1.0.0.128.100.in-addr.arpa.", wire.TypePTR, "left"},
		{"8.8.8.8.in-addr.arpa.", wire.TypePTR, "left"},
		{"0.8.e.f.ip6.arpa.", wire.TypePTR, "NXDOMAIN"},
		{"a.0.0.d.f.ip6.arpa.", wire.TypePTR, "NXDOMAIN"},
		{"0.0.6.2.ip6.arpa.", wire.TypePTR, "left"},
	}
	fiber := domain(1, "fiber", "192.0.2.53")
	fiber.Addresses = fiber.Addresses[:1]
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(fiber)
			w.at(fiber, 0, everything)
			s, stop := start(t, w, nil)
			defer stop()
			got := brief(ask(t, s, query(tt.name, tt.qtype)))
			if len(w.seen()) > 0 {
				got = "left"
			}
			if got != tt.want {
				t.Errorf("%s %s: %s, want %s", tt.name, wire.TypeToString[tt.qtype], got, tt.want)
			}
		})
	}
}

func TestZoneLetsSpecialNamesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		corp := domain(1, "corp", "192.0.2.53")
		w := newWorld()
		w.choose = func(q Query) Choice {
			if topLabel(q.Name) == "internal" || topLabel(q.Name) == "test" {
				return Choice{Domains: []*pvd.Domain{corp}, Zone: "a zone of corp"}
			}
			return Choice{Domains: []*pvd.Domain{corp}}
		}
		w.at(corp, 0, everything)
		s, stop := start(t, w, nil)
		defer stop()
		for _, name := range []string{"db.internal.", "a.b.TEST."} {
			if got := ask(t, s, query(name, wire.TypeA)); len(got.Answer) != 1 {
				t.Errorf("%s in a zone of corp: %s", name, brief(got))
			}
		}
		if got := ask(t, s, query("a.localhost.", wire.TypeTXT)); len(got.Answer) != 0 {
			t.Error("a zone claim let localhost out")
		}
	})
}

func TestReversePrefixAgainstOracle(t *testing.T) {
	for range 2000 {
		var raw [16]byte
		for i := range raw {
			raw[i] = byte(rand.Uint32())
		}
		addr := netip.AddrFrom16(raw)
		if rand.N(2) == 0 {
			addr = netip.AddrFrom4([4]byte(raw[:4]))
		}
		name, err := wire.ReverseAddr(addr.String())
		if err != nil {
			t.Fatal(err)
		}
		if got := reversePrefix(name); got != netip.PrefixFrom(addr, addr.BitLen()) {
			t.Fatalf("%s stands for %s, want %s", name, got, addr)
		}
	}
}

func TestReversePrefixOfOddNames(t *testing.T) {
	tests := map[string]string{
		"in-addr.arpa.":                   "invalid Prefix",
		"www.example.net.":                "invalid Prefix",
		"10.in-addr.arpa.":                "10.0.0.0/8",
		"2.1.10.in-addr.arpa.":            "10.1.2.0/24",
		"5.0/25.2.1.10.in-addr.arpa.":     "10.1.2.0/24",
		"x.10.in-addr.arpa.":              "10.0.0.0/8",
		"256.10.in-addr.arpa.":            "10.0.0.0/8",
		"010.10.in-addr.arpa.":            "10.0.0.0/8",
		"x.in-addr.arpa.":                 "invalid Prefix",
		"_x.4.3.2.1.in-addr.arpa.":        "1.2.3.4/32",
		"8.b.d.0.1.0.0.2.ip6.arpa.":       "2001:db8::/32",
		"f.8.b.d.0.1.0.0.2.ip6.arpa.":     "2001:db8:f000::/36",
		"10.8.b.d.0.1.0.0.2.ip6.arpa.":    "2001:db8::/32",
		"notin-addr.arpa.":                "invalid Prefix",
		"1.10.in-addr.arpa.example.":      "invalid Prefix",
		"..10.in-addr.arpa.":              "10.0.0.0/8",
		"+1.10.in-addr.arpa.":             "10.0.0.0/8",
		"0x1.8.b.d.0.1.0.0.2.ip6.arpa.":   "2001:db8::/32",
		"1_1.10.in-addr.arpa.":            "10.0.0.0/8",
		"a.b.c.8.b.d.0.1.0.0.2.ip6.arpa.": "2001:db8:cba0::/44",
	}
	for name, want := range tests {
		if got := reversePrefix(name).String(); got != want {
			t.Errorf("%s stands for %s, want %s", name, got, want)
		}
	}
}

func TestReverseNamesGoToWhoHasThePrefix(t *testing.T) {
	fiber, lte := domain(1, "fiber", "192.0.2.53"), domain(2, "lte", "198.51.100.53")
	lte.Routes = []pvd.Route{{Dst: netip.MustParsePrefix("10.20.0.0/16")}, {Dst: netip.MustParsePrefix("0.0.0.0/0")}}
	lte.Prefixes = []netip.Prefix{netip.MustParsePrefix("203.0.112.0/24")}
	tests := map[string][]string{
		"5.1.168.192.in-addr.arpa.": {"fiber"},
		"5.2.168.192.in-addr.arpa.": {"lte"},
		"1.0.20.10.in-addr.arpa.":   {"lte"},
		"1.0.21.10.in-addr.arpa.":   nil,
		"1.112.0.203.in-addr.arpa.": {"lte", "fiber"},
		"8.8.8.8.in-addr.arpa.":     {"fiber", "lte"},
	}
	for name, want := range tests {
		p := reversePrefix(name)
		if name == "1.112.0.203.in-addr.arpa." {
			p = netip.MustParsePrefix("203.0.112.1/32")
		}
		var got []string
		for _, d := range claimants([]*pvd.Domain{fiber, lte}, p) {
			got = append(got, d.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestFamilyNobodyCarriesIsWithheld(t *testing.T) {
	tests := []struct {
		v4, v6, do bool
		qtype      uint16
		forwarded  bool
	}{
		{true, true, false, wire.TypeAAAA, true},
		{true, false, false, wire.TypeAAAA, false},
		{true, false, true, wire.TypeAAAA, true}, // validates: an unsigned denial is a forgery
		{true, false, false, wire.TypeA, true},
		{false, true, false, wire.TypeA, false},
		{false, true, false, wire.TypeMX, true},
		{false, false, false, wire.TypeAAAA, true},
		{false, false, false, wire.TypeA, true}, // nothing at all: the truth is a failure
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			fiber := domain(1, "fiber", "192.0.2.53")
			w := newWorld(fiber)
			w.at(fiber, 0, everything)
			s, stop := start(t, w, func(c *Config) { c.Families = func() (bool, bool) { return tt.v4, tt.v6 } })
			defer stop()
			q := query("www.example.net.", tt.qtype)
			q.IsEdns0().SetDo(tt.do)
			got := ask(t, s, q)
			if forwarded := len(w.seen()) > 0; forwarded != tt.forwarded || got.Rcode != wire.RcodeSuccess {
				t.Errorf("%+v: forwarded %v, %s", tt, forwarded, brief(got))
			}
		})
	}
}

func TestAnswersTeachTheirNames(t *testing.T) {
	chain := answers(
		"www.example.net. 300 IN CNAME Edge.cdn.example.", "edge.cdn.example. 20 IN CNAME a.cdn.example.",
		"a.cdn.example. 60 IN A 203.0.113.80", "a.cdn.example. 60 IN A 203.0.113.81", "other.example. 60 IN A 192.0.2.66",
	)
	for _, zone := range []string{"", "example.net."} {
		synctest.Test(t, func(t *testing.T) {
			fiber := domain(1, "fiber", "192.0.2.53")
			w := newWorld(fiber)
			w.choice.Zone = zone
			w.at(fiber, 0, chain)
			var got []Learned
			s, stop := start(t, w, func(c *Config) { c.Learned = func(l Learned) []netip.Addr { got = append(got, l); return l.Addrs } })
			defer stop()
			ask(t, s, query("WWW.example.net.", wire.TypeA))
			ask(t, s, query("www.example.net.", wire.TypeTXT))
			want := []Learned{{
				App: app(), Name: "www.example.net", TTL: 20 * time.Second, Domain: fiber, Private: zone != "",
				Addrs: []netip.Addr{netip.MustParseAddr("203.0.113.80"), netip.MustParseAddr("203.0.113.81")},
			}}
			same := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
			samePort := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
			sameDomain := cmp.Comparer(func(a, b *pvd.Domain) bool { return a == b })
			if diff := cmp.Diff(want, got, same, samePort, sameDomain); diff != "" {
				t.Errorf("learned (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAliasLoopEnds(t *testing.T) {
	m := respond(query("a.example.", wire.TypeA), 0, "a.example. 1 IN CNAME b.example.", "b.example. 1 IN CNAME a.example.")
	if addrs, _ := addresses(m, "a.example.", wire.TypeA); len(addrs) != 0 {
		t.Errorf("a loop of aliases led to %v", addrs)
	}
}

func TestCountsByDomainAndRcode(t *testing.T) {
	one(t, says(wire.RcodeNameError), func(t *testing.T, s *Server, _ *world) {
		t.Helper()
		ask(t, s, query("a.example.net.", wire.TypeA))
		ask(t, s, query("b.example.net.", wire.TypeA))
		ask(t, s, query("localhost.", wire.TypeA))
		want := []Count{{"", "NOERROR", 1}, {"fiber", "NXDOMAIN", 2}}
		if diff := cmp.Diff(want, s.Counts()); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
	})
}

func TestCountersAreBounded(t *testing.T) {
	s := stats{counts: make(map[countKey]uint64)}
	for i := range 2 * maxCounts {
		s.answered(string(rune(i+1)), 0)
	}
	if len(s.counts) > maxCounts+1 || s.counts[countKey{"other", "NOERROR"}] != maxCounts {
		t.Errorf("%d counters, want at most %d and the rest as \"other\"", len(s.counts), maxCounts+1)
	}
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fiber := domain(1, "fiber", "192.0.2.53")
		w := newWorld(fiber)
		w.at(fiber, 0, silent)
		s, stop := start(t, w, func(c *Config) { c.MaxQueries, c.PerSource = 10, 0.7 })
		defer stop()
		b, _ := query("www.example.net.", wire.TypeA).Pack()
		flood := func(from string) {
			for range 20 {
				s.ServeUDP(b, netip.MustParseAddrPort(from), func([]byte) {})
			}
		}
		flood("[2001:db8::1]:1000")
		flood("[2001:db8::2]:1000") // the same /64: the same client
		if n := s.Drops()["per_source"]; n != 33 {
			t.Errorf("%d queries of one client were dropped, want 33 of 40", n)
		}
		flood("192.0.2.1:1000")
		if n := s.Drops()["overload"]; n != 17 {
			t.Errorf("%d queries were dropped for all, want 17 of 20", n)
		}
		time.Sleep(5 * time.Second)
		s.queries.mu.Lock()
		defer s.queries.mu.Unlock()
		if s.queries.total != 0 || len(s.queries.held) != 0 {
			t.Errorf("%d places are still held: %v", s.queries.total, slices.Collect(keys(s.queries.held)))
		}
	})
}

func keys(m map[netip.Addr]int) func(func(netip.Addr) bool) {
	return func(yield func(netip.Addr) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
