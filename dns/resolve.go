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

// outcome is how a query ended: with an answer of our own, or with a domain's.
type outcome struct {
	own *wire.Msg // nil: entry is the answer

	entry  *entry
	told   []netip.Addr // instead of the entry's addresses, nil: as they are
	limit  uint32       // cap of TTLs in seconds, 0: none
	cached bool

	domain *pvd.Domain // who was asked last, nil: nobody
	zone   string
	reason string
}

// domainName is the domain's name for counters, "" for our own answers.
func (o *outcome) domainName() string {
	if o.domain == nil {
		return ""
	}
	return o.domain.Name
}

// rcode is the response code the client gets.
func (o *outcome) rcode() int {
	if o.own != nil {
		return o.own.Rcode
	}
	return o.entry.msgRcode
}

// answer is a query's whole way: bytes in, bytes out. nil: nothing to say.
func (s *Server) answer(ctx context.Context, query []byte, from netip.AddrPort, tcp bool) []byte {
	r, rcode := parse(query)
	r.from, r.tcp = from, tcp
	if rcode != wire.RcodeSuccess {
		s.stats.answered("", rcode)
		return r.pack(r.local(rcode))
	}
	ctx, cancel := context.WithTimeout(ctx, hardLimit)
	defer cancel()
	o := s.resolve(ctx, r)
	s.stats.answered(o.domainName(), o.rcode())
	if o.own != nil {
		return r.pack(o.own)
	}
	return r.packed(o.entry, o.limit, o.told, time.Now())
}

// resolve answers a sound query.
func (s *Server) resolve(ctx context.Context, r *request) outcome {
	if m := reserved(r); m != nil {
		return outcome{own: m, reason: "a name that no network can own"}
	}
	if m := s.aliasName(r); m != nil {
		return outcome{own: m, reason: "an alias that was given to an app"}
	}
	if s.withheld(r) {
		return outcome{own: r.local(wire.RcodeSuccess), reason: "no domain carries this family"}
	}
	q := Query{Name: r.name, Type: r.qtype, App: r.from, Reverse: reversePrefix(r.name)}
	choice := s.cfg.Chooser.Choose(q, nil)
	if choice.Zone == "" {
		if homeless(r.name, r.qtype) {
			return outcome{own: r.local(wire.RcodeNameError), reason: "a name that means something only in a network that claims it, and none does"}
		}
		choice.Domains = claimants(choice.Domains, q.Reverse)
		if len(choice.Domains) == 0 && locallyServed(q.Reverse) {
			return outcome{own: r.local(wire.RcodeNameError), reason: "the name of a private address that no network claims"}
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
func (s *Server) forward(ctx context.Context, r *request, choice Choice) outcome {
	if o, ok := s.search(ctx, r, choice); ok {
		return o
	}
	if len(choice.Domains) == 0 {
		return outcome{own: r.failed(wire.ExtendedErrorCodeNetworkError, "no domain may carry this query"), zone: choice.Zone, reason: choice.Reason}
	}
	order := s.instances.aliveFirst(choice.Domains)
	failure := failures{}
	for i, d := range order {
		e, cached, err := s.consult(ctx, d, r, i == len(order)-1)
		if err == nil {
			o := outcome{entry: e, cached: cached, domain: d, zone: choice.Zone, limit: seconds(choice.MaxTTL), reason: choice.Reason}
			if s.outranked(ctx, d, r, e) {
				return outcome{own: r.local(wire.RcodeSuccess), domain: d, zone: o.zone, reason: "the domain's selection table ranks the other family higher"}
			}
			return s.given(r, o, choice.Zone != "")
		}
		failure.add(d, err)
		if ctx.Err() != nil {
			break
		}
	}
	return outcome{own: failure.reply(r), domain: order[len(order)-1], zone: choice.Zone, reason: choice.Reason}
}

// given has the app's table know what the app is about to hear.
func (s *Server) given(r *request, o outcome, private bool) outcome {
	told, ok := s.learn(r, o.entry, o.domain, private)
	if !ok {
		return outcome{
			own:    r.failed(wire.ExtendedErrorCodeBlocked, "the answer names an address of another network"),
			domain: o.domain, zone: o.zone, reason: "the answer names an address on another domain's link",
		}
	}
	o.told = told
	return o
}

// search asks those that alone may know the name; a domain whose every resolver is
// silent does not hold up the others.
func (s *Server) search(ctx context.Context, r *request, choice Choice) (outcome, bool) {
	for _, d := range choice.Search {
		if s.instances.of(d).dead(reachable(d), time.Now()) {
			continue
		}
		e, cached, err := s.consult(ctx, d, r, false)
		if err != nil || e.denial || e.msgRcode != wire.RcodeSuccess {
			continue
		}
		o := outcome{entry: e, cached: cached, domain: d, limit: seconds(choice.MaxTTL), reason: "a trusted domain that names no zones knows it"}
		return s.given(r, o, true), true
	}
	return outcome{}, false
}

func seconds(d time.Duration) uint32 { return uint32(d / time.Second) }

// failures gathers why nobody answered.
type failures struct {
	asked   []string
	without []string // those that have no resolver
	reasons []wire.EDNS0
}

func (f *failures) add(d *pvd.Domain, err error) {
	if errors.Is(err, errNoResolver) {
		f.without = append(f.without, d.Name)
		return
	}
	f.asked = append(f.asked, d.Name)
	var bad *badAnswer
	if errors.As(err, &bad) && len(f.reasons) == 0 {
		f.reasons = bad.reasons
	}
}

// reply is SERVFAIL with what the resolvers said, or with whom we asked in vain.
func (f *failures) reply(r *request) *wire.Msg {
	switch {
	case len(f.reasons) > 0:
	case len(f.asked) == 0:
		return r.failed(wire.ExtendedErrorCodeNetworkError, "there is no resolver in "+strings.Join(f.without, ", "))
	default:
		return r.failed(wire.ExtendedErrorCodeNetworkError, "no resolver answered in "+strings.Join(f.asked, ", "))
	}
	m := r.local(wire.RcodeServerFailure)
	m.Extra = explain(m.Extra, f.reasons...)
	return m
}
