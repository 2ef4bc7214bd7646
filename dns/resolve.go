package dns

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

// hardLimit is how long a query may take in all: an answer must reach the app
// before its stub resolver gives up, which is 5 s almost everywhere.
const hardLimit = 4800 * time.Millisecond

// answer is a query's whole way: bytes in, bytes out. nil: nothing to say.
func (s *Server) answer(ctx context.Context, query []byte, from netip.AddrPort, tcp bool) []byte {
	r, rcode := parse(query)
	r.from, r.tcp = from, tcp
	var m *wire.Msg
	var domain string
	if rcode == wire.RcodeSuccess {
		ctx, cancel := context.WithTimeout(ctx, hardLimit)
		defer cancel()
		m, domain = s.resolve(ctx, r)
	} else {
		m = r.local(rcode)
	}
	s.stats.answered(domain, m.Rcode)
	return r.pack(m)
}

// resolve answers a sound query and names the domain that answered, "" for us.
func (s *Server) resolve(ctx context.Context, r *request) (*wire.Msg, string) {
	if m := reserved(r); m != nil {
		return m, ""
	}
	if s.withheld(r) {
		return r.local(wire.RcodeSuccess), ""
	}
	q := Query{Name: r.name, Type: r.qtype, App: r.from, Reverse: reversePrefix(r.name)}
	choice := s.cfg.Chooser.Choose(q)
	if choice.Zone == "" {
		if homeless(r.name, r.qtype) {
			return r.local(wire.RcodeNameError), ""
		}
		choice.Domains = claimants(choice.Domains, q.Reverse)
		if len(choice.Domains) == 0 && locallyServed(q.Reverse) {
			return r.local(wire.RcodeNameError), ""
		}
	}
	return s.forward(ctx, r, choice)
}

// withheld reports whether the query asks for addresses of a family that no
// domain carries while another is carried. A client that validates itself gets
// the truth: to it a denial that nobody signed is a forgery.
func (s *Server) withheld(r *request) bool {
	if s.cfg.Families == nil || r.do {
		return false
	}
	v4, v6 := s.cfg.Families()
	return r.qtype == wire.TypeA && !v4 && v6 || r.qtype == wire.TypeAAAA && !v6 && v4
}

// claimants orders domains for a reverse name: those that claim its prefix come
// first, and nobody else is asked about an address that means nothing in public.
func claimants(domains []*pvd.Domain, reverse netip.Prefix) []*pvd.Domain {
	if !reverse.IsValid() {
		return domains
	}
	private := locallyServed(reverse)
	var first, rest []*pvd.Domain
	for _, d := range domains {
		switch {
		case Claims(d, reverse):
			first = append(first, d)
		case !private:
			rest = append(rest, d)
		}
	}
	return append(first, rest...)
}

// forward asks the domains of a choice in order and returns the first usable
// answer; a denial is one, a failure is not (RFC 6731 4.1, standards D.4).
func (s *Server) forward(ctx context.Context, r *request, choice Choice) (*wire.Msg, string) {
	if len(choice.Domains) == 0 {
		return r.failed(wire.ExtendedErrorCodeNetworkError, "no domain may carry this query"), ""
	}
	order := s.instances.aliveFirst(choice.Domains)
	failure := failures{}
	for i, d := range order {
		up, err := s.ask(ctx, d, r, i == len(order)-1)
		if err == nil {
			s.learn(r, up, d, choice)
			return r.relayed(up, seconds(choice.MaxTTL)), d.Name
		}
		failure.add(d, err)
		if ctx.Err() != nil {
			break
		}
	}
	return failure.reply(r), order[len(order)-1].Name
}

func seconds(d time.Duration) uint32 { return uint32(d / time.Second) }

// failures gathers why nobody answered.
type failures struct {
	asked   []string
	reasons []wire.EDNS0
}

func (f *failures) add(d *pvd.Domain, err error) {
	f.asked = append(f.asked, d.Name)
	var bad *badAnswer
	if errors.As(err, &bad) && len(f.reasons) == 0 {
		f.reasons = bad.reasons
	}
}

// reply is SERVFAIL with what the resolvers said, or with whom we asked in vain.
func (f *failures) reply(r *request) *wire.Msg {
	if len(f.reasons) == 0 {
		return r.failed(wire.ExtendedErrorCodeNetworkError, "no resolver answered in "+strings.Join(f.asked, ", "))
	}
	m := r.local(wire.RcodeServerFailure)
	m.Extra = explain(m.Extra, f.reasons...)
	return m
}
