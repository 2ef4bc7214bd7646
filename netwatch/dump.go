package netwatch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	// piece is how much of a dump the kernel hands over at once, in bytes: it makes
	// as much of it at a time as the reader takes.
	piece = 16 << 10
	// stretch is how long a dump goes on before it stops for a breath. What packets
	// wait for runs on the same processor, and nothing takes it from a reader that
	// is fed as fast as it reads.
	stretch = 200 * time.Microsecond
	breath  = 200 * time.Microsecond
	// dumpWithin bounds the wait for a kernel that does not answer.
	dumpWithin = 10 * time.Second
)

// dump sends a request to the kernel of the calling thread's namespace and calls
// take with the payload of every message that answers it, valid during the call; its
// error ends the dump.
// However long the answer is, others get the processor meanwhile. ErrDumpInterrupted
// says that what was dumped changed under way: something may be missing.
func dump(request *nl.NetlinkRequest, take func(payload []byte) error) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open a netlink socket: %w", err)
	}
	defer unix.Close(fd)
	patience := unix.NsecToTimeval(int64(dumpWithin))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
		return fmt.Errorf("bound the wait for netlink: %w", err)
	}
	if err := unix.Sendto(fd, request.Serialize(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask the kernel: %w", err)
	}
	d := dumping{sequence: request.Seq, take: take}
	buf := make([]byte, piece)
	for began := time.Now(); !d.done; {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("hear the kernel: %w", err)
		}
		if err := d.hear(buf[:n]); err != nil {
			return err
		}
		if !d.done && time.Since(began) > stretch {
			time.Sleep(breath)
			began = time.Now()
		}
	}
	if d.interrupted {
		return netlink.ErrDumpInterrupted
	}
	return nil
}

// dumping is a dump under way.
type dumping struct {
	sequence          uint32
	take              func([]byte) error
	interrupted, done bool
}

// hear takes one piece of the answer.
func (d *dumping) hear(b []byte) error {
	for len(b) >= unix.NLMSG_HDRLEN {
		length, kind := int(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint16(b[4:])
		flags, sequence := binary.NativeEndian.Uint16(b[6:]), binary.NativeEndian.Uint32(b[8:])
		if length < unix.NLMSG_HDRLEN || length > len(b) {
			return errShort
		}
		payload := b[unix.NLMSG_HDRLEN:length]
		b = b[min(aligned(length), len(b)):]
		if sequence != d.sequence {
			continue
		}
		d.interrupted = d.interrupted || flags&unix.NLM_F_DUMP_INTR != 0
		switch kind {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			d.done = true
			if len(payload) >= 4 {
				if code := int32(binary.NativeEndian.Uint32(payload)); code < 0 {
					return unix.Errno(-code)
				}
			}
			return nil
		default:
			if err := d.take(payload); err != nil {
				return err
			}
		}
	}
	return nil
}
