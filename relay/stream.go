package relay

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"mifvif/flow"
	"mifvif/nat"
	"mifvif/pvd"
	"mifvif/scheduler"
	"mifvif/stack"
	"mifvif/tun"
)

// again sends the SYN of a flow that is translated already the way that the first
// one went. It returns false where the flow is to be decided; past is what has
// become of its SYN before.
func (r *Relay) again(req *stack.Request) (past nat.Past, again bool) {
	if r.cfg.Streams == nil {
		return past, false
	}
	f := req.Flow()
	past, again = r.cfg.Streams.Again(f.Src, f.Dst, req.Headers())
	if again {
		req.Refuse(stack.Silent) // the server's answer is the answer
	}
	return past, again
}

// translate has the kernel carry a flow from its SYN on: the server answers the
// app itself, with whatever is the truth. It returns false where the flow has to be
// terminated after all.
func (r *Relay) translate(req *stack.Request, place *entry, f flow.Flow, asked netip.AddrPort, began time.Time, past nat.Past, d *scheduler.Decision) bool {
	if d.Path != scheduler.PathTranslate || r.cfg.Streams == nil || f.Dst != asked || past.Declined {
		return false
	}
	candidates := d.Candidates()
	c := untried(candidates, past.Tried)
	if c == candidates[0] {
		past.Tried = nil // it may be their turn again
	}
	more := slices.ContainsFunc(candidates, func(o scheduler.Candidate) bool {
		return o.Domain != c.Domain && !slices.Contains(past.Tried, o.Domain.Key())
	})
	ground := r.ground.under(foothold{c.Domain.Key(), c.Source, nil}) // before it is known whether the domain is still there
	s, err := r.cfg.Streams.Open(f, req.Headers(), choice(c, d), nat.Attempt{Past: past, More: more, Patience: d.Patience, Declined: r.declined})
	if err != nil {
		r.log.Debug("flow is terminated instead of translated", "flow", f, "domain", c.Domain.Name, "error", err)
		return false
	}
	req.Refuse(stack.Silent) // the house has no part in it any more
	r.flows.offload(place, f, began, c, d, s)
	stop := context.AfterFunc(ground, s.Reset)
	s.OnEnd(func() {
		stop()
		r.flows.release(place)
	})
	return true
}

// declined has a SYN come in once more whose flow was to be translated: nobody has
// answered as soon as the way's round trip promised, and now all candidates are tried.
func (r *Relay) declined(syn []byte) {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.stack.Deliver(tun.Header{ChecksumValid: true}, syn)
}

// untried returns the best candidate that has not been silent, the best of all if
// every one has.
func untried(candidates []scheduler.Candidate, silent []pvd.Key) scheduler.Candidate {
	for _, c := range candidates {
		if !slices.Contains(silent, c.Domain.Key()) {
			return c
		}
	}
	return candidates[0]
}

// offload fills the place with a flow that the kernel carries.
func (t *flows) offload(e *entry, f flow.Flow, began time.Time, c scheduler.Candidate, d *scheduler.Decision, s *nat.Stream) {
	t.fill(e, f, f.Dst.Addr(), began, c, d, s)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rec.Source, e.rec.Offloaded = s.Source(), true
}

// Learn tells the path memory what a translated flow's SYN has shown; it fits
// nat.StreamConfig.
func Learn(s *scheduler.Scheduler) func(d pvd.Key, dst netip.Addr, rtt time.Duration) {
	return func(d pvd.Key, dst netip.Addr, rtt time.Duration) {
		s.Learn(d, dst, scheduler.Sample{RTT: rtt, Silent: rtt <= 0})
	}
}
