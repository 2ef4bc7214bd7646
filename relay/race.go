package relay

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/flow"
	"mifvif/scheduler"
	"mifvif/stack"
)

// race tries candidates side by side (RFC 8305 5, across domains instead of
// addresses): the next one starts when the ones before it have not answered for a
// while, or at once when the last of them has failed. The first answer wins and
// ends the others; only handshakes are raced, no byte of the app's.
type race struct {
	relay    *Relay
	req      *stack.Request
	flow     flow.Flow
	inlet    *Inlet
	decision *scheduler.Decision
	timeout  time.Duration   // of each attempt
	ctx      context.Context // ends with the race, and when the app gives up
	stop     context.CancelFunc

	running sync.WaitGroup // attempts under way
	mu      sync.Mutex
	next    int // the first candidate that has not started
	over    bool
	up      stack.Uplink
	on      standing
	last    error // what is told when nobody wins
}

// race returns the winner among the first d.Race candidates; every attempt has
// ended when it returns.
func (r *Relay) race(req *stack.Request, f flow.Flow, in *Inlet, d *scheduler.Decision) (stack.Uplink, standing, error) {
	a := &race{relay: r, req: req, flow: f, inlet: in, decision: d, timeout: attemptTimeout, next: 1}
	if d.Race == len(d.Candidates()) {
		a.timeout = lastTimeout
	}
	a.ctx, a.stop = req.Under(r.ground.root, lastTimeout)
	defer a.stop()
	a.running.Add(1)
	a.run(0)
	a.running.Wait()
	return a.up, a.on, a.last
}

// run tries candidate i, and the ones after it where it fails before anybody
// else has started them. Its place in running is taken already.
func (a *race) run(i int) {
	defer a.running.Done()
	for ; i >= 0; i = a.claim() {
		following := i + 1 // of this attempt, also when its time is over as it fails
		later := time.AfterFunc(a.decision.RaceAfter, func() {
			if next := a.begin(following); next >= 0 {
				a.run(next)
			}
		})
		c := a.decision.Candidates()[i]
		on := standing{c, a.relay.domainContext(c, a.inlet, a.decision.OnFailure)}
		up, err := a.dial(on)
		later.Stop()
		if a.finish(up, on, err) {
			return
		}
	}
}

// dial makes one attempt, which ends with the race at the latest.
func (a *race) dial(on standing) (stack.Uplink, error) {
	ctx, cancel := context.WithTimeout(on.ctx, a.timeout)
	defer cancel()
	defer context.AfterFunc(a.ctx, cancel)()
	return a.relay.attempt(ctx, on, a.flow, a.decision.MPTCP)
}

// claim returns the next candidate for an attempt that has failed, -1 if there is
// none. It goes on in the same place.
func (a *race) claim() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over || a.next >= a.decision.Race {
		return -1
	}
	a.next++
	return a.next - 1
}

// begin returns candidate i for an attempt of its own, with a place in running;
// -1 if it is not its turn, or the race is over.
func (a *race) begin(i int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over || i != a.next || i >= a.decision.Race {
		return -1
	}
	a.next++
	a.running.Add(1)
	return i
}

// finish takes an attempt's end and reports whether the race is over: with the
// first answer, a refusal included, or when the app gave up.
func (a *race) finish(up stack.Uplink, on standing, err error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.over:
		if err == nil {
			abort(up)
		}
	case err == nil:
		a.over, a.up, a.on, a.last = true, up, on, nil
	default:
		if a.last == nil || !silent(err) {
			a.last = err
		}
		a.over = errors.Is(err, unix.ECONNREFUSED) || a.req.Over()
	}
	if a.over {
		a.stop()
	}
	return a.over
}
