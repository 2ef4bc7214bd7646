package stack

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// errSocketFull stops gVisor's read where the uplink's socket takes no more.
var errSocketFull = errors.New("socket buffer is full")

// NotifyEvent implements waiter.EventListener: the app's side has something. It
// is called under locks of the endpoint, so it only starts a goroutine.
func (j *joint) NotifyEvent(waiter.EventMask) {
	if j.up.wake() {
		j.stack.workers.run(j.upload)
	}
}

// upload copies from the app to the uplink until the app's side has nothing
// more for now: gVisor hands each received segment straight to write(2), without
// a buffer of ours in between.
func (j *joint) upload() {
	w := socketWriter{joint: j}
	ready := w.drain
	for {
		w.state = blocked
		if err := j.raw.Write(ready); err != nil && w.state == blocked {
			w.state, w.err = broken, fmt.Errorf("uplink closed: %w", err)
		}
		switch w.state {
		case waiting:
			if j.up.rest() {
				return
			}
			continue
		case ended:
			if j.finishing() {
				j.finish() // what comes now is Close, which sends FIN
			} else if err := j.uplink.CloseWrite(); err != nil {
				j.reset(fmt.Errorf("%w: pass FIN to the uplink: %w", ErrReset, err))
			} else {
				j.finish()
			}
		case broken:
			j.reset(fmt.Errorf("%w: %w", ErrReset, w.err))
		}
		j.up.end()
		j.wq.EventUnregister(&j.readable)
		j.leave()
		return
	}
}

// copyState is where a copy stands after one go.
type copyState uint8

const (
	blocked copyState = iota // the uplink's socket is not ready
	waiting                  // the app's side is not ready
	ended                    // FIN
	broken                   // RST, or bytes that cannot be delivered
)

// socketWriter is the io.Writer that gVisor reads into.
type socketWriter struct {
	*joint
	fd    int
	state copyState
	err   error
}

// drain moves what the app has sent until one side blocks; it returns false
// when the socket has to become writable first.
func (w *socketWriter) drain(fd uintptr) bool {
	w.fd, w.err = int(fd), nil
	for {
		res, err := w.ep.Read(w, tcpip.ReadOptions{})
		if res.Count > 0 {
			w.tx.Add(uint64(res.Count))
			w.touch()
			w.growReceive(uint64(res.Count))
		}
		switch {
		case errors.Is(w.err, errSocketFull):
			return false
		case w.err != nil:
			w.state = broken
			return true
		case err == nil:
		case wouldBlock(err):
			w.state = waiting
			return true
		default:
			w.close(err)
			return true
		}
	}
}

// close tells an orderly end from a reset.
func (w *socketWriter) close(err tcpip.Error) {
	if _, fin := err.(*tcpip.ErrClosedForReceive); fin {
		w.state = ended
		return
	}
	w.state, w.err = broken, fmt.Errorf("by the app: %s", err)
}

// Write is one write(2); a short write carries an error, as gVisor asks.
func (w *socketWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	w.writing.Lock()
	defer w.writing.Unlock()
	done := 0
	for done < len(p) {
		n, _, errno := syscall.RawSyscall(unix.SYS_WRITE, uintptr(w.fd), uintptr(unsafe.Pointer(unsafe.SliceData(p[done:]))), uintptr(len(p)-done))
		switch errno {
		case 0:
			done += int(n)
		case unix.EINTR:
		case unix.EAGAIN:
			w.err = errSocketFull
			return done, w.err
		default:
			w.err, w.refused = fmt.Errorf("write to the uplink: %w", errno), true
			return done, w.err
		}
	}
	return done, nil
}
