package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// halfClosedIdle ends a connection of which one side has finished and the other
// says nothing any more (RFC 5382 REQ-5: at least four minutes).
const halfClosedIdle = 4 * time.Minute

// ErrReset says that one side ended a connection with RST, and so the other
// side was told the same.
var ErrReset = errors.New("connection reset")

// joint is one Conn joined with its uplink: two copies, each in a goroutine,
// and one place that says how it ended.
type joint struct {
	*Conn
	up       *net.TCPConn
	raw      syscall.RawConn
	timer    *time.Timer
	mu       sync.Mutex
	finished int   // directions that ended with FIN
	err      error // first reason to reset, nil while all is well
}

// Join copies both ways until both sides have finished: FIN becomes FIN, RST
// becomes RST, and bytes that were acknowledged to one side and cannot reach
// the other end in RST, never in FIN. When ctx ends both sides are reset. Join
// closes both connections; the error is nil after an orderly end.
func (c *Conn) Join(ctx context.Context, up *net.TCPConn) error {
	raw, err := up.SyscallConn()
	if err != nil {
		c.Reset()
		return fmt.Errorf("reach the uplink's socket: %w", err)
	}
	j := &joint{Conn: c, up: up, raw: raw}
	j.keepalive()
	j.touch()
	j.timer = time.AfterFunc(halfClosedIdle, j.idle)
	stop := context.AfterFunc(ctx, func() { j.reset(context.Cause(ctx)) })

	var down sync.WaitGroup
	down.Go(j.download)
	j.upload()
	down.Wait()

	stop()
	j.timer.Stop()
	c.ep.Close()
	_ = up.Close()
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// keepalive finds a dead peer on the uplink's side.
func (j *joint) keepalive() {
	_ = j.up.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable: true, Idle: keepaliveIdle, Interval: keepaliveInterval, Count: keepaliveCount,
	}) // without it a dead peer is noticed later
}

// touch notes that a byte has passed.
func (c *Conn) touch() { c.last.Store(time.Now().UnixNano()) }

// idle ends a half-closed connection that has been silent for too long; it
// looks again later otherwise.
func (j *joint) idle() {
	silent := time.Since(time.Unix(0, j.last.Load()))
	j.mu.Lock()
	half := j.finished > 0
	j.mu.Unlock()
	if half && silent >= halfClosedIdle {
		j.reset(fmt.Errorf("half-closed and silent for %s", halfClosedIdle))
		return
	}
	j.timer.Reset(halfClosedIdle)
}

// reset ends both sides with RST; the first reason is kept.
func (j *joint) reset(why error) {
	j.mu.Lock()
	first := j.err == nil
	if first {
		j.err = why
	}
	j.mu.Unlock()
	if !first {
		return
	}
	_ = j.up.SetLinger(0)
	_ = j.up.Close()
	j.ep.Abort()
}

// finish notes that one direction ended in order.
func (j *joint) finish() {
	j.mu.Lock()
	j.finished++
	j.mu.Unlock()
	j.touch()
}

// waitFor registers for events of the app's side; the caller unregisters.
func (c *Conn) waitFor(mask waiter.EventMask) (*waiter.Entry, <-chan struct{}) {
	e, ch := waiter.NewChannelEntry(mask | waiter.EventErr | waiter.EventHUp)
	c.wq.EventRegister(&e)
	return &e, ch
}

// wouldBlock reports whether the app's side only asks for patience.
func wouldBlock(err tcpip.Error) bool {
	_, ok := err.(*tcpip.ErrWouldBlock)
	return ok
}
