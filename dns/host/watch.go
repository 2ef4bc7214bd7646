package host

import (
	"bytes"
	"context"
	"time"
)

// How often the host's resolver is looked at, and how often it is pointed at us
// again when somebody else does not want that.
const (
	lookInterval = 2 * time.Second
	settleTime   = 100 * time.Millisecond
	repairWindow = time.Minute
	repairLimit  = 5
)

// Run keeps the host pointed at us until ctx ends: what others rewrite is
// rewritten, their version being the new original. It tells Config.Changed what
// resolvers the host knows, at once and whenever that changes. It undoes
// nothing: that is Restore's.
func (p *Pointed) Run(ctx context.Context) error {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	known := discover(ctx, p.cfg, p.resolved, p.log)
	p.tell(known)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		p.lookAtFile(ctx)
		p.lookAtResolved(ctx)
		now := discover(ctx, p.cfg, p.resolved, p.log)
		if ctx.Err() == nil && !now.Equal(known) {
			known = now
			p.tell(known)
		}
	}
}

// tell passes the host's knowledge on.
func (p *Pointed) tell(u Upstreams) {
	if p.cfg.Changed != nil {
		p.cfg.Changed(u)
	}
}

// lookAtFile points the file at us again if it no longer is.
func (p *Pointed) lookAtFile(ctx context.Context) {
	if p.file == nil {
		return
	}
	if ok, err := p.file.pointed(); ok || err != nil || !p.settled(ctx) {
		return
	}
	if !p.mayRepair() {
		return
	}
	if err := p.file.point(); err != nil {
		p.log.Warn("the host's resolver file was rewritten and cannot be pointed at mifvif again", "error", err)
		return
	}
	p.log.Info("the host's resolver file was rewritten by somebody else and points at mifvif again", "path", p.cfg.Path)
}

// settled reports whether the file stays the same for a moment: one that is
// still being written must not become the original.
func (p *Pointed) settled(ctx context.Context) bool {
	before, err1 := snapshot(p.cfg.Path)
	select {
	case <-time.After(settleTime):
	case <-ctx.Done():
		return false
	}
	after, err2 := snapshot(p.cfg.Path)
	return err1 == nil && err2 == nil && before.Kind == after.Kind && bytes.Equal(before.Content, after.Content)
}

// lookAtResolved tells systemd-resolved again if it was restarted or somebody
// else changed our interface's servers.
func (p *Pointed) lookAtResolved(ctx context.Context) {
	if !p.viaBus {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, busLimit)
	defer cancel()
	if ok, err := p.resolved.pointed(ctx, p.cfg.Ifindex, p.cfg.Servers); ok || err != nil || !p.mayRepair() {
		return
	}
	if err := p.resolved.point(ctx, p.cfg.Ifindex, p.cfg.Servers); err != nil {
		p.log.Warn("systemd-resolved cannot be pointed at mifvif again", "error", err)
		return
	}
	p.log.Info("systemd-resolved had forgotten mifvif and points at it again")
}

// mayRepair takes one of the repairs of this minute; the first that is denied
// is said.
func (p *Pointed) mayRepair() bool {
	ok, first := p.limit.take(time.Now())
	if first {
		p.log.Warn("another program keeps changing the host's resolver: mifvif waits before it tries again")
	}
	return ok
}

// limiter allows repairLimit repairs in every repairWindow.
type limiter struct {
	since  time.Time
	used   int
	denied bool
}

// take reports whether one more is allowed, and whether this is the first denied.
func (l *limiter) take(now time.Time) (ok, first bool) {
	if now.Sub(l.since) >= repairWindow {
		*l = limiter{since: now}
	}
	if l.used < repairLimit {
		l.used++
		return true, false
	}
	first = !l.denied
	l.denied = true
	return false, first
}
