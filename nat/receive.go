package nat

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sizes of an inbox: one receive takes so many messages, each of any size a
// socket can deliver (UDP_GRO makes one of many).
const (
	maxArrivals = 64
	maxArrival  = 1 << 16
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// inbox is the memory that all sockets are received into, one at a time: it
// belongs to the goroutine that polls them. Pages that nothing is received into
// are never touched.
type inbox struct {
	buf  []byte
	msgs [maxArrivals]mmsghdr
	iov  [maxArrivals]unix.Iovec
	name [maxArrivals]unix.RawSockaddrAny
	oob  [maxArrivals][128]byte

	arrivals [maxArrivals]arrival
	lost     uint32        // what the kernel says that a socket has lost so far, of the last receive
	full     atomic.Uint64 // datagrams lost because a socket's buffer was full
	errors   errbox
	train    train
}

func newInbox() *inbox {
	in := &inbox{buf: make([]byte, maxArrivals*maxArrival)}
	for i := range in.msgs {
		in.iov[i].Base = &in.buf[i*maxArrival]
		in.iov[i].SetLen(maxArrival)
		h := &in.msgs[i].hdr
		h.Name, h.Iov, h.Control = (*byte)(unsafe.Pointer(&in.name[i])), &in.iov[i], &in.oob[i][0]
		h.SetIovlen(1)
	}
	return in
}

// arrival is one message that came: a datagram, or several of one size.
type arrival struct {
	from    netip.AddrPort
	ttl     uint8
	tos     uint8
	segment int // bytes per datagram where several came as one, else 0
	lost    uint32
	data    []byte
}

// Ready implements poll.Handler: it brings back what anybody sends to the
// binding's socket (endpoint-independent filtering, RFC 4787 REQ-8).
func (b *binding) Ready() bool {
	before := b.rxPkts.Load()
	more := b.table.inbox.drain(b.sock, b.arrived, b.failed)
	b.pace(b.rxPkts.Load() - before)
	return more
}

// drain takes what waits in a socket, once, and tells whether there may be more.
func (in *inbox) drain(s *socket, arrived func([]arrival), failed func(pathFailure)) (more bool) {
	fd, ok := s.hold()
	if !ok {
		return false
	}
	in.lost = s.lost
	arrivals, errno := in.receive(fd)
	s.release()
	switch errno {
	case 0:
		in.full.Add(uint64(in.lost - s.lost))
		s.lost = in.lost
		arrived(arrivals)
		return len(arrivals) == maxArrivals // the kernel stops early where nothing is left
	case unix.EINTR:
		return true
	case unix.EAGAIN:
		in.errors.drain(s, failed)
		return false
	case unix.EBADF, unix.ENOTSOCK:
		return false
	}
	in.errors.drain(s, failed) // an error of the path: the queue says which
	return true
}

// receive is one recvmmsg(2). The result is good until the next.
func (in *inbox) receive(fd int) ([]arrival, unix.Errno) {
	for i := range in.msgs {
		h := &in.msgs[i].hdr
		if h.Namelen == unix.SizeofSockaddrAny {
			break // as prepared, and so are all behind it
		}
		h.Namelen = unix.SizeofSockaddrAny
		h.SetControllen(len(in.oob[i]))
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&in.msgs[0])), maxArrivals, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return nil, errno
	}
	for i := range int(n) {
		m := &in.msgs[i]
		a := arrival{from: peer(&in.name[i], m.hdr.Namelen), ttl: 64, data: in.buf[i*maxArrival:][:m.n]}
		ancillary(in.oob[i][:min(int(m.hdr.Controllen), len(in.oob[i]))], a.note)
		if a.lost != 0 {
			in.lost = a.lost
		}
		in.arrivals[i] = a
	}
	return in.arrivals[:n], 0
}

// note reads one control message.
func (a *arrival) note(level, typ int32, data []byte) {
	switch {
	case level == unix.IPPROTO_IP && typ == unix.IP_TOS && len(data) > 0:
		a.tos = data[0]
	case len(data) < 4:
	case level == unix.SOL_SOCKET && typ == unix.SO_RXQ_OVFL: // only of a socket that has lost some
		a.lost = binary.NativeEndian.Uint32(data)
	case level == unix.IPPROTO_IP && typ == unix.IP_TTL, level == unix.IPPROTO_IPV6 && typ == unix.IPV6_HOPLIMIT:
		a.ttl = uint8(binary.NativeEndian.Uint32(data))
	case level == unix.IPPROTO_IPV6 && typ == unix.IPV6_TCLASS:
		a.tos = uint8(binary.NativeEndian.Uint32(data))
	case level == unix.IPPROTO_UDP && typ == unix.UDP_GRO:
		a.segment = int(binary.NativeEndian.Uint32(data))
	}
}

// peer returns who a datagram is from (or, in the error queue, whom it was to).
func peer(name *unix.RawSockaddrAny, length uint32) netip.AddrPort {
	if length == 0 {
		return netip.AddrPort{}
	}
	switch name.Addr.Family {
	case unix.AF_INET:
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), hostPort(&sa.Port))
	case unix.AF_INET6:
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), hostPort(&sa.Port))
	}
	return netip.AddrPort{}
}

func hostPort(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }

// ancillary calls f for every control message.
func ancillary(rest []byte, f func(level, typ int32, data []byte)) {
	for len(rest) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&rest[0]))
		n := int(h.Len)
		if n < unix.CmsgLen(0) || n > len(rest) {
			return
		}
		f(h.Level, h.Type, rest[unix.CmsgLen(0):n])
		next := unix.CmsgSpace(n - unix.CmsgLen(0))
		if next >= len(rest) {
			return
		}
		rest = rest[next:]
	}
}
