package tun

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Sizes of a Batch in bytes and packets: room for one super-packet must be left
// before every read, so small packets fill a batch by number, large ones by size.
// A batch is no larger than what a receiver's socket buffer holds: all of it may
// be one flow's, and is sent at once.
const (
	maxPacket  = HeaderLen + 65535 + 1
	batchBytes = 16 * maxPacket
	batchCount = 64
)

// Packet is one IP packet as it came out of the device. Data stays valid until
// the next Read into the same Batch.
type Packet struct {
	Header Header
	Data   []byte
}

// Batch is the memory that Read fills; reuse one for all reads.
type Batch struct {
	buf     []byte
	packets []Packet
	read    func(fd uintptr) bool
	device  *Device
	err     error
}

// NewBatch allocates a Batch (about 1 MiB).
func NewBatch() *Batch {
	return &Batch{buf: make([]byte, batchBytes), packets: make([]Packet, 0, batchCount)}
}

// Full reports whether the last Read ended because the batch was full, not
// because the device was empty.
func (b *Batch) Full() bool { return len(b.packets) == batchCount }

// Read waits until the device has a packet, then takes what there is until
// nothing is left or the batch is full. Packets whose virtio header does not
// fit are dropped and counted. After Close it returns os.ErrClosed, and ErrGone when
// somebody else has removed the device. It does not allocate after the first call.
func (d *Device) Read(b *Batch) ([]Packet, error) {
	if b.device != d {
		b.device, b.read = d, b.drain
	}
	b.packets, b.err = b.packets[:0], nil
	if err := d.raw.Read(b.read); err != nil && d.closing.Load() {
		return nil, fmt.Errorf("read %s: %w", d.name, os.ErrClosed)
	} else if err != nil { // the poller's word for a file whose device is no more
		return nil, fmt.Errorf("%s %w", d.name, ErrGone)
	}
	return b.packets, b.err
}

// drain reads until the device is empty or the batch full; false means "wait
// until there is something".
func (b *Batch) drain(fd uintptr) bool {
	used := 0
	for len(b.packets) < batchCount && len(b.buf)-used >= maxPacket {
		n, errno := readRaw(fd, b.buf[used:used+maxPacket])
		switch errno {
		case 0:
		case unix.EAGAIN:
			return used > 0
		case unix.EINTR:
			continue
		case unix.EBADFD: // the kernel's word for it
			b.err = fmt.Errorf("%s %w", b.device.name, ErrGone)
			return true
		default:
			b.err = fmt.Errorf("read %s: %w", b.device.name, errno)
			return true
		}
		frame := b.buf[used : used+n : used+n]
		used += n
		b.take(frame)
	}
	return true
}

// take adds one frame to the batch if its header holds.
func (b *Batch) take(frame []byte) {
	h, err := ParseHeader(frame)
	if err == nil {
		err = h.Validate(frame[HeaderLen:])
	}
	if err != nil {
		b.device.invalid.Add(1)
		return
	}
	b.packets = append(b.packets, Packet{h, frame[HeaderLen:]})
}

// readRaw is read(2) without telling the Go scheduler: the descriptor does not
// block, and the round trip costs more than the read.
func readRaw(fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(unix.SYS_READ, fd, uintptr(ptr(p)), uintptr(len(p)))
	return int(n), errno
}
