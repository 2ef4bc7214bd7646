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

// drainErrors hands every queued error to failed; it returns whether there was
// any.
func (s *socket) drainErrors(fd int, in *inbox, failed func(pathFailure)) bool {
	any := false
	for {
		a, errno := in.recv(fd, unix.MSG_ERRQUEUE)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return any
		}
		any = true
		f := pathFailure{dst: a.from, payload: in.buf[:a.n]}
		known := false
		in.ancillary(func(level, typ int32, data []byte) {
			if level == unix.IPPROTO_IP && typ == unix.IP_RECVERR || level == unix.IPPROTO_IPV6 && typ == unix.IPV6_RECVERR {
				known = f.read(data, s.is6)
			}
		})
		if known {
			failed(f)
		}
	}
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
	i := packet.Info{
		Src: b.app.app.Addr(), Dst: b.shown(f.dst.Addr()), SrcPort: b.app.app.Port(), DstPort: f.dst.Port(), TTL: 1, DF: true,
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
	t.refuse(f.err, quote)
}
