package nat

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"mifvif/flow"
	"mifvif/packet"
	"mifvif/tun"
)

// Limits of one coalesced send (UDP_SEGMENT).
const (
	maxSegments = 64
	maxSend     = 65000
)

// message is what one sendmsg(2) takes: datagrams of one binding to one
// destination that look alike.
type message struct {
	b       *binding
	dst     netip.AddrPort
	tos     uint8
	ttl     uint8
	df      bool
	closed  bool // nothing fits behind it
	segment int  // bytes per datagram
	total   int
	iov     [maxSegments]unix.Iovec
	n       int
	first   []byte // the app's first packet, for an error about it
}

// sender gathers a read batch and sends it. One goroutine uses it.
type sender struct {
	table *Table
	msgs  []message
	n     int
	errno unix.Errno
	fails errbox
	name4 unix.RawSockaddrInet4
	name6 unix.RawSockaddrInet6
	oob   [96]byte
}

const maxMessages = 64

func (s *sender) init(t *Table) {
	s.table, s.msgs = t, make([]message, maxMessages)
}

// queue adds a packet to what leaves at the end of the batch; a super-packet of
// more than one send takes is cut between its datagrams.
func (s *sender) queue(b *binding, h tun.Header, info *packet.Info, data []byte) {
	payload, segment := body(b, h, info, data)
	most := max(1, min(maxSegments, maxSend/segment)) * segment
	for len(payload) > most {
		s.put(b, info, data, payload[:most], segment)
		payload = payload[most:]
	}
	s.put(b, info, data, payload, segment)
}

// put adds a payload to the message it fits behind, or begins another.
func (s *sender) put(b *binding, info *packet.Info, data, payload []byte, segment int) {
	dst := netip.AddrPortFrom(b.real(info.Dst), info.DstPort)
	if s.n > 0 {
		if m := &s.msgs[s.n-1]; m.takes(b, dst, info, len(payload), segment) {
			m.add(payload)
			return
		}
	}
	if s.n == len(s.msgs) {
		s.flush()
	}
	m := &s.msgs[s.n]
	s.n++
	m.b, m.dst, m.tos, m.ttl, m.df = b, dst, info.TOS, info.TTL, info.DF
	m.segment, m.total, m.n, m.first = segment, 0, 0, data
	m.closed = segment < len(payload) || b.app.proto != flow.UDP
	m.add(payload)
}

// body returns what goes into the socket: a UDP payload with the size of the
// datagrams it is made of, or an ICMP message with the binding's identifier.
func body(b *binding, h tun.Header, info *packet.Info, data []byte) (payload []byte, segment int) {
	if b.app.proto == flow.UDP {
		payload = info.Payload(data)
		if h.GSOType == tun.GSOUDPL4 && int(h.GSOSize) < len(payload) {
			return payload, int(h.GSOSize)
		}
		return payload, max(len(payload), 1)
	}
	const identifier, checksum = 4, 2
	packet.Rewrite(data, info.L4, identifier, checksum, b.ident)
	return data[info.L4:info.End], max(info.End-info.L4, 1)
}

// takes reports whether a datagram of that size can be another segment of m.
func (m *message) takes(b *binding, dst netip.AddrPort, info *packet.Info, size, segment int) bool {
	return !m.closed && m.b == b && m.dst == dst && m.n < maxSegments && size > 0 && segment == size &&
		size <= m.segment && m.total+size <= maxSend &&
		m.tos == info.TOS && m.ttl == info.TTL && m.df == info.DF
}

// add appends a payload; a shorter one is the last.
func (m *message) add(p []byte) {
	if len(p) > 0 {
		m.iov[m.n].Base = &p[0]
		m.iov[m.n].SetLen(len(p))
		m.n++
	}
	m.total += len(p)
	if len(p) < m.segment {
		m.closed = true
	}
	m.b.txPkts.Add(uint64((len(p) + m.segment - 1) / m.segment))
	m.b.txBytes.Add(uint64(len(p)))
}

// Flush sends what Forward has queued. It must be called before the memory of
// the packets is used again.
func (t *Table) Flush() { t.sender.flush() }

func (s *sender) flush() {
	for i := range s.n {
		s.send(&s.msgs[i])
		clear(s.msgs[i].iov[:s.msgs[i].n])
		s.msgs[i].b, s.msgs[i].first = nil, nil
	}
	s.n = 0
}

// send hands one message to the kernel. Errors of the path that wait in the
// socket are reported by the next send; they are not this packet's, so the apps
// are told of them and it is tried again.
func (s *sender) send(m *message) {
	if last := m.b.lastDst.Load(); *last != m.dst {
		dst := m.dst
		m.b.lastDst.Store(&dst)
		m.b.short.sent = 0
	}
	for try := range 3 {
		if !s.sendmsg(m) {
			return // closed meanwhile: the next packet is decided anew
		}
		if !pathError(s.errno) {
			break
		}
		s.fails.drain(m.b.sock, m.b.told())
		if s.errno == unix.EMSGSIZE && try > 0 {
			break
		}
	}
	s.judge(m)
	if s.errno == 0 {
		s.table.sent(m)
	}
}

// told returns who hears of errors that wait in the binding's socket.
func (b *binding) told() func(pathFailure) {
	if b.hub != nil {
		return b.hub.failed
	}
	return b.failed
}

// pathError reports whether an errno can be an earlier packet's.
func pathError(e unix.Errno) bool {
	switch e {
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EPROTO, unix.EACCES, unix.ENOPROTOOPT, unix.EMSGSIZE:
		return true
	}
	return false
}

// judge tells the app what the kernel said about its packet.
func (s *sender) judge(m *message) {
	t := s.table
	switch s.errno {
	case 0, unix.ECONNREFUSED: // a refusal is an earlier packet's, and the app is told of it
	case unix.EAGAIN, unix.ENOBUFS:
		t.stats.queueFull.Add(1)
	case unix.EMSGSIZE:
		// The error queue has the limit; a single one of a burst falls back.
		s.apart(m)
	case unix.EINVAL, unix.EIO:
		s.apart(m)
	case unix.ENETUNREACH, unix.ENETDOWN, unix.ENODEV, unix.EADDRNOTAVAIL:
		t.stats.unreachable.Add(1)
		t.Refuse(m.first, packet.NetUnreachable)
	case unix.EACCES, unix.EPERM:
		t.stats.unreachable.Add(1)
		t.Refuse(m.first, packet.AdminProhibited)
	default:
		t.stats.unreachable.Add(1)
		t.Refuse(m.first, packet.HostUnreachable)
	}
}

// apart sends the datagrams of a burst one by one, where the kernel takes no
// burst: the path's limit is below their size, or the device cannot.
func (s *sender) apart(m *message) {
	if m.total <= m.segment {
		s.table.stats.tooBig.Add(1)
		return
	}
	pieces, n := m.iov, m.n
	for i := range n {
		base, length := pieces[i].Base, int(pieces[i].Len)
		for off := 0; off < length; off += m.segment {
			m.n, m.total = 1, min(m.segment, length-off)
			m.iov[0].Base = (*byte)(unsafe.Add(unsafe.Pointer(base), off))
			m.iov[0].SetLen(m.total)
			if !s.sendmsg(m) {
				return
			}
			if s.errno == unix.EMSGSIZE {
				s.table.stats.tooBig.Add(1)
				s.fails.drain(m.b.sock, m.b.told())
			}
		}
	}
}

// sendmsg is one system call for m, with its outcome in s.errno; false means
// that the socket is closed.
func (s *sender) sendmsg(m *message) bool {
	fd, ok := m.b.sock.hold()
	if !ok {
		return false
	}
	defer m.b.sock.release()
	m.b.sock.fragmentation(fd, m.df)
	hdr := unix.Msghdr{Iov: &m.iov[0], Control: &s.oob[0]}
	hdr.SetIovlen(m.n)
	hdr.SetControllen(s.control(m))
	if m.b.sock.is6 {
		s.name6 = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: m.dst.Addr().As16()}
		if !m.b.sock.icmp {
			binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&s.name6.Port))[:], m.dst.Port())
		}
		hdr.Name, hdr.Namelen = (*byte)(unsafe.Pointer(&s.name6)), unix.SizeofSockaddrInet6
	} else {
		s.name4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: m.dst.Addr().As4()}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&s.name4.Port))[:], m.dst.Port())
		hdr.Name, hdr.Namelen = (*byte)(unsafe.Pointer(&s.name4)), unix.SizeofSockaddrInet4
	}
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&hdr)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if s.errno = errno; errno != unix.EINTR {
			return true
		}
	}
}

// control writes the ancillary data: TTL and TOS of the app's packet, and the
// segment size of a burst. It returns its length.
func (s *sender) control(m *message) int {
	n := 0
	if m.b.sock.is6 {
		n = putInt(s.oob[:], n, unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT, uint32(m.ttl))
		n = putInt(s.oob[:], n, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, uint32(m.tos))
	} else {
		n = putInt(s.oob[:], n, unix.IPPROTO_IP, unix.IP_TTL, uint32(m.ttl))
		n = putInt(s.oob[:], n, unix.IPPROTO_IP, unix.IP_TOS, uint32(m.tos))
	}
	if m.total > m.segment {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&s.oob[n]))
		h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
		h.SetLen(unix.CmsgLen(2))
		binary.NativeEndian.PutUint16(s.oob[n+unix.CmsgLen(0):], uint16(m.segment))
		n += unix.CmsgSpace(2)
	}
	return n
}

// putInt writes one integer control message at n and returns where the next
// begins.
func putInt(oob []byte, n, level, typ int, value uint32) int {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[n]))
	h.Level, h.Type = int32(level), int32(typ)
	h.SetLen(unix.CmsgLen(4))
	binary.NativeEndian.PutUint32(oob[n+unix.CmsgLen(0):], value)
	return n + unix.CmsgSpace(4)
}

// Answer writes a datagram from a server inside the house to an app.
func (t *Table) Answer(from, app netip.AddrPort, payload []byte) {
	i := packet.Info{Src: from.Addr(), Dst: app.Addr(), SrcPort: from.Port(), DstPort: app.Port(), TTL: 64, ID: t.datagrams.Add(1)}
	t.write([][]byte{packet.AppendUDP(nil, i, len(payload)), payload}, len(payload), 0)
}

// Refuse tells the sender of an app's packet why it goes no further. Errors are
// limited in rate (RFC 1812 4.3.2.8, RFC 4443 2.4 (f)).
func (t *Table) Refuse(original []byte, why packet.Unreachable) {
	t.refuse(packet.UnreachableError(why, len(original) > 0 && original[0]>>4 == 6), original)
}

func (t *Table) refuse(e packet.Error, original []byte) { t.tell(&t.limiter, e, original) }

// tell writes an error to mif0, if there have not been too many.
func (t *Table) tell(l *limiter, e packet.Error, original []byte) {
	if !l.allow(t.now()) {
		t.stats.limited.Add(1)
		return
	}
	if p := packet.AppendError(nil, e, original); len(p) > 0 {
		_ = t.out.Write(tun.Header{}, p) // best effort, as every ICMP error
	}
}
