package stack

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"mifvif/flow"
)

// Request is an app's SYN that nobody has answered. Its handler calls exactly
// one of Accept and Refuse, once; a handler that calls neither has refused
// silently.
type Request struct {
	stack   *Stack
	forward *tcp.ForwarderRequest
	flow    flow.Flow
	id      stack.TransportEndpointID
	attempt *attempt
	settled bool
}

// handle runs one Request. gVisor calls it in a new goroutine.
func (s *Stack) handle(fr *tcp.ForwarderRequest) {
	s.workers.run(func() { s.answer(fr) })
}

func (s *Stack) answer(fr *tcp.ForwarderRequest) {
	defer s.running.Done()
	id := fr.ID()
	a := s.pending.attempt(id)
	r := &Request{
		stack: s, forward: fr, id: id, attempt: a,
		flow: flow.Flow{
			Proto: flow.TCP,
			Src:   netip.AddrPortFrom(a.source, id.RemotePort),
			Dst:   netip.AddrPortFrom(addr(id.LocalAddress), id.LocalPort),
			DSCP:  a.tos >> 2, Multipath: a.paths,
		},
	}
	defer r.Refuse(Silent)
	s.handler(r)
}

// Flow returns the five-tuple and DSCP of the SYN.
func (r *Request) Flow() flow.Flow { return r.flow }

// Headers returns the SYN as far as it is no data: the IP header and TCP's with its
// options, sums included. It must not be changed.
func (r *Request) Headers() []byte { return r.attempt.quote }

// Under returns a context for one attempt to reach the destination: it ends with
// parent, after timeout, or when the app gives up, the request is settled or the
// stack stops. One attempt at a time; the caller calls cancel after each.
func (r *Request) Under(parent context.Context, timeout time.Duration) (ctx context.Context, cancel context.CancelFunc) {
	return r.stack.pending.under(r.attempt, parent, timeout)
}

// Over reports whether the app has given up, the request is settled or the stack
// stops.
func (r *Request) Over() bool { return r.stack.pending.over(r.attempt) }

// Accept completes the app's handshake: the SYN is answered now and not before.
// It returns when the app has acknowledged, or with an error when the app is
// gone. The caller ends the Conn with Join or Reset.
func (r *Request) Accept() (*Conn, error) {
	c := &Conn{flow: r.flow, stack: r.stack}
	ep, err := r.forward.CreateEndpoint(&c.wq)
	r.settle(false)
	if err != nil {
		return nil, fmt.Errorf("answer the app of %s: %s", r.flow, err)
	}
	c.ep = ep
	c.setUp(r.attempt.tos)
	c.out.open(r.stack.link, ep)
	return c, nil
}

// settle gives the request's place back, with a RST to the app if asked for.
func (r *Request) settle(reset bool) {
	r.settled = true
	r.forward.Complete(reset)
	r.stack.pending.end(r.id)
}
