package nat

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/packet"
	"mifvif/tun"
)

// ears hear the ICMP errors that come to this host: those about segments of
// streams are told to the apps, as about their own (RFC 5382 REQ-9, RFC 5508 3).
// The kernel hears them too; of its own sockets none had sent the segment. They
// are opened with the first stream of a family.
type ears struct {
	streams *Streams
	all     [2]*ear // by family; guarded by streams.mu
}

// ear is one raw socket.
type ear struct {
	streams *Streams
	fd      int
	is6     bool
	buf     [2048]byte
}

// open has errors of a family heard. streams.mu is held.
func (e *ears) open(is6 bool) error {
	i := 0
	if is6 {
		i = 1
	}
	if e.all[i] != nil {
		return nil
	}
	a := &ear{streams: e.streams, is6: is6}
	family, proto := unix.AF_INET, unix.IPPROTO_ICMP
	if is6 {
		family, proto = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	var err error
	if a.fd, err = unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto); err != nil {
		return fmt.Errorf("open a socket for ICMP errors: %w", err)
	}
	if err = a.filter(); err == nil {
		_, err = e.streams.poller.Add(a.fd, a)
	}
	if err != nil {
		unix.Close(a.fd)
		return fmt.Errorf("open a socket for ICMP errors: %w", err)
	}
	e.all[i] = a
	return nil
}

// filter keeps everything but errors away: unreachable, time exceeded, parameter
// problem, and of IPv6 too big.
func (a *ear) filter() error {
	if a.is6 {
		return passICMP(a.fd, true, 1, 2, 3, 4)
	}
	return passICMP(a.fd, false, 3, 11, 12)
}

// Ready implements poll.Handler.
func (a *ear) Ready() bool {
	for range 64 {
		n, from, err := unix.Recvfrom(a.fd, a.buf[:], unix.MSG_DONTWAIT)
		switch err {
		case nil:
			a.heard(a.buf[:n], addrPort(from).Addr())
		case unix.EINTR:
		default:
			return false
		}
	}
	return true
}

// heard tells an app of an error about its segment. The kernel has checked the
// sum. What an error says of a connection is for the app's kernel to judge.
func (a *ear) heard(msg []byte, from netip.Addr) {
	if !a.is6 { // IPv4 raw sockets deliver the IP header too
		outer, err := packet.Parse(msg)
		if err != nil || outer.Fragment {
			return
		}
		msg = msg[outer.L4:outer.End]
	}
	if len(msg) < packet.ICMPHeaderLen {
		return
	}
	quote := msg[packet.ICMPHeaderLen:]
	src, dst, ok := packet.QuotedTCP(quote)
	if !ok {
		return
	}
	t := a.streams
	t.mu.Lock()
	s := t.bySrc[pair{src, dst}]
	hushed := s != nil && isNoWay(msg[0], msg[1], a.is6) && from != dst.Addr() && s.leave(packet.TCPSequence(quote))
	t.mu.Unlock()
	if s == nil || hushed {
		return
	}
	if s.choice.Domain.Owns(from) { // our own address on the uplink speaks for the destination
		from = netip.Addr{}
	}
	if !s.errors.allow(time.Now()) {
		return
	}
	packet.RequoteTCP(quote, s.key.src, s.key.dst)
	e := packet.Error{Type: msg[0], Code: msg[1], Rest: binary.BigEndian.Uint32(msg[4:]), From: from}
	if p := packet.AppendError(nil, e, quote); len(p) > 0 {
		_ = t.out.Write(tun.Header{}, p) // best effort, as every ICMP error
	}
}

// isNoWay reports whether an error says that its sender knows no way on. That a
// packet was on its way for too long is what an app asks for that traces the way.
func isNoWay(typ, code uint8, is6 bool) bool {
	if is6 {
		return typ == 1
	}
	return typ == 3 && code != 4
}

// TooBig tells a server what a router between here and an app says of the size of
// the server's segments, as of the uplink's side of the connection. What it says is
// for the server's kernel to judge. It returns false for what is none of that.
func (t *Streams) TooBig(p []byte) bool {
	mtu, _, _ := packet.TooBig(p)
	if mtu == 0 || t.count.Load() == 0 {
		return false
	}
	info, err := packet.Parse(p)
	if err != nil {
		return false
	}
	quote := p[info.L4+packet.ICMPHeaderLen : info.End]
	server, app, ok := packet.QuotedTCP(quote)
	if !ok {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byApp[pair{app, server}]
	if s == nil {
		return false
	}
	if s.errors.allow(time.Now()) {
		packet.RequoteTCP(quote, server, s.flow.Source)
		e := packet.TooBigError(mtu, info.Is6())
		if p := packet.AppendError(nil, e, quote); len(p) > 0 { // from the source, as no router has an address there
			_ = s.raw.send(p, server.Addr()) // best effort, as every ICMP error
		}
	}
	return true
}

// close ends the hearing. Nobody polls any more.
func (e *ears) close() {
	for i, a := range e.all {
		if a != nil {
			unix.Close(a.fd)
			e.all[i] = nil
		}
	}
}
