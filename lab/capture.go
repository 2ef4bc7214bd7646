package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// captureSize is how many records a capture keeps; the oldest go first.
const captureSize = 16384

// A Capture observes one link of a node. Its methods may be called from
// several goroutines while it runs; it ends with its Close or the world's.
type Capture struct {
	file     *os.File
	ethernet bool
	filter   func(Record) bool
	gone     chan struct{}
	closing  sync.Once

	mu      sync.Mutex
	buf     [256]byte
	ring    []Record
	next    int
	matched uint64
	seen    uint64
}

// Capture starts to observe a link. filter says which packets are kept and
// counted; nil keeps all. It must be quick and not call the capture.
func (n *Node) Capture(link string, filter func(Record) bool) (*Capture, error) {
	index, err := n.LinkIndex(link)
	if err != nil {
		return nil, err
	}
	c := &Capture{filter: filter, gone: make(chan struct{})}
	err = n.Do(func() error { return c.open(link, index) })
	if err != nil {
		return nil, fmt.Errorf("capture on %s/%s: %w", n.Name, link, err)
	}
	go c.run()
	n.world.onClose(c.Close)
	return c, nil
}

func (c *Capture) open(link string, index int) error {
	everything := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	c.file = os.NewFile(uintptr(fd), "capture "+link)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20) // a smaller one only loses sight
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: index}); err != nil {
		return errors.Join(err, c.file.Close())
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return errors.Join(err, c.file.Close())
	}
	c.ethernet = sa.(*unix.SockaddrLinklayer).Hatype == unix.ARPHRD_ETHER
	return nil
}

// run ends when the socket is closed.
func (c *Capture) run() {
	defer close(c.gone)
	raw, err := c.file.SyscallConn()
	if err != nil {
		return
	}
	for err == nil {
		err = raw.Read(func(fd uintptr) bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.drain(int(fd)) > 0
		})
	}
}

// catchUp reads what the kernel has noted up to now, so that an answer about
// the past does not depend on run being quick. c.mu is held.
func (c *Capture) catchUp() {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { c.drain(int(fd)) }) // closed: nothing more comes
}

// drain notes all packets that wait and returns how many there were; a link
// that went down is no packet and no end. c.mu is held.
func (c *Capture) drain(fd int) (packets int) {
	for {
		size, from, err := unix.Recvfrom(fd, c.buf[:], unix.MSG_TRUNC)
		switch err {
		case nil:
			c.note(c.buf[:min(size, len(c.buf))], size, from.(*unix.SockaddrLinklayer))
			packets++
		case unix.EAGAIN:
			return packets
		case unix.ENETDOWN, unix.EINTR:
		default:
			return packets
		}
	}
}

// note keeps a packet if the filter wants it. c.mu is held.
func (c *Capture) note(b []byte, size int, from *unix.SockaddrLinklayer) {
	r := Record{Time: time.Now(), Out: from.Pkttype == unix.PACKET_OUTGOING, Size: size}
	r.EtherType = binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, from.Protocol))
	if c.ethernet {
		b = r.fillEthernet(b)
		r.Size = max(size-14, 0)
	}
	r.fill(b)
	c.seen++
	if c.filter != nil && !c.filter(r) {
		return
	}
	c.matched++
	if len(c.ring) < captureSize {
		c.ring = append(c.ring, r)
		return
	}
	c.ring[c.next] = r
	c.next = (c.next + 1) % captureSize
}

// Records returns what is kept, oldest first.
func (c *Capture) Records() []Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.catchUp()
	return slices.Concat(c.ring[c.next:], c.ring[:c.next])
}

// Matched returns how many packets the filter kept so far, also those that the
// ring has forgotten.
func (c *Capture) Matched() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.catchUp()
	return c.matched
}

// Seen returns how many packets went by.
func (c *Capture) Seen() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.catchUp()
	return c.seen
}

// Missed returns how many packets the kernel could not hand over in time since
// the last call. A proof of absence needs 0.
func (c *Capture) Missed() (missed uint32, err error) {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("read capture statistics: %w", err)
	}
	var stats *unix.TpacketStats
	controlErr := raw.Control(func(fd uintptr) {
		stats, err = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	})
	if err := errors.Join(err, controlErr); err != nil {
		return 0, fmt.Errorf("read capture statistics: %w", err)
	}
	return stats.Drops, nil
}

// Close ends the capture; what it kept can still be read.
func (c *Capture) Close() (err error) {
	c.closing.Do(func() {
		err = c.file.Close()
		<-c.gone
	})
	return err
}
