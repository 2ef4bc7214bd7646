package dns

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"

	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

// The family that a domain's own table ranks lower is withheld where the name has
// both.
func TestLowerFamilyIsWithheld(t *testing.T) {
	four := func(_ *pvd.Domain, list []netip.Addr) {
		slices.SortFunc(list, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	}
	six := func(_ *pvd.Domain, list []netip.Addr) {
		slices.SortFunc(list, func(a, b netip.Addr) int { return b.BitLen() - a.BitLen() })
	}
	table := []pvd.PolicyRow{{Prefix: netip.MustParsePrefix("::ffff:0:0/96"), Precedence: 100, Label: 4}}
	for _, tt := range []struct {
		what  string
		sort  SortFunc
		table []pvd.PolicyRow
		name  string
		do    bool
		a, b  int // answers to A and AAAA
	}{
		{"IPv4 first", four, table, "both.example.net.", false, 1, 0},
		{"IPv6 first", six, table, "both.example.net.", false, 0, 1},
		{"no table", four, nil, "both.example.net.", false, 1, 1},
		{"one family only", four, table, "six.example.net.", false, 0, 1},
		{"a client that checks", four, table, "both.example.net.", true, 1, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := domain(1, "fiber", "192.0.2.53")
			d.Selection = tt.table
			w := newWorld(d)
			w.at(d, 0, func(network string, q *wire.Msg) [][]byte {
				name, qtype := q.Question[0].Name, q.Question[0].Qtype
				switch {
				case qtype == wire.TypeAAAA:
					return answers(name+" 60 IN AAAA 2001:db8::80")(network, q)
				case name == "both.example.net.":
					return answers(name+" 60 IN A 203.0.113.80")(network, q)
				}
				return says(wire.RcodeSuccess)(network, q)
			})
			s, stop := start(t, w, func(c *Config) { c.Sort = tt.sort })
			defer stop()
			for range 2 {
				for qtype, want := range map[uint16]int{wire.TypeA: tt.a, wire.TypeAAAA: tt.b} {
					q := query(tt.name, qtype)
					if tt.do {
						q.IsEdns0().SetDo()
					}
					if got := ask(t, s, q); got.Rcode != 0 || len(got.Answer) != want {
						t.Errorf("%s, %s: %s, want %d answers", tt.what, wire.TypeToString[qtype], brief(got), want)
					}
				}
			}
		})
	}
}
