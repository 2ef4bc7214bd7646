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
	// piece is how much of an answer the kernel hands over at once, in bytes: it
	// makes as much of a dump at a time as the reader takes.
	piece = 16 << 10
	// stretch is how long we go on before we stop for a breath. What packets wait
	// for runs on the same processor, and nothing takes it from a reader that is fed
	// as fast as it reads.
	stretch = 200 * time.Microsecond
	breath  = 200 * time.Microsecond
	// answerWithin bounds the wait for a kernel that does not answer.
	answerWithin = 10 * time.Second
)

// talk is a conversation with the kernel of the namespace that the calling thread
// was in when it began. However long it is, others get the processor meanwhile. One
// goroutine uses it; the zero value has to be opened.
type talk struct {
	fd    int
	open  bool
	buf   []byte
	began time.Time // this stretch of it
}

func (t *talk) begin() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open a netlink socket: %w", err)
	}
	patience := unix.NsecToTimeval(int64(answerWithin))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
		unix.Close(fd)
		return fmt.Errorf("bound the wait for netlink: %w", err)
	}
	*t = talk{fd: fd, open: true, buf: make([]byte, piece), began: time.Now()}
	return nil
}

func (t *talk) end() {
	if t.open {
		unix.Close(t.fd)
		t.open = false
	}
}

// ask sends a request, beginning the talk if need be, and calls take with the
// payload of every message that answers it, valid during the call; its error ends the
// answer. What the kernel refuses is a unix.Errno. ErrDumpInterrupted says that what
// was dumped changed under way: something may be missing.
func (t *talk) ask(request *nl.NetlinkRequest, take func(payload []byte) error) error {
	if !t.open {
		if err := t.begin(); err != nil {
			return err
		}
	}
	if err := unix.Sendto(t.fd, request.Serialize(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask the kernel: %w", err)
	}
	for a := (answer{sequence: request.Seq, take: take}); ; t.breathe() {
		n, _, err := unix.Recvfrom(t.fd, t.buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("hear the kernel: %w", err)
		}
		if err := a.hear(t.buf[:n]); err != nil {
			return err
		}
		if a.done {
			t.breathe()
			return a.err()
		}
	}
}

// tell has the kernel change something.
func (t *talk) tell(request *nl.NetlinkRequest) error { return t.ask(request, nil) }

// breathe lets others have the processor if they have not had it for a while.
func (t *talk) breathe() {
	if time.Since(t.began) > stretch {
		time.Sleep(breath)
		t.began = time.Now()
	}
}

// dump asks for all objects of a kind; see talk.ask.
func dump(request *nl.NetlinkRequest, take func(payload []byte) error) error {
	var t talk
	defer t.end()
	return t.ask(request, take)
}

// answer is what the kernel says to one request.
type answer struct {
	sequence          uint32
	take              func([]byte) error // nil: nothing is expected but that it is done
	interrupted, done bool
}

func (a *answer) err() error {
	if a.interrupted {
		return netlink.ErrDumpInterrupted
	}
	return nil
}

// hear takes one piece of the answer.
func (a *answer) hear(b []byte) error {
	for len(b) >= unix.NLMSG_HDRLEN {
		length, kind := int(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint16(b[4:])
		flags, sequence := binary.NativeEndian.Uint16(b[6:]), binary.NativeEndian.Uint32(b[8:])
		if length < unix.NLMSG_HDRLEN || length > len(b) {
			return errShort
		}
		payload := b[unix.NLMSG_HDRLEN:length]
		b = b[min(aligned(length), len(b)):]
		if sequence != a.sequence {
			continue
		}
		a.interrupted = a.interrupted || flags&unix.NLM_F_DUMP_INTR != 0
		switch kind {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			a.done = true
			if len(payload) >= 4 {
				if code := int32(binary.NativeEndian.Uint32(payload)); code < 0 {
					return unix.Errno(-code)
				}
			}
			return nil
		default:
			if a.take == nil {
				continue
			}
			if err := a.take(payload); err != nil {
				return err
			}
		}
	}
	return nil
}
