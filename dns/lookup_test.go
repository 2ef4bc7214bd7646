package dns

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

// both answers by the type of the question.
func both(network string, q *wire.Msg) [][]byte {
	if q.Question[0].Qtype == wire.TypeAAAA {
		return answers("cp.example.net. 60 IN AAAA 2001:db8:1::80")(network, q)
	}
	return answers("cp.example.net. 60 IN A 203.0.113.80")(network, q)
}

func TestLookupAsksItsDomainOnly(t *testing.T) {
	v4, v6 := netip.MustParseAddr("203.0.113.80"), netip.MustParseAddr("2001:db8:1::80")
	one := domain(1, "v4", "192.0.2.53")
	one.Addresses = one.Addresses[:1]
	cases := []struct {
		name string
		in   *pvd.Domain
		says upstream
		want []netip.Addr
		err  error
	}{
		{"both families", domain(1, "fiber", "192.0.2.53"), both, []netip.Addr{v6, v4}, nil},
		{"one family", one, both, []netip.Addr{v4}, nil},
		{"denied", domain(1, "fiber", "192.0.2.53"), says(wire.RcodeNameError), nil, ErrNoSuchName},
		{"no data", domain(1, "fiber", "192.0.2.53"), says(wire.RcodeSuccess), nil, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			other := domain(2, "other", "192.0.2.53")
			w := newWorld(other)
			w.at(c.in, 0, c.says)
			w.at(other, 0, both)
			s, stop := start(t, w, func(cfg *Config) {
				cfg.Learned = func(Learned) []netip.Addr { t.Error("a lookup teaches nothing"); return nil }
			})
			defer stop()
			got, err := s.Lookup(t.Context(), c.in, "CP.example.net")
			if !slices.Equal(got, c.want) || !errors.Is(err, c.err) {
				t.Errorf("got %v, %v, want %v, %v", got, err, c.want, c.err)
			}
			for _, where := range w.seen() {
				if where[:len(c.in.Name)] != c.in.Name {
					t.Errorf("asked in %s", where)
				}
			}
		})
	}
}

func TestLookupWithoutAnswerFails(t *testing.T) {
	d := domain(1, "fiber", "192.0.2.53")
	w := newWorld(d)
	w.at(d, 0, says(wire.RcodeRefused))
	s, stop := start(t, w, nil)
	defer stop()
	if got, err := s.Lookup(t.Context(), d, "cp.example.net"); err == nil {
		t.Errorf("got %v and no error", got)
	}
}
