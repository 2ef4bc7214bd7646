package relay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"mifvif/flow"
	"mifvif/pvd"
	"mifvif/scheduler"
	"mifvif/stack"
)

// Multipath is the uplink's side of a TCP flow that may use several domains at a
// time (RFC 8684). Safe for concurrent use.
type Multipath interface {
	stack.Uplink
	// Whole reports whether it is a multipath connection still; the server, or
	// something on the way, may have it fall back to TCP.
	Whole() bool
	// Subflows returns those that are connected, and those whose handshake is under
	// way; an error once there can be no more.
	Subflows() (connected, begun []flow.Ends, err error)
	// Finished reports whether there is nothing left for subflows to carry: the server
	// has finished, and has all that was sent. What it has sent can be read still.
	Finished() bool
	// Join begins a subflow by a domain, as a backup if it is to carry only what the
	// others cannot. ENOTCONN says that it is too early.
	Join(d *pvd.Domain, src netip.Addr, dst netip.AddrPort, backup bool) error
	// Leave ends a subflow, or its handshake; the others carry what it has not
	// delivered.
	Leave(ends flow.Ends) error
}

// errFellBack refuses a flow that must have Multipath TCP.
var errFellBack = errors.New("the server, or something on the way to it, knows plain TCP only")

// noMultipath is why a flow that must have Multipath TCP has not.
type noMultipath struct{ domain, why string }

func (e *noMultipath) Error() string {
	return fmt.Sprintf("a rule requires Multipath TCP, and over %s there is none: %s", e.domain, e.why)
}

// open opens the uplink's side of a flow: of Multipath TCP where the decision wants
// it and nothing is known against it.
func (r *Relay) open(ctx context.Context, on standing, dst netip.AddrPort, f flow.Flow, how scheduler.MPTCP) (stack.Uplink, error) {
	if how == scheduler.MultipathOff || how == scheduler.MultipathAuto && r.fallen(on, dst) {
		return r.cfg.Dialer.DialTCP(ctx, on.Domain, on.Source, dst, f.DSCP<<2) //nolint:wrapcheck // says what and where
	}
	up, err := r.cfg.Dialer.DialMultipath(ctx, on.Domain, on.Source, dst, f.DSCP<<2)
	switch {
	case errors.Is(err, errors.ErrUnsupported) && how == scheduler.MultipathAuto:
		return r.cfg.Dialer.DialTCP(ctx, on.Domain, on.Source, dst, f.DSCP<<2) //nolint:wrapcheck // says what and where
	case errors.Is(err, errors.ErrUnsupported):
		return nil, &noMultipath{on.Domain.Name, err.Error()}
	case err != nil:
		return nil, err //nolint:wrapcheck // says what and where
	case up.Whole():
		return up, nil
	}
	r.cfg.Scheduler.FellBack(on.Domain.Key(), dst)
	if how == scheduler.MultipathRequire {
		abort(up)
		return nil, &noMultipath{on.Domain.Name, errFellBack.Error()}
	}
	return up, nil
}

// fallen reports whether Multipath TCP there is known to become TCP.
func (r *Relay) fallen(on standing, dst netip.AddrPort) bool {
	_, ok := r.cfg.Scheduler.Fallen(on.Domain.Key(), dst)
	return ok
}

// unmet tells of a flow that is refused for want of Multipath TCP.
func (r *Relay) unmet(f flow.Flow, asked netip.AddrPort, err error) {
	if none := new(noMultipath); errors.As(err, &none) {
		r.drops.refused.Add(1)
		r.refused(f, asked, none.Error())
	}
}

// Subflow is one path of a multipath flow.
type Subflow struct {
	Domain *pvd.Domain
	Source netip.AddrPort
	Backup bool // carries only what the others cannot
}

// footing returns what a connected flow stands on, and whether the keeper looks
// after it.
func (r *Relay) footing(e *entry, up stack.Uplink, d *scheduler.Decision, on standing, in *Inlet) (ctx context.Context, kept bool) {
	if d.MPTCP == scheduler.MultipathOff {
		return on.ctx, false
	}
	if m, ok := up.(Multipath); ok && m.Whole() {
		return r.keep(e, m, d, on, in), true
	}
	return on.ctx, false
}

// keep has the keeper look after a flow that is connected by Multipath TCP, and
// returns what it stands on: no domain of its own.
func (r *Relay) keep(e *entry, up Multipath, d *scheduler.Decision, on standing, in *Inlet) context.Context {
	b := &bundle{entry: e, up: up, need: d.MPTCP, holds: d.OnFailure == scheduler.FailHold, failed: make(map[pvd.Key]failure)}
	b.ctx, b.end = context.WithCancelCause(r.ground.lasting(in))
	e.mu.Lock()
	e.bundled = true
	e.rec.Multipath, e.rec.Subflows = true, []Subflow{{on.Domain, e.rec.Source, false}}
	b.flow = e.rec.Flow
	b.flow.Dst = netip.AddrPortFrom(e.to, b.flow.Dst.Port())
	e.mu.Unlock()
	first := leg{on: on.Domain, source: on.Source, to: b.target(on.Candidate), began: time.Now()}
	b.to, b.legs = first.to, []leg{first}
	r.keeper.add(b)
	return b.ctx
}
