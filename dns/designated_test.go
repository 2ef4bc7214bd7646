package dns

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

// named is a domain with a plain resolver, which names an encrypted one.
func named(slot uint16, name, resolver string) *pvd.Domain {
	d := domain(slot, name, resolver)
	d.Designated = []pvd.Designation{{Name: "resolver.example"}}
	return d
}

// knows answers about the named resolver with one service record, and with addresses
// of its target.
func knows(record string) upstream {
	return func(network string, q *wire.Msg) [][]byte {
		name, kind := q.Question[0].Name, q.Question[0].Qtype
		switch {
		case name == "_dns.resolver.example." && kind == wire.TypeSVCB:
			return answers("_dns.resolver.example. 600 IN SVCB "+record)(network, q)
		case (name == "dns.example." || name == "resolver.example.") && kind == wire.TypeA:
			return answers(name+" 600 IN A 192.0.2.99", name+" 600 IN A 127.0.0.1")(network, q)
		case name == "dns.example." && kind == wire.TypeAAAA:
			return answers(name+" 600 IN AAAA 2001:db8::99")(network, q)
		}
		return says(wire.RcodeNameError)(network, q)
	}
}

// TestAResolverThatIsOnlyNamedIsLookedUp inside its domain (RFC 9463 3.1.9), again
// before the records end.
func TestAResolverThatIsOnlyNamedIsLookedUp(t *testing.T) {
	for record, want := range map[string][]string{
		`1 dns.example. alpn=dot`:                            {"1 resolver.example [2001:db8::99]:853 ", "1 resolver.example 192.0.2.99:853 "},
		`1 . alpn=dot port=8853`:                             {"1 resolver.example 192.0.2.99:8853 "},
		`1 . alpn=h2 dohpath=/q{?dns}`:                       {"2 resolver.example 192.0.2.99:443 /q{?dns}"},
		`1 . alpn=h2 dohpath=http://evil/{?dns}`:             nil,
		`1 . alpn=h2`:                                        nil,
		`1 . alpn=h3 dohpath=/q{?dns}`:                       nil,
		`1 . alpn=dot mandatory=alpn`:                        {"1 resolver.example 192.0.2.99:853 "},
		`1 . alpn=dot mandatory=ipv4hint ipv4hint=192.0.2.7`: nil,
		`0 dns.example.`:                                     nil,
		`1 nobody.example. alpn=dot`:                         nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			lte, other := named(1, "lte", "192.0.2.53"), domain(2, "other", "192.0.2.53")
			w := newWorld()
			w.at(lte, 0, knows(record))
			found := make(chan []pvd.Resolver, 10)
			s, stop := start(t, w, func(c *Config) {
				c.Designated = func(k pvd.Key, all []pvd.Resolver) {
					if k != lte.Key() {
						t.Errorf("found in %v", k)
					}
					found <- all
				}
			})
			defer stop()
			for range 3 {
				s.Publish(pvd.NewSet([]*pvd.Domain{lte, other}))
			}
			var got []string
			for _, r := range <-found {
				got = append(got, fmt.Sprint(r.Transport, " ", r.Name, " ", r.Addr, " ", r.Path))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s:\n%s", record, diff)
			}
			begun := time.Now()
			<-found
			if took := time.Since(begun); took != 10*time.Minute {
				t.Errorf("%s: looked up again after %v", record, took)
			}
			for _, where := range w.seen() {
				if where[:3] != "lte" {
					t.Errorf("asked %s", where)
				}
			}
		})
	}
}

// TestNamesWithoutAWayToLookThemUp ask nobody.
func TestNamesWithoutAWayToLookThemUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lte := named(1, "lte", "192.0.2.53")
		lte.Resolvers = nil
		w := newWorld()
		s, stop := start(t, w, func(c *Config) {
			c.Designated = func(pvd.Key, []pvd.Resolver) { t.Error("looked up by nobody") }
		})
		defer stop()
		s.Publish(pvd.NewSet([]*pvd.Domain{lte}))
		time.Sleep(time.Hour)
		if seen := w.seen(); len(seen) > 0 {
			t.Errorf("asked %v", seen)
		}
	})
}
