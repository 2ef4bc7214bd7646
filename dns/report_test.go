package dns

import (
	"net/netip"
	"testing"
	"testing/synctest"

	wire "github.com/miekg/dns"
)

// TestAResolutionSaysWhyThereIsNoAnswer: a domain without resolver, resolvers that
// fail and no domain at all are told apart.
func TestAResolutionSaysWhyThereIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fiber, bare := domain(0, "fiber", "192.0.2.53"), domain(1, "bare")
		w := newWorld(fiber, bare)
		w.at(fiber, 0, says(wire.RcodeServerFailure))
		s, stop := start(t, w, nil)
		defer stop()
		for _, c := range []struct{ domain, want string }{
			{"fiber", "no resolver answered in fiber"}, {"bare", "there is no resolver in bare"},
		} {
			in := fiber
			if c.domain == "bare" {
				in = bare
			}
			r, err := s.Resolve(t.Context(), "www.example.com", "A", in, netip.AddrPort{})
			if err != nil || r.Failure != c.want || r.Domain != c.domain {
				t.Errorf("%s: %+v, %v, want %q", c.domain, r, err, c.want)
			}
		}
		w.at(fiber, 0, says(wire.RcodeNameError))
		if r, err := s.Resolve(t.Context(), "www.example.com", "A", fiber, netip.AddrPort{}); err != nil || r.Failure != "" || r.Rcode != "NXDOMAIN" {
			t.Errorf("a name that is not there: %+v, %v", r, err)
		}
	})
}
