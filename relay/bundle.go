package relay

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/flow"
	"mifvif/pvd"
	"mifvif/scheduler"
)

// Bounds of what is tried for a multipath flow.
const (
	maxLegs     = scheduler.MaxCandidates
	maxFailed   = 64               // domain instances: more are forgotten, and tried again at once
	joinWithin  = 30 * time.Second // a subflow that is not connected by then has failed
	retryAfter  = time.Second      // one that failed is tried again, each time twice as late
	retryAtMost = 5 * time.Minute
)

// bundle is a multipath flow with its subflows. The keeper's goroutine uses it.
type bundle struct {
	entry *entry
	up    Multipath
	flow  flow.Flow      // as it is decided about
	to    netip.AddrPort // of the first subflow
	need  scheduler.MPTCP
	holds bool // it outlives its last domain, as its rule says
	ctx   context.Context
	end   context.CancelCauseFunc

	legs   []leg
	failed map[pvd.Key]failure // at most maxFailed
	plain  bool                // it fell back to TCP: the first leg is all there is
	alone  time.Time           // since when it has no subflow, zero while it has
	due    time.Time           // when it is looked at again
	pause  time.Duration
}

// leg is one subflow that is wanted.
type leg struct {
	on     *pvd.Domain
	source netip.Addr
	to     netip.AddrPort
	backup bool
	began  time.Time
	ends   []flow.Ends // what there is of it, none before it is connected
	begun  []flow.Ends // its handshake
}

func (l *leg) connected() bool { return len(l.ends) > 0 }

// place returns where the leg's domain stands among candidates, -1 if it is none.
func (l *leg) place(all []scheduler.Candidate) int {
	return slices.IndexFunc(all, func(c scheduler.Candidate) bool { return c.Domain.Key() == l.on.Key() && c.Source == l.source })
}

// failure is when a subflow may be tried again.
type failure struct {
	until time.Time
	after time.Duration
}

// fail notes that a domain did not get a subflow, or lost it.
func (b *bundle) fail(d *pvd.Domain, now time.Time) {
	f, known := b.failed[d.Key()]
	if !known && len(b.failed) >= maxFailed {
		clear(b.failed)
	}
	f.after = min(max(2*f.after, retryAfter), retryAtMost)
	f.until = now.Add(f.after)
	b.failed[d.Key()] = f
}

// target returns where the flow goes inside a candidate.
func (b *bundle) target(c scheduler.Candidate) netip.AddrPort {
	if c.To.IsValid() {
		return netip.AddrPortFrom(c.To, b.flow.Dst.Port())
	}
	return b.flow.Dst
}

// see compares the legs with what the kernel has of them. What is no leg any more,
// because it was given up before it was connected, is ended.
func (b *bundle) see(connected, begun []flow.Ends, now time.Time) {
	b.legs = slices.DeleteFunc(b.legs, func(l leg) bool { return !b.stands(&l, connected, now) })
	known := 0
	for i := range b.legs {
		l := &b.legs[i]
		l.ends, l.begun = endsOf(l, connected), endsOf(l, begun)
		known += len(l.ends) + len(l.begun)
	}
	if known == len(connected)+len(begun) {
		return
	}
	for _, e := range slices.Concat(connected, begun) {
		if !slices.ContainsFunc(b.legs, func(l leg) bool { return slices.Contains(l.ends, e) || slices.Contains(l.begun, e) }) {
			b.leave(e)
		}
	}
}

// leave ends a subflow. If that fails it is gone already, or the connection is.
func (b *bundle) leave(e flow.Ends) { _ = b.up.Leave(e) }

// stands reports whether a leg is connected, or may come to be.
func (b *bundle) stands(l *leg, connected []flow.Ends, now time.Time) bool {
	switch {
	case len(endsOf(l, connected)) > 0:
		if !l.connected() {
			delete(b.failed, l.on.Key())
		}
		return true
	case l.connected() || now.Sub(l.began) >= joinWithin:
		b.fail(l.on, now)
		return false
	}
	return true
}

func endsOf(l *leg, all []flow.Ends) []flow.Ends {
	var out []flow.Ends
	for _, e := range all {
		if e.Local.Addr() == l.source && e.Remote == l.to {
			out = append(out, e)
		}
	}
	return out
}

// join begins the subflows that the decision allows and that are not there.
func (b *bundle) join(d *scheduler.Decision, alive aliveFunc, now time.Time) {
	for i, c := range d.Candidates() {
		l := leg{on: c.Domain, source: c.Source, to: b.target(c), backup: i >= d.Alike, began: now}
		if len(b.legs) >= maxLegs || b.has(&l) || l.to.Addr().Is6() != b.to.Addr().Is6() || now.Before(b.failed[l.on.Key()].until) || !alive(l.on.Key(), l.source) {
			continue
		}
		switch err := b.up.Join(l.on, l.source, l.to, l.backup); {
		case err == nil:
			b.legs = append(b.legs, l)
		case errors.Is(err, unix.ENOTCONN): // the server has acknowledged nothing yet
			return
		default:
			b.fail(l.on, now)
		}
	}
}

// has reports whether there is such a leg, connected or on the way.
func (b *bundle) has(l *leg) bool {
	return slices.ContainsFunc(b.legs, func(o leg) bool { return o.on.Key() == l.on.Key() && o.source == l.source })
}

// part ends the subflows that are not to be: those without ground, those on domains
// that are no candidates any more, under way or connected, and those that carry and should stand by, or the
// other way round, to come back as what they should be. As long as it has ground the
// last one that carries is left alone.
func (b *bundle) part(d *scheduler.Decision, alive aliveFunc) {
	good, best := 0, false // connected candidates, and whether one carries as it should
	for i := range b.legs {
		l := &b.legs[i]
		if at := l.place(d.Candidates()); l.connected() && at >= 0 && alive(l.on.Key(), l.source) {
			good++
			best = best || !l.backup && at < d.Alike
		}
	}
	replaced := false
	b.legs = slices.DeleteFunc(b.legs, func(l leg) bool {
		switch at := l.place(d.Candidates()); {
		case !alive(l.on.Key(), l.source), !l.connected() && at < 0:
		case !l.connected(), at >= 0 && l.backup == (at >= d.Alike): // as it should be, or soon
			return false
		case at < 0 && good == 0, at >= 0 && l.backup && (good < 2 || replaced), at >= 0 && !l.backup && !best:
			return false
		default:
			replaced = replaced || at >= 0
		}
		for _, e := range slices.Concat(l.ends, l.begun) {
			b.leave(e)
		}
		return true
	})
}

// aliveFunc reports whether a source address stands in a living domain instance.
type aliveFunc func(domain pvd.Key, source netip.Addr) bool

// main returns the leg that the flow is said to be on: the one it was on, while that
// carries, else the first that does, else the first there is; nil for none.
func (b *bundle) main(on *pvd.Domain) *leg {
	var main *leg
	worth := func(l *leg) int {
		switch {
		case l == nil:
			return 0
		case !l.connected():
			return 1
		case l.backup:
			return 2
		case l.on.Key() != on.Key():
			return 3
		}
		return 4
	}
	for i := range b.legs {
		if l := &b.legs[i]; worth(l) > worth(main) {
			main = l
		}
	}
	return main
}

// subflows restates the connected legs.
func (b *bundle) subflows() []Subflow {
	var out []Subflow
	for _, l := range b.legs {
		for _, e := range l.ends {
			out = append(out, Subflow{l.on, e.Local, l.backup})
		}
	}
	return out
}
