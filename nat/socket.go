package nat

import (
	"fmt"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket is one kernel socket of a domain, UDP or raw ICMP, for either family.
type socket struct {
	file *os.File
	raw  syscall.RawConn
	src  netip.AddrPort // where the network sees us
	is6  bool
	icmp bool
	df   int8 // what the socket does now: 1 never fragments, 0 may, -1 not set yet
	once sync.Once
}

// newSocket takes over file and sets what every binding needs: errors of the
// path, and TTL and TOS of what arrives.
func newSocket(file *os.File, src netip.Addr, icmp bool) (*socket, error) {
	s := &socket{file: file, is6: src.Is6(), icmp: icmp, df: -1}
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("reach the socket: %w", err)
	}
	s.raw = raw
	cerr := raw.Control(func(fd uintptr) {
		err = s.setUp(int(fd))
		if sa, serr := unix.Getsockname(int(fd)); serr == nil {
			s.src = addrPort(sa)
		}
	})
	if cerr != nil {
		err = cerr
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("set up the socket: %w", err)
	}
	return s, nil
}

// option is one socket option that is set to an integer.
type option struct{ level, name, value int }

func (s *socket) setUp(fd int) error {
	options := []option{
		{unix.IPPROTO_IP, unix.IP_RECVERR, 1}, {unix.IPPROTO_IP, unix.IP_RECVTTL, 1}, {unix.IPPROTO_IP, unix.IP_RECVTOS, 1},
	}
	if s.is6 {
		options = []option{
			{unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1},
			{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1},
			{unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1},
		}
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("option %d of level %d: %w", o.name, o.level, err)
		}
	}
	if s.icmp {
		return s.filterEchoReplies(fd)
	}
	// Without it datagrams come one by one.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1)
	return nil
}

// filterEchoReplies keeps everything but echo replies away from a raw socket;
// errors come by the error queue.
func (s *socket) filterEchoReplies(fd int) error {
	if s.is6 {
		var f unix.ICMPv6Filter
		for i := range f.Data {
			f.Data[i] = 0xffffffff
		}
		const reply = 129
		f.Data[reply/32] &^= 1 << (reply % 32)
		return unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &f)
	}
	const solRaw, icmpFilter, reply = 255, 1, 0
	blocked := ^uint32(1 << reply)
	return unix.SetsockoptInt(fd, solRaw, icmpFilter, int(int32(blocked)))
}

// fragmentation makes the socket treat packets as the app's said: "don't
// fragment" means that the path's limit comes back as an error.
func (s *socket) fragmentation(fd int, df bool) {
	want := int8(0)
	if df {
		want = 1
	}
	if s.df == want {
		return
	}
	s.df = want
	level, name, value := unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT
	if s.is6 {
		level, name, value = unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_WANT
		_ = unix.SetsockoptInt(fd, level, unix.IPV6_DONTFRAG, int(want))
	}
	if df {
		value = unix.IP_PMTUDISC_DO
	}
	// A socket that refuses keeps the kernel's way: the packet goes out either way.
	_ = unix.SetsockoptInt(fd, level, name, value)
}

// close ends the socket; a blocked reader returns.
func (s *socket) close() { s.once.Do(func() { _ = s.file.Close() }) }

// addrPort restates a socket address.
func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return netip.AddrPort{}
}
