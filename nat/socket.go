package nat

import (
	"fmt"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"mifvif/poll"
)

// socket is one kernel socket of a domain, UDP or raw ICMP, for either family.
// It is not in the runtime's poller: an idle one costs its descriptor and a
// place in the table's.
type socket struct {
	mu    sync.RWMutex // held for reading while the descriptor is in use
	fd    int          // -1 once it is closed
	src   netip.AddrPort
	token poll.Token
	is6   bool
	icmp  bool
	lost  uint32 // datagrams that found its buffer full, of the receiving goroutine
	df    int8   // what the socket does now: 1 never fragments, 0 may, -1 not set yet
}

// newSocket takes over fd and sets what every binding needs: errors of the
// path, and TTL and TOS of what arrives.
func newSocket(fd int, src netip.Addr, icmp bool) (*socket, error) {
	s := &socket{fd: fd, is6: src.Is6(), icmp: icmp, df: -1}
	if err := s.setUp(); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("set up the socket: %w", err)
	}
	if sa, err := unix.Getsockname(fd); err == nil {
		s.src = addrPort(sa) // where the network sees us
	}
	return s, nil
}

// option is one socket option that is set to an integer.
type option struct{ level, name, value int }

func (s *socket) setUp() error {
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
		if err := unix.SetsockoptInt(s.fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("option %d of level %d: %w", o.name, o.level, err)
		}
	}
	if s.icmp {
		return s.filterEchoReplies()
	}
	// Without it datagrams come one by one.
	_ = unix.SetsockoptInt(s.fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1)
	// Without it what finds the buffer full is lost without a word.
	_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
	return nil
}

// filterEchoReplies keeps everything but echo replies away from a raw socket;
// errors come by the error queue.
func (s *socket) filterEchoReplies() error {
	if s.is6 {
		return passICMP(s.fd, true, 129)
	}
	return passICMP(s.fd, false, 0)
}

// passICMP keeps all messages but those of some types away from a raw socket.
func passICMP(fd int, is6 bool, types ...int) error {
	if is6 {
		var f unix.ICMPv6Filter
		for i := range f.Data {
			f.Data[i] = ^uint32(0)
		}
		for _, typ := range types {
			f.Data[typ/32] &^= 1 << (typ % 32)
		}
		return unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &f) //nolint:wrapcheck // its caller says what
	}
	blocked := ^uint32(0)
	for _, typ := range types {
		blocked &^= 1 << typ
	}
	const solRaw, icmpFilter = 255, 1
	return unix.SetsockoptInt(fd, solRaw, icmpFilter, int(int32(blocked))) //nolint:wrapcheck // its caller says what
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

// watch has the poller tell h what arrives.
func (s *socket) watch(p *poll.Poller, h poll.Handler) error {
	fd, ok := s.hold()
	if !ok {
		return os.ErrClosed
	}
	defer s.release()
	var err error
	s.token, err = p.Add(fd, h)
	return err //nolint:wrapcheck // says what and where
}

// hold returns the descriptor, which stays open until release; false means that
// the socket is closed. Hold it for a system call and no longer: close waits.
func (s *socket) hold() (fd int, ok bool) {
	s.mu.RLock()
	if s.fd < 0 {
		s.mu.RUnlock()
		return -1, false
	}
	return s.fd, true
}

func (s *socket) release() { s.mu.RUnlock() }

// close ends the socket; what waits in it is lost.
func (s *socket) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
}

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
