package stack

import (
	"fmt"
	"io"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// readChunk is the most one go takes from the uplink: 45 full segments at MTU
// 1500, so that gVisor sends super-packets without a runt behind each.
const readChunk = 45 * 1448

// download copies from the uplink to the app: read(2) fills the segments that
// gVisor sends.
func (j *joint) download() {
	entry, writable := j.waitFor(waiter.WritableEvents)
	defer j.wq.EventUnregister(entry)
	r := &socketReader{joint: j}
	ready := r.fill
	for {
		r.state = blocked
		if err := j.raw.Read(ready); err != nil && r.state == blocked {
			j.reset(fmt.Errorf("%w: uplink closed: %w", ErrReset, err))
			return
		}
		switch r.state {
		case waiting:
			<-writable
		case ended:
			// The app's side is closed for writing already if this fails.
			_ = j.ep.Shutdown(tcpip.ShutdownWrite)
			j.finish()
			return
		case broken:
			j.reset(fmt.Errorf("%w: %w", ErrReset, r.err))
			return
		}
	}
}

// socketReader is the Payloader that gVisor writes from. It always delivers
// exactly Len bytes: they are in the socket already, and nobody else reads.
type socketReader struct {
	*joint
	fd    int
	left  int
	state copyState
	err   error
}

// fill moves what the uplink has until one side blocks; it returns false when
// the socket has to become readable first.
func (r *socketReader) fill(fd uintptr) bool {
	r.fd, r.err = int(fd), nil
	for {
		n, err := available(r.fd)
		if err != nil {
			r.state, r.err = broken, fmt.Errorf("by the uplink: %w", err)
			return true
		}
		if n == 0 {
			return r.empty()
		}
		r.left = min(n, readChunk)
		written, werr := r.ep.Write(r, tcpip.WriteOptions{})
		if written > 0 {
			r.rx.Add(uint64(written))
			r.touch()
		}
		switch {
		case r.err != nil:
			r.state = broken
			return true
		case werr == nil:
		case wouldBlock(werr):
			r.state = waiting
			return true
		default:
			r.state, r.err = broken, fmt.Errorf("write to the app: %s", werr)
			return true
		}
	}
}

// empty tells "nothing yet" from FIN and RST.
func (r *socketReader) empty() bool {
	var b [1]byte
	n, _, err := unix.Recvfrom(r.fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return false
	case err != nil:
		r.state, r.err = broken, fmt.Errorf("by the uplink: %w", err)
	case n == 0:
		r.state = ended
	default:
		return r.fill(uintptr(r.fd)) // bytes came in between
	}
	return true
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

// available returns how many bytes wait in the socket.
func available(fd int) (int, error) {
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	if err != nil {
		return 0, fmt.Errorf("ask how much waits: %w", err)
	}
	return n, nil
}
