package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"

	"mifvif/poll"
)

// halfClosedIdle ends a connection of which one side has finished and the other
// says nothing any more (RFC 5382 REQ-5: at least four minutes).
const halfClosedIdle = 4 * time.Minute

// ErrReset says that one side ended a connection with RST, and so the other
// side was told the same.
var ErrReset = errors.New("connection reset")

// The events of the app's side that wake an upload.
const readable = waiter.ReadableEvents | waiter.EventErr | waiter.EventHUp

// Uplink is the network's side of a connection: a non-blocking stream socket in
// the runtime's poller. *uplinks.TCP is one, *net.TCPConn another.
type Uplink interface {
	syscall.Conn
	CloseWrite() error // FIN
	SetLinger(seconds int) error
	SetReadDeadline(t time.Time) error // a raw read then ends with os.ErrDeadlineExceeded
	SetKeepAliveConfig(k net.KeepAliveConfig) error
	LocalAddr() net.Addr
	Close() error
}

// joint is one Conn joined with its uplink: two copies and one place that says
// how it ended. An upload has a goroutine only while there is something to carry
// (NotifyEvent wakes it), a download until it has had nothing for a while (Ready
// does).
type joint struct {
	*Conn
	uplink   Uplink
	raw      syscall.RawConn
	done     func(error)
	unwatch  func() bool  // of the context
	watched  poll.Token   // while the download rests, the zero Token before it has
	readable waiter.Entry // tells when the app has something
	up, down task

	// Of the download and of the upload: how large their buffers are.
	sendGrown                  bool
	receiveGrown               atomic.Bool
	shownReading, shownWriting uint64
	stretched                  uint64    // bytes since stretchBegan, of the upload
	stretchBegan               time.Time // zero at first: the first stretch is never fast

	writing sync.Mutex // while the upload is in write(2)
	refused bool       // the uplink takes nothing any more; under writing

	mu       sync.Mutex
	holders  int         // directions that are not over, and Join
	finished int         // directions that ended with FIN
	timer    *time.Timer // once one direction has finished
	err      error       // first reason to reset, nil while all is well
}

// Join copies both ways until both sides have finished: FIN becomes FIN, RST
// becomes RST, and bytes that were acknowledged to one side and cannot reach
// the other end in RST, never in FIN. When ctx ends both sides are reset. Join
// returns early; at the end both connections are closed and done is called once,
// from any goroutine, with nil after an orderly end.
func (c *Conn) Join(ctx context.Context, up Uplink, done func(error)) {
	raw, err := up.SyscallConn()
	if err != nil {
		_ = up.Close()
		c.Reset()
		done(fmt.Errorf("reach the uplink's socket: %w", err))
		return
	}
	j := &joint{Conn: c, uplink: up, raw: raw, done: done, holders: 3}
	c.stack.running.Add(1)
	j.touch()
	j.unwatch = context.AfterFunc(ctx, func() { j.reset(context.Cause(ctx)) })
	j.readable.Init(j, readable)
	j.wq.EventRegister(&j.readable)
	j.Ready()
	if j.ep.Readiness(readable) != 0 { // bytes have come before
		j.NotifyEvent(0)
	}
	j.leave()
}

// leave notes that a direction is over; the last one to leave clears up.
func (j *joint) leave() {
	j.mu.Lock()
	j.holders--
	last, err, timer := j.holders == 0, j.err, j.timer
	j.mu.Unlock()
	if !last {
		return
	}
	j.unwatch()
	if j.sendGrown {
		j.stack.sending.give(j)
	}
	if j.receiveGrown.Load() {
		j.stack.receiving.give(j)
	}
	if timer != nil {
		timer.Stop()
	}
	j.ep.Close()
	j.stack.poller.Remove(j.watched)
	_ = j.uplink.Close()
	j.done(err)
	j.stack.running.Done()
}

// touch notes that a byte has passed, in time that does not jump when somebody sets
// the clock.
func (c *Conn) touch() { c.last.Store(int64(time.Since(c.stack.made))) }

// silent returns how long no byte has passed.
func (c *Conn) silent(now time.Time) time.Duration {
	return now.Sub(c.stack.made) - time.Duration(c.last.Load())
}

// idle ends a half-closed connection that has been silent for too long; it
// looks again later otherwise.
func (j *joint) idle() {
	silent := j.silent(time.Now())
	if silent >= halfClosedIdle {
		j.reset(fmt.Errorf("half-closed and silent for %s", halfClosedIdle))
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.holders > 0 {
		j.timer.Reset(halfClosedIdle - silent)
	}
}

// reset ends both sides with RST; the first reason is kept.
func (j *joint) reset(why error) {
	j.mu.Lock()
	first := j.err == nil && j.holders > 0
	if first {
		j.err = why
	}
	j.mu.Unlock()
	if !first {
		return
	}
	_ = j.uplink.SetLinger(0)
	_ = j.uplink.Close()
	j.ep.Abort()
	j.NotifyEvent(0) // neither side says anything when it was closed by us
	j.Ready()
}

// finish notes that one direction ended in order.
func (j *joint) finish() {
	j.touch()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.finished++; j.finished == 1 {
		j.timer = time.AfterFunc(halfClosedIdle, j.idle)
	}
}

// wasReset reports whether what the download takes for a FIN is none: the kernel tells
// of a RST once, to the write(2) that comes first, and reads find an end after that.
func (j *joint) wasReset() bool {
	j.writing.Lock()
	defer j.writing.Unlock()
	return j.refused
}

// finishing reports whether the other direction is over, in order.
func (j *joint) finishing() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.holders == 1 && j.finished == 1 && j.err == nil
}

// wouldBlock reports whether the app's side only asks for patience.
func wouldBlock(err tcpip.Error) bool {
	_, ok := err.(*tcpip.ErrWouldBlock)
	return ok
}
