package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	wire "github.com/miekg/dns"

	"mifvif/pvd"
)

// maxAttempts bounds the exchanges of one query inside one domain.
const maxAttempts = 6

var (
	errNoResolver = errors.New("the domain has no resolver it can reach")
	errNoAnswer   = errors.New("no resolver of the domain answered")
	errTooLong    = errors.New("message too long")
)

// badAnswer is an answer that another resolver may know better.
type badAnswer struct {
	rcode   int
	reasons []wire.EDNS0
}

func (e *badAnswer) Error() string { return "resolver answered " + wire.RcodeToString[e.rcode] }

// ask asks the resolvers of one domain and no other until one gives a usable
// answer. A server that stays silent for its usual time gets company, not a
// replacement: its late answer still counts. In the last domain of a query all
// the time that is left is spent, in others each server is waited for once.
func (s *Server) ask(ctx context.Context, d *pvd.Domain, r *request, last bool) (result, error) {
	in := s.instances.of(d)
	servers := in.order(resolversFor(d, r.name), time.Now())
	if len(servers) == 0 {
		return result{}, fmt.Errorf("ask %s: %w", d.Name, errNoResolver)
	}
	ctx, cancel := context.WithCancel(ctx)
	a := &asking{
		server: s, domain: d, in: in, request: r, last: last,
		servers: servers, left: min(max(2, len(servers)), maxAttempts),
		results: make(chan result, maxAttempts),
	}
	if last {
		a.left = maxAttempts
	}
	defer a.exchanges.Wait()
	defer cancel()
	defer context.AfterFunc(in.ctx, cancel)()
	res, err := a.run(ctx)
	if err != nil {
		return result{}, fmt.Errorf("ask %s: %w", d.Name, err)
	}
	return res, nil
}

// asking is one query under way in one domain.
type asking struct {
	server  *Server
	domain  *pvd.Domain
	in      *instance
	request *request
	last    bool

	servers   []netip.AddrPort // those still worth asking, the next first
	left      int              // exchanges that may still be started
	pending   int
	results   chan result // one place for every exchange
	exchanges sync.WaitGroup
	failure   error
}

type result struct {
	server netip.AddrPort
	msg    *wire.Msg
	err    error
}

// run starts exchanges and takes the first usable answer.
func (a *asking) run(ctx context.Context) (result, error) {
	a.failure = errNoAnswer
	patience := time.NewTimer(0)
	defer patience.Stop()
	for {
		select {
		case <-patience.C:
			if !a.start(ctx, patience) && !a.last {
				return result{}, a.failure
			}
		case res := <-a.results:
			a.pending--
			if res.err == nil {
				return res, nil
			}
			a.giveUp(res)
			if !a.start(ctx, patience) && a.pending == 0 {
				return result{}, a.failure
			}
		case <-ctx.Done():
			return result{}, a.failure
		}
	}
}

// start begins an exchange with the next server and sets its patience; false
// when there is nobody left to ask.
func (a *asking) start(ctx context.Context, patience *time.Timer) bool {
	if a.left == 0 || len(a.servers) == 0 {
		return false
	}
	server := a.servers[0]
	a.servers = append(a.servers[1:], server)
	a.left--
	a.pending++
	soft := a.in.patience(server)
	patience.Reset(soft)
	a.exchanges.Go(func() { a.results <- a.exchange(ctx, server, soft) })
	return true
}

// giveUp takes a server that has failed out of the rotation.
func (a *asking) giveUp(res result) {
	a.servers = without(a.servers, res.server)
	var bad *badAnswer
	if errors.As(res.err, &bad) || errors.Is(a.failure, errNoAnswer) {
		a.failure = res.err
	}
}

func without(servers []netip.AddrPort, gone netip.AddrPort) []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range servers {
		if s != gone {
			out = append(out, s)
		}
	}
	return out
}

// exchange asks one server and notes how it behaved. An exchange that was
// cancelled before its patience was over says nothing about the server.
func (a *asking) exchange(ctx context.Context, server netip.AddrPort, soft time.Duration) result {
	begun := time.Now()
	m, err := a.server.exchange(ctx, a.domain, a.in, server, a.request)
	took := time.Since(begun)
	switch {
	case err == nil:
		a.in.answered(server, took)
		err = usable(m)
	case ctx.Err() == nil || took >= soft:
		a.in.silent(server, time.Now())
	}
	return result{server, m, err}
}

// usable reports why an answer is not final: NXDOMAIN and an empty answer are
// (RFC 6731 4.1), a failure, a refusal and a referral are not.
func usable(m *wire.Msg) error {
	switch m.Rcode {
	case wire.RcodeSuccess, wire.RcodeNameError, wire.RcodeYXDomain:
	default:
		return &badAnswer{m.Rcode, reasons(m)}
	}
	if lame(m) {
		return &badAnswer{wire.RcodeRefused, nil}
	}
	return nil
}

// lame reports whether the answer of a server without recursion only points to
// other servers.
func lame(m *wire.Msg) bool {
	if m.Rcode != wire.RcodeSuccess || m.RecursionAvailable || m.Authoritative || !m.RecursionDesired ||
		len(m.Answer) > 0 || len(m.Ns) == 0 {
		return false
	}
	for _, rr := range m.Ns {
		if rr.Header().Rrtype == wire.TypeSOA {
			return false
		}
	}
	return true
}
