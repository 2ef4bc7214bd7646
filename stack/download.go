package stack

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// readChunk is the most one go takes from the uplink: 45 full segments (mss, at MTU
// 1500), so that gVisor sends super-packets without a runt behind each.
const (
	mss       = 1448
	readChunk = 45 * mss
)

// download copies from the uplink to the app until the uplink has had nothing
// for a while: read(2) fills the segments that gVisor sends.
func (j *joint) download() {
	r := socketReader{joint: j, waits: j.stack.attentive.Add(1) <= attentive}
	defer j.stack.attentive.Add(-1)
	if r.waits {
		r.attend()
	}
	ready := r.ready
	for {
		state := r.take(ready)
		if state == blocked {
			j.shrinkSend()
			rests, err := j.rest()
			if rests {
				return
			}
			if err == nil {
				continue
			}
			state, r.err = broken, err
		}
		switch state {
		case waiting:
			j.awaitWritable()
			continue
		case ended:
			// The app's side is closed for writing already if this fails.
			_ = j.ep.Shutdown(tcpip.ShutdownWrite)
			j.out.uncork()
			j.finish()
		case broken:
			j.reset(fmt.Errorf("%w: %w", ErrReset, r.err))
		}
		j.down.end()
		j.leave()
		return
	}
}

// awaitWritable returns when the app's side takes more, or is over.
func (j *joint) awaitWritable() {
	const events = waiter.WritableEvents | waiter.EventErr | waiter.EventHUp
	e, ch := waiter.NewChannelEntry(events)
	j.wq.EventRegister(&e)
	defer j.wq.EventUnregister(&e)
	if j.ep.Readiness(events)&events == 0 { // it may have changed before it was watched
		<-ch
	}
}

// socketReader is the Payloader that gVisor writes from. It always delivers
// exactly Len bytes: they are in the socket already, and nobody else reads.
type socketReader struct {
	*joint
	fd    int
	left  int
	waits bool // where the uplink has nothing for now
	moved bool // something since attend
	state copyState
	err   error
}

// attend has the reader wait until the uplink has been silent for attention.
func (r *socketReader) attend() {
	r.moved = false
	_ = r.uplink.SetReadDeadline(time.Now().Add(attention)) // fails on a closed socket only
}

// take moves what the uplink has until the app's side blocks, or the uplink has
// been silent for long enough.
func (r *socketReader) take(ready func(fd uintptr) bool) copyState {
	for {
		r.state = blocked
		err := r.raw.Read(ready)
		switch {
		case err == nil || r.state != blocked:
			return r.state
		case !errors.Is(err, os.ErrDeadlineExceeded):
			r.err = fmt.Errorf("uplink closed: %w", err)
			return broken
		case !r.moved:
			_ = r.uplink.SetReadDeadline(time.Time{})
			r.waits = false
			return blocked
		}
		r.attend()
	}
}

// ready is one go; false means "wait for more".
func (r *socketReader) ready(fd uintptr) bool {
	r.fill(fd)
	return r.state != blocked || !r.waits
}

// fill moves what the uplink has until one side blocks. A short piece is sent
// when it is known whether FIN follows.
func (r *socketReader) fill(fd uintptr) {
	r.fd, r.err = int(fd), nil
	for corked := false; ; {
		n, errno := waits(r.fd)
		if corked && (n != 0 || errno != 0) {
			r.out.uncork()
		}
		switch {
		case errno == unix.EAGAIN:
			return
		case errno != 0:
			r.state, r.err = broken, fmt.Errorf("by the uplink: %w", errno)
			return
		case n == 0 && r.wasReset():
			r.state, r.err = broken, fmt.Errorf("by the uplink: %w", unix.ECONNRESET)
			return
		case n == 0:
			r.state = ended
			return
		}
		if corked = n < mss; corked {
			r.out.cork()
		}
		r.left = n
		written, werr := r.ep.Write(r, tcpip.WriteOptions{})
		if written > 0 {
			r.rx.Add(uint64(written))
			r.moved = true
			r.touch()
			r.growSend(uint64(written))
		}
		switch {
		case r.err != nil:
			r.state = broken
		case werr == nil:
			continue
		case wouldBlock(werr):
			r.state = waiting
		default:
			r.state, r.err = broken, fmt.Errorf("write to the app: %s", werr)
		}
		r.out.uncork()
		return
	}
}

// Len implements tcpip.Payloader.
func (r *socketReader) Len() int { return r.left }

// Read is one read(2) of bytes that are there.
func (r *socketReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(r.fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(min(len(p), r.left)))
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			r.err = fmt.Errorf("read from the uplink: %w", errno)
			return 0, r.err
		case n == 0:
			r.err = fmt.Errorf("read from the uplink: %w", io.ErrUnexpectedEOF)
			return 0, r.err
		default:
			r.left -= int(n)
			return int(n), nil
		}
	}
}

// waits returns how many bytes wait in the socket, at most readChunk: 0 is FIN,
// EAGAIN nothing yet. Peeking with MSG_TRUNC counts without copying.
func waits(fd int) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), 0, readChunk, unix.MSG_PEEK|unix.MSG_TRUNC|unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}
