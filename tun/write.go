package tun

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxPieces bounds the slices of one written packet.
const maxPieces = 64

// vector is the memory of one write: header, iovec and the bound callback.
type vector struct {
	header [HeaderLen]byte
	iov    [maxPieces + 1]unix.Iovec
	n      int
	errno  syscall.Errno
	write  func(fd uintptr) bool
}

// Write gives the host one packet in pieces: h, then the IP packet that bufs
// make up together. A packet the kernel does not take is dropped and counted,
// as a network would. A packet for a branch goes there. Safe for concurrent use;
// does not allocate.
func (d *Device) Write(h Header, bufs ...[]byte) error {
	if all := d.branches.Load(); all != nil {
		if to := all.of(bufs); to != nil {
			d = to
		}
	}
	if len(bufs) > maxPieces {
		return fmt.Errorf("write %s: %d pieces, at most %d", d.name, len(bufs), maxPieces)
	}
	v := d.writes.Get().(*vector)
	defer d.writes.Put(v)
	if v.write == nil {
		v.write = v.writev
	}
	h.Put(v.header[:])
	v.iov[0].Base, v.n = &v.header[0], 1
	v.iov[0].SetLen(HeaderLen)
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		v.iov[v.n].Base = &b[0]
		v.iov[v.n].SetLen(len(b))
		v.n++
	}
	err := d.raw.Write(v.write)
	clear(v.iov[:v.n])
	switch {
	case err != nil:
		return fmt.Errorf("write %s: %w", d.name, err)
	case v.errno != 0:
		d.dropped.Add(1)
		return fmt.Errorf("write %s: %w", d.name, v.errno)
	}
	return nil
}

// writev is one attempt; the device takes a packet whole, at once, or refuses.
func (v *vector) writev(fd uintptr) bool {
	for {
		_, _, v.errno = syscall.RawSyscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&v.iov[0])), uintptr(v.n))
		if v.errno != unix.EINTR {
			return true
		}
	}
}

// ptr returns where a non-empty slice begins.
func ptr(p []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(p)) }
