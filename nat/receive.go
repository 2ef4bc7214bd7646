package nat

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"mifvif/packet"
	"mifvif/tun"
)

// inbox is the memory of one receiving goroutine while it has something to do;
// an idle binding holds none.
type inbox struct {
	buf  [65536]byte
	oob  [256]byte
	name unix.RawSockaddrAny
	iov  unix.Iovec
	hdr  unix.Msghdr
	head [packet.IPv6HeaderLen + packet.UDPHeaderLen]byte
}

// arrival is what came with a datagram.
type arrival struct {
	from    netip.AddrPort
	ttl     uint8
	tos     uint8
	segment int // bytes per datagram where several came as one, else 0
	n       int
}

// receive brings back what anybody sends to the binding's socket (endpoint-
// independent filtering, RFC 4787 REQ-8) until the socket is closed.
func (b *binding) receive() {
	s := b.sock
	_ = s.raw.Read(func(fd uintptr) bool {
		in := b.table.inboxes.Get().(*inbox)
		defer b.table.inboxes.Put(in)
		return !s.drain(int(fd), in, b.arrived, b.failed)
	})
}

// drain takes datagrams and errors until the socket is empty. It returns false
// when the socket is of no use any more.
func (s *socket) drain(fd int, in *inbox, arrived func(*inbox, arrival), failed func(pathFailure)) bool {
	for {
		a, errno := in.recv(fd, 0)
		switch errno {
		case 0:
			arrived(in, a)
		case unix.EINTR:
		case unix.EAGAIN:
			if !s.drainErrors(fd, in, failed) {
				return true
			}
		case unix.EBADF, unix.ENOTSOCK:
			return false
		default: // an error of the path: the queue says which
			s.drainErrors(fd, in, failed)
		}
	}
}

// recv is one recvmsg(2).
func (in *inbox) recv(fd, flags int) (arrival, unix.Errno) {
	in.iov.Base = &in.buf[0]
	in.iov.SetLen(len(in.buf))
	in.hdr = unix.Msghdr{
		Name: (*byte)(unsafe.Pointer(&in.name)), Namelen: unix.SizeofSockaddrAny,
		Iov: &in.iov, Control: &in.oob[0],
	}
	in.hdr.SetIovlen(1)
	in.hdr.SetControllen(len(in.oob))
	n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&in.hdr)), uintptr(flags|unix.MSG_DONTWAIT))
	if errno != 0 {
		return arrival{}, errno
	}
	a := arrival{from: in.peer(), ttl: 64, n: int(n)}
	in.ancillary(func(level, typ int32, data []byte) {
		switch {
		case level == unix.IPPROTO_IP && typ == unix.IP_TOS && len(data) > 0:
			a.tos = data[0]
		case len(data) < 4:
		case level == unix.IPPROTO_IP && typ == unix.IP_TTL, level == unix.IPPROTO_IPV6 && typ == unix.IPV6_HOPLIMIT:
			a.ttl = uint8(binary.NativeEndian.Uint32(data))
		case level == unix.IPPROTO_IPV6 && typ == unix.IPV6_TCLASS:
			a.tos = uint8(binary.NativeEndian.Uint32(data))
		case level == unix.IPPROTO_UDP && typ == unix.UDP_GRO:
			a.segment = int(binary.NativeEndian.Uint32(data))
		}
	})
	return a, 0
}

// peer returns who a datagram is from (or, in the error queue, whom it was to).
func (in *inbox) peer() netip.AddrPort {
	if in.hdr.Namelen == 0 {
		return netip.AddrPort{}
	}
	switch in.name.Addr.Family {
	case unix.AF_INET:
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&in.name))
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), hostPort(&sa.Port))
	case unix.AF_INET6:
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(&in.name))
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), hostPort(&sa.Port))
	}
	return netip.AddrPort{}
}

func hostPort(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }

// ancillary calls f for every control message of the last recv.
func (in *inbox) ancillary(f func(level, typ int32, data []byte)) {
	rest := in.oob[:min(int(in.hdr.Controllen), len(in.oob))]
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

// arrived hands a datagram to the app as if its peer had sent it straight.
func (b *binding) arrived(in *inbox, a arrival) {
	b.rxPkts.Add(1)
	b.rxBytes.Add(uint64(a.n))
	b.table.deliver(packet.Info{
		Src: b.shown(a.from.Addr()), Dst: b.app.app.Addr(), SrcPort: a.from.Port(), DstPort: b.app.app.Port(),
		TTL: a.ttl, TOS: a.tos,
	}, in.buf[:a.n], a.segment)
}

// deliver writes one datagram, or several of segment bytes as one, to mif0 with
// headers of their own; the kernel completes the checksum.
func (t *Table) deliver(i packet.Info, payload []byte, segment int) {
	in := t.inboxes.Get().(*inbox)
	defer t.inboxes.Put(in)
	head := packet.AppendUDP(in.head[:0], i, len(payload))
	h := tun.Header{
		NeedsChecksum: true, ChecksumStart: uint16(len(head) - packet.UDPHeaderLen), ChecksumOffset: 6,
	}
	if segment > 0 && segment < len(payload) {
		h.GSOType, h.GSOSize, h.HeaderLen = tun.GSOUDPL4, uint16(segment), uint16(len(head))
	}
	if err := t.out.Write(h, head, payload); err != nil {
		t.stats.appFull.Add(1)
	}
}
