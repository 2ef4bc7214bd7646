package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

// ErrType says that a word is no RR type that may be asked for.
var ErrType = errors.New("is no type of record that can be asked for (such as A, AAAA, PTR, MX, TXT)")

// Resolution is one answer with where it came from and why it was asked there.
type Resolution struct {
	Name, Type, Rcode string
	Records           []string // in presentation format, TTLs as the app gets them
	Domain            string   // who answered, or was asked last; "" for an answer of our own
	Resolver          netip.AddrPort
	Cached            bool
	Zone              string // the zone that decided, "" if none did
	Reason            string // why it was asked there, one phrase for people
	Failure           string // why there is no answer; "": there is one
}

// Resolve answers a question as an app at from would be answered, or, where in is
// not nil, as that domain alone answers it. Safe for concurrent use.
func (s *Server) Resolve(ctx context.Context, name, qtype string, in *pvd.Domain, from netip.AddrPort) (Resolution, error) {
	t, ok := wire.StringToType[strings.ToUpper(qtype)]
	if !ok || refusedType(t) {
		return Resolution{}, fmt.Errorf("%q %w", qtype, ErrType)
	}
	r, err := question(name, t, from)
	if err != nil {
		return Resolution{}, err
	}
	root, why := s.queries.enter(from.Addr())
	if why != admitted {
		return Resolution{}, errors.New("too many queries are under way")
	}
	defer s.queries.leave(from.Addr())
	ctx, cancel := context.WithTimeout(ctx, hardLimit)
	defer cancel()
	defer context.AfterFunc(root, cancel)()
	var o outcome
	if in == nil {
		o = s.resolve(ctx, r)
	} else {
		o = s.forward(ctx, r, Choice{Domains: []*pvd.Domain{in}, Reason: "asked for by name"})
	}
	return resolution(r, &o), nil
}

// question makes a request as an app's stub would.
func question(name string, qtype uint16, from netip.AddrPort) (*request, error) {
	name = wire.Fqdn(name)
	if _, ok := wire.IsDomainName(name); !ok {
		return nil, fmt.Errorf("%q is no domain name", name)
	}
	b, err := new(wire.Msg).SetQuestion(name, qtype).SetEdns0(ednsSize, false).Pack()
	if err != nil {
		return nil, fmt.Errorf("%q is no domain name: %w", name, err)
	}
	r, _ := parse(b)
	r.from, r.tcp = from, true
	return r, nil
}

func resolution(r *request, o *outcome) Resolution {
	out := Resolution{
		Name: r.name, Type: wire.TypeToString[r.qtype], Rcode: wire.RcodeToString[o.rcode()], Records: []string{},
		Domain: o.domainName(), Cached: o.cached, Zone: o.zone, Reason: o.reason,
	}
	b := []byte(nil)
	if o.own != nil {
		b = r.pack(o.own)
		out.Failure = failureIn(o.own)
	} else {
		out.Resolver = o.entry.server
		b = r.packed(o.entry, o.limit, o.told, time.Now())
	}
	var m wire.Msg
	if m.Unpack(b) == nil {
		out.Records = presented(m.Answer)
	}
	return out
}

// failureIn is what a failure of ours says of itself (RFC 8914), "" for an answer.
func failureIn(m *wire.Msg) string {
	if m.Rcode != wire.RcodeServerFailure {
		return ""
	}
	var said []string
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*wire.EDNS0_EDE); ok {
				said = append(said, cmp.Or(e.ExtraText, wire.ExtendedErrorCodeToString[e.InfoCode]))
			}
		}
	}
	return cmp.Or(strings.Join(said, "; "), "it failed")
}

// presented are records on one line each, blanks between the fields.
func presented(list []wire.RR) []string {
	out := []string{}
	for _, rr := range list {
		out = append(out, strings.Join(strings.Fields(rr.String()), " "))
	}
	return out
}

// Cached is one answer that a domain's cache holds.
type Cached struct {
	Domain, Name, Type, Rcode string
	Records                   []string // with the TTLs the resolver gave
	Resolver                  netip.AddrPort
	Left                      time.Duration
}

// Cache lists what the caches of all domain instances hold, by domain, name and
// type. Safe for concurrent use.
func (s *Server) Cache() []Cached {
	now := time.Now()
	out := []Cached{}
	s.instances.mu.RLock()
	defer s.instances.mu.RUnlock()
	for _, in := range s.instances.live {
		for _, e := range in.cache.list(now) {
			c := Cached{
				Domain: in.called(), Name: e.name, Type: wire.TypeToString[e.qtype], Rcode: wire.RcodeToString[e.msgRcode],
				Resolver: e.server, Left: e.life - now.Sub(e.stored), Records: []string{},
			}
			var m wire.Msg
			if m.Unpack(e.wire) == nil {
				c.Records = presented(m.Answer)
			}
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b Cached) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	})
	return out
}
