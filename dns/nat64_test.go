package dns

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

func TestPrefixOfANetworksNAT64(t *testing.T) {
	for addr, want := range map[string]string{
		"64:ff9b::c000:aa":             "64:ff9b::/96",
		"2001:db8:122:344::c000:ab":    "2001:db8:122:344::/96",
		"2001:db8:122:344:c0:0:aa00:0": "2001:db8:122:344::/64",
		"2001:db8:122:3c0:0:ab::":      "2001:db8:122:300::/56",
		"2001:db8:122:c000:0:aa00::":   "2001:db8:122::/48",
		"2001:db8:1c0:0:ab::":          "2001:db8:100::/40",
		"2001:db8:c000:aa::":           "2001:db8::/32",
		"2001:db8::80":                 "invalid Prefix", // a portal's answer to everything
		"2001:db8:122:344::c000:ac":    "invalid Prefix",
		"2001:db8:c000:aa:c0:0:aa00:1": "invalid Prefix",
	} {
		got, _ := prefix64(netip.MustParseAddr(addr))
		if got.String() != want {
			t.Errorf("%s was made with %v, want %s", addr, got, want)
		}
	}
}

func only6(slot uint16, name, resolver string) *pvd.Domain {
	d := domain(slot, name, resolver)
	d.Addresses = d.Addresses[1:]
	return d
}

func TestAddressesAreSynthesisedWhereThereIsOnlyIPv6(t *testing.T) {
	lte := only6(1, "lte", "2001:db8:1::53")
	lte.PREF64 = []pvd.PREF64{{Prefix: netip.MustParsePrefix("64:ff9b::/96")}}
	both := *lte
	both.Addresses = domain(1, "").Addresses
	for _, tt := range []struct {
		what   string
		d      *pvd.Domain
		change func(*wire.Msg)
		six    upstream // to AAAA
		want   string
	}{
		{"no IPv6 address", lte, nil, says(0), "NOERROR; www.example.net. 60 IN CNAME a.example.net.; a.example.net. 60 IN AAAA 64:ff9b::cb00:7150"},
		{"silence about IPv6", lte, nil, says(wire.RcodeServerFailure), "NOERROR; www.example.net. 60 IN CNAME a.example.net.; a.example.net. 60 IN AAAA 64:ff9b::cb00:7150"},
		{"a real one", lte, nil, answers("www.example.net. 60 IN AAAA 2001:db8::80"), "NOERROR; www.example.net. 60 IN AAAA 2001:db8::80"},
		{"no such name", lte, nil, denies, "NXDOMAIN"},
		{"a client that checks", lte, func(m *wire.Msg) { m.CheckingDisabled = true }, says(0), "NOERROR"},
		{"a domain with IPv4", &both, nil, says(0), "NOERROR"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(tt.d)
			w.at(tt.d, 0, func(network string, q *wire.Msg) [][]byte {
				if q.Question[0].Qtype == wire.TypeA {
					return answers("www.example.net. 60 IN CNAME a.example.net.", "a.example.net. 300 IN A 203.0.113.80", "a.example.net. 300 IN A 10.0.0.1")(network, q)
				}
				return tt.six(network, q)
			})
			s, stop := start(t, w, nil)
			defer stop()
			q := query("www.example.net.", wire.TypeAAAA)
			if tt.change != nil {
				tt.change(q)
			}
			want := tt.want
			if i := len("NOERROR; www.example.net. 60 IN CNAME a.example.net.; a.example.net. "); tt.d == lte && len(want) > i+10 {
				want = want[:i] + "300" + want[i+2:]
			}
			for range 2 {
				if got := brief(ask(t, s, q)); got != want {
					t.Errorf("%s: %s, want %s", tt.what, got, want)
				}
			}
		})
	}
}

// A domain is asked for its NAT64 by itself, again before the records end, and not
// when it has told by an advertisement.
func TestNAT64IsSoughtInEachDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lte, told, four := only6(1, "lte", "2001:db8:1::53"), only6(2, "told", "2001:db8:2::53"), domain(3, "four", "192.0.2.53")
		told.PREF64 = []pvd.PREF64{{Prefix: netip.MustParsePrefix("64:ff9b::/96"), Origin: pvd.FromRA}}
		four.Addresses = four.Addresses[:1]
		w := newWorld()
		w.at(lte, 0, answers("ipv4only.arpa. 600 IN AAAA 64:ff9b::c000:aa", "ipv4only.arpa. 600 IN AAAA 2001:db8::1"))
		found := make(chan []netip.Prefix, 10)
		s, stop := start(t, w, func(c *Config) {
			c.Found64 = func(k pvd.Key, p []netip.Prefix) {
				if k != lte.Key() {
					t.Errorf("found in %v", k)
				}
				found <- p
			}
		})
		defer stop()
		for range 3 {
			s.Publish(pvd.NewSet([]*pvd.Domain{lte, told, four}))
		}
		if got := <-found; !slices.Equal(got, []netip.Prefix{netip.MustParsePrefix("64:ff9b::/96")}) {
			t.Errorf("found %v", got)
		}
		begun := time.Now()
		<-found
		if took := time.Since(begun); took != 590*time.Second {
			t.Errorf("asked again after %v, want ten seconds before the records end", took)
		}
		for _, where := range w.seen() {
			if where[:3] != "lte" {
				t.Errorf("asked %s", where)
			}
		}
	})
}
