package relay

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/flow"
	"mifvif/scheduler"
	"mifvif/stack"
)

// How long a candidate that stays silent is waited for: short while another
// candidate is left, and as long as a kernel would for the last one (six SYNs).
const (
	attemptTimeout = 3 * time.Second
	lastTimeout    = 127 * time.Second
)

// request answers one SYN: with a flow that is carried from then on, or with the
// reason why not. It runs in a goroutine of the stack's, which is not needed any
// longer when the flow is connected.
func (r *Relay) request(req *stack.Request) {
	f := req.Flow()
	if r.isResolver(f.Dst) {
		r.serveTCP(req)
		return
	}
	past, again := r.again(req)
	if again {
		return
	}
	asked, began := f.Dst, time.Now()
	r.cfg.Names.Recall(&f)
	in, ok := r.identify(&f, asked)
	if !ok {
		req.Refuse(stack.Reset)
		return
	}
	decision := r.cfg.Scheduler.Pick(f)
	if decision.Refusal != scheduler.NotRefused {
		r.drops.refused.Add(1)
		r.refused(f, asked, decision.Reason)
		req.Refuse(refusal(decision.Refusal))
		return
	}
	held := f
	held.Dst = asked
	place, ok := r.flows.reserve(held)
	if !ok && r.cfg.Streams != nil {
		r.cfg.Streams.Settle()
		place, ok = r.flows.reserve(held)
	}
	if !ok {
		r.drops.tooManyFlows.Add(1)
		r.refused(f, asked, "the table of flows is full, or the share of it that one user or host may have")
		req.Refuse(stack.Silent)
		return
	}
	if r.translate(req, place, f, asked, began, past, &decision) {
		return
	}
	up, on, err := r.connect(req, f, in, &decision)
	if err != nil {
		r.flows.release(place)
		r.unmet(f, asked, err)
		req.Refuse(verdict(err))
		return
	}
	conn, err := req.Accept()
	if err != nil {
		r.flows.release(place)
		abort(up)
		return
	}
	real := f.Dst.Addr()
	f.Dst = asked // as the app and people call it
	r.flows.start(place, f, real, began, on.Candidate, &decision, up, conn)
	ctx, kept := r.footing(place, up, &decision, on, in)
	conn.Join(ctx, &parting{up, r.cfg.Scheduler, place, conn}, func(err error) {
		if kept {
			r.keeper.drop(place)
		}
		r.flows.release(place)
		if err != nil {
			r.log.Debug("flow was reset", "flow", f, "domain", on.Domain.Name, "error", err)
		}
	})
}

// standing is a candidate with the context that ends with its domain.
type standing struct {
	scheduler.Candidate
	ctx context.Context
}

// connect tries the candidates in order and returns the first that answered. A
// destination that refuses has answered: its refusal is the truth and no other
// domain is asked.
func (r *Relay) connect(req *stack.Request, f flow.Flow, in *Inlet, d *scheduler.Decision) (stack.Uplink, standing, error) {
	var last error
	candidates := d.Candidates()
	if d.Race > 1 {
		up, on, err := r.race(req, f, in, d)
		if err == nil || errors.Is(err, unix.ECONNREFUSED) || req.Over() {
			return up, on, err
		}
		last = err
	}
	for i, c := range candidates[d.Race:] {
		on := standing{c, r.domainContext(c, in, d.OnFailure)}
		timeout := attemptTimeout
		if i == len(candidates)-1-d.Race {
			timeout = lastTimeout
		}
		up, err := r.dial(req, on, f, d.MPTCP, timeout)
		if err == nil {
			return up, on, nil
		}
		if last == nil || !silent(err) {
			last = err
		}
		if errors.Is(err, unix.ECONNREFUSED) || req.Over() {
			break
		}
	}
	return nil, standing{}, last
}

// dial opens the uplink's side inside one candidate. It ends early when the app
// gives up or the domain dies.
func (r *Relay) dial(req *stack.Request, on standing, f flow.Flow, how scheduler.MPTCP, timeout time.Duration) (stack.Uplink, error) {
	ctx, cancel := req.Under(on.ctx, timeout)
	defer cancel()
	return r.attempt(ctx, on, f, how)
}

// attempt dials, and remembers how it ended.
func (r *Relay) attempt(ctx context.Context, on standing, f flow.Flow, how scheduler.MPTCP) (stack.Uplink, error) {
	began, dst := time.Now(), f.Dst
	if on.To.IsValid() {
		dst = netip.AddrPortFrom(on.To, dst.Port())
	}
	up, err := r.open(ctx, on, dst, f, how)
	if on.ctx.Err() == nil {
		r.learn(on.Domain.Key(), f.Dst.Addr(), began, err)
	}
	return up, err
}

// domainContext returns what a flow stands on: its domain, or, where the rule
// holds flows through a failure, the relay itself; and the inlet it came by.
func (r *Relay) domainContext(c scheduler.Candidate, in *Inlet, of scheduler.OnFailure) context.Context {
	if of != scheduler.FailHold {
		return r.ground.under(foothold{c.Domain.Key(), c.Source, in})
	}
	return r.ground.lasting(in)
}

// silent reports whether a dial ended without any answer.
func silent(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, unix.ETIMEDOUT)
}

// verdict turns the errno of a failed connect into what the app is told
// (standards: RFC 5382 REQ-9 and RFC 1122 4.2.3.9 for the mapping).
func verdict(err error) stack.Refusal {
	switch {
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ECONNRESET), errors.As(err, new(*noMultipath)):
		return stack.Reset
	case errors.Is(err, unix.ENETUNREACH):
		return stack.NetUnreachable
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return stack.Prohibited
	case silent(err):
		return stack.Silent
	}
	return stack.HostUnreachable
}

// refusal turns a decision without candidates into what the app is told.
func refusal(r scheduler.Refusal) stack.Refusal {
	if r == scheduler.Prohibited {
		return stack.Prohibited
	}
	return stack.NetUnreachable
}

// abort closes an uplink connection with RST: the app never heard of it.
func abort(up stack.Uplink) {
	_ = up.SetLinger(0)
	_ = up.Close()
}
