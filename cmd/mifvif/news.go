package main

import (
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"time"

	"mifvif/flow"
	"mifvif/nat"
	"mifvif/pvd"
)

// Bounds of the events about flows: a flood of flows must not cut off those who
// listen for domains.
const (
	newsRate     = 10 // a second
	newsBurst    = 50
	refusedKept  = 4096        // flows whose refusal has been told
	refusedAgain = time.Minute // after which it may be told again
)

// news turns what happens to flows into events (flow.moved, flow.refused), each
// once for a flow, and counts moves. It implements relay.News; safe for concurrent
// use.
type news struct {
	tell func(kind, domain, detail string)
	now  func() time.Time

	mu      sync.Mutex
	tokens  float64
	filled  time.Time // when tokens were
	left    uint64    // events not told since the last one
	moves   map[string]uint64
	refused map[refusedFlow]struct{}
	cleared time.Time // when refused was
}

type refusedFlow struct {
	proto    flow.Proto
	src, dst netip.AddrPort
}

func newNews(tell func(kind, domain, detail string)) *news {
	none := map[string]uint64{nat.MovedFailure: 0, nat.MovedRecovery: 0, nat.MovedOwner: 0} // counters that are there before they count
	return &news{tell: tell, now: time.Now, tokens: newsBurst, moves: none, refused: make(map[refusedFlow]struct{})}
}

// Moved tells that a flow goes on, or is to go on, in another domain.
func (n *news) Moved(f flow.Flow, from, to *pvd.Domain, why string) {
	n.mu.Lock()
	n.moves[why]++
	left, ok := n.allow()
	n.mu.Unlock()
	if ok {
		n.say(left, "flow.moved", to.Name, fmt.Sprintf("%s: %s -> %s (%s)", f, from.Name, to.Name, why))
	}
}

// Refused tells that a flow is not carried.
func (n *news) Refused(f flow.Flow, reason string) {
	k := refusedFlow{f.Proto, f.Src, f.Dst}
	n.mu.Lock()
	if now := n.now(); len(n.refused) >= refusedKept || now.Sub(n.cleared) >= refusedAgain {
		clear(n.refused)
		n.cleared = now
	}
	if _, told := n.refused[k]; told {
		n.mu.Unlock()
		return
	}
	n.refused[k] = struct{}{}
	left, ok := n.allow()
	n.mu.Unlock()
	if ok {
		n.say(left, "flow.refused", f.Bound, fmt.Sprintf("%s: %s", f, reason))
	}
}

// allow takes a place for one event and returns how many had none before. n.mu is
// held.
func (n *news) allow() (left uint64, ok bool) {
	now := n.now()
	if !n.filled.IsZero() {
		n.tokens = min(newsBurst, n.tokens+now.Sub(n.filled).Seconds()*newsRate)
	}
	n.filled = now
	if n.tokens < 1 {
		n.left++
		return 0, false
	}
	n.tokens--
	left, n.left = n.left, 0
	return left, true
}

func (n *news) say(left uint64, kind, domain, detail string) {
	if left > 0 {
		n.tell("warning", "", fmt.Sprintf("%d events about flows were too many to be told", left))
	}
	n.tell(kind, domain, detail)
}

// moved returns how many flows had to leave their domain, by reason.
func (n *news) moved() map[string]uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.moves)
}
