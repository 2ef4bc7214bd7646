package nat

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"mifvif/packet"
)

// pathFailure is one ICMP error of the path (or a limit the kernel knows), with
// the packet of ours that it is about.
type pathFailure struct {
	err     packet.Error
	dst     netip.AddrPort
	payload []byte // what the kernel kept of the transport's payload
}

// Origins of an extended socket error (ip(7)).
const (
	originLocal = 1
	originICMP  = 2
	originICMP6 = 3
)

// sizeofExtendedErr is struct sock_extended_err without its offender.
const sizeofExtendedErr = 16

// errbox is the memory that errors are received into. It belongs to one
// goroutine.
type errbox struct {
	buf  [1 << 16]byte
	oob  [256]byte
	name unix.RawSockaddrAny
	iov  unix.Iovec
	hdr  unix.Msghdr
}

// drain hands every queued error of s to failed.
func (e *errbox) drain(s *socket, failed func(pathFailure)) {
	for {
		fd, ok := s.hold()
		if !ok {
			return
		}
		n, errno := e.receive(fd)
		s.release()
		switch errno {
		case 0:
		case unix.EINTR:
			continue
		default:
			return
		}
		f := pathFailure{dst: peer(&e.name, e.hdr.Namelen), payload: e.buf[:n]}
		known := false
		ancillary(e.oob[:min(int(e.hdr.Controllen), len(e.oob))], func(level, typ int32, data []byte) {
			if level == unix.IPPROTO_IP && typ == unix.IP_RECVERR || level == unix.IPPROTO_IPV6 && typ == unix.IPV6_RECVERR {
				known = f.read(data, s.is6)
			}
		})
		if known {
			failed(f)
		}
	}
}

// receive is one recvmsg(2) from the error queue.
func (e *errbox) receive(fd int) (int, unix.Errno) {
	e.iov.Base = &e.buf[0]
	e.iov.SetLen(len(e.buf))
	e.hdr = unix.Msghdr{
		Name: (*byte)(unsafe.Pointer(&e.name)), Namelen: unix.SizeofSockaddrAny, Iov: &e.iov, Control: &e.oob[0],
	}
	e.hdr.SetIovlen(1)
	e.hdr.SetControllen(len(e.oob))
	n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&e.hdr)), unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	return int(n), errno
}

// read decodes a struct sock_extended_err and its offender.
func (f *pathFailure) read(data []byte, is6 bool) bool {
	if len(data) < sizeofExtendedErr {
		return false
	}
	errno := unix.Errno(binary.NativeEndian.Uint32(data))
	origin, typ, code := data[4], data[5], data[6]
	info := binary.NativeEndian.Uint32(data[8:])
	switch origin {
	case originICMP, originICMP6:
		f.err = packet.Error{Type: typ, Code: code, From: offender(data[sizeofExtendedErr:])}
		if errno == unix.EMSGSIZE {
			f.err.Rest = info
		}
		return true
	case originLocal:
		if errno == unix.EMSGSIZE {
			f.err = packet.TooBigError(int(info), is6)
			return true
		}
	}
	return false
}

// offender returns whose error it is, zero if the kernel does not say.
func offender(b []byte) netip.Addr {
	if len(b) < 2 {
		return netip.Addr{}
	}
	switch family := binary.NativeEndian.Uint16(b); {
	case family == unix.AF_INET && len(b) >= unix.SizeofSockaddrInet4:
		return netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&b[0])).Addr)
	case family == unix.AF_INET6 && len(b) >= unix.SizeofSockaddrInet6:
		return netip.AddrFrom16((*unix.RawSockaddrInet6)(unsafe.Pointer(&b[0])).Addr)
	}
	return netip.Addr{}
}

// failed tells the app of an error of the path, about its own packet: the
// addresses and ports in the quotation are the app's (RFC 5508 REQ-4, 5).
func (b *binding) failed(f pathFailure) {
	dst, ok := b.reply(f.dst.Addr())
	if !ok {
		return
	}
	if b.crosses() {
		f.err = crossed(f.err)
	}
	i := packet.Info{
		Src: b.app.app.Addr(), Dst: dst, SrcPort: b.app.app.Port(), DstPort: f.dst.Port(), TTL: 1, DF: true,
	}
	b.table.failed(b, f, append(packet.AppendUDP(nil, i, len(f.payload)), f.payload...))
}

// failed writes the error to mif0. An offender that is our own address on the
// uplink speaks for the destination.
func (t *Table) failed(b *binding, f pathFailure, quote []byte) {
	if b.choice.Domain.Owns(f.err.From) {
		f.err.From = netip.Addr{}
	}
	t.stats.errors.Add(1)
	t.tell(&b.errors, f.err, quote)
}
