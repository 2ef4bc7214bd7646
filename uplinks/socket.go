package uplinks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"mifvif/pvd"
)

// Why a domain's socket is refused before the kernel is asked. Both are
// ENETUNREACH for errors.Is.
var (
	errGone    = fmt.Errorf("the domain is not up any more: %w", unix.ENETUNREACH)
	errNoRoute = fmt.Errorf("the domain has no route there: %w", unix.ENETUNREACH)
	// errSource: a socket would leave with an address that is not the domain's.
	errSource = errors.New("the domain has no such source address")
)

// admit refuses what must not leave by d: anything once d is gone, and a
// destination that d has no route for. The domain's table would refuse the
// latter too, but of a socket bound to a device the kernel asks IPv4 routes
// only for advice: without one it takes the destination for on-link.
func (s *Set) admit(d *pvd.Domain, src, dst netip.Addr) error {
	switch {
	case !s.alive(d):
		return errGone
	case !d.Owns(src.WithZone("")) && !src.IsLinkLocalUnicast():
		return errSource
	case dst.IsValid() && !reaches(d, dst):
		return errNoRoute
	}
	return nil
}

// reaches reports whether the table of d has a route to dst.
func reaches(d *pvd.Domain, dst netip.Addr) bool {
	dst = dst.WithZone("")
	is6 := dst.Is6()
	if dst.IsLinkLocalUnicast() || d.HasHop(is6) || d.P2P && d.HasAddress(is6) {
		return true
	}
	for _, r := range d.Routes {
		if r.Dst.Contains(dst) {
			return true
		}
	}
	for _, a := range d.Addresses {
		if a.Prefix.Contains(dst) {
			return true
		}
	}
	return false
}

// bind puts a socket on a domain: the mark leads to its table, the device keeps
// the packets of other interfaces out, and the packets in should the table be
// somebody else's by now.
func bind(fd int, d *pvd.Domain) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(d.Mark())); err != nil {
		return fmt.Errorf("mark the socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, d.Ifindex); err != nil {
		return fmt.Errorf("bind the socket to %s: %w", d.Interface, err)
	}
	return nil
}

// control returns the hook that binds a net.Dialer's socket to d.
func control(d *pvd.Domain, is6 bool, tos uint8) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		cerr := c.Control(func(fd uintptr) {
			if err = bind(int(fd), d); err == nil {
				err = prepare(int(fd), is6, tos)
			}
		})
		return errors.Join(cerr, err)
	}
}

// prepare sets what a socket needs before it gets its source and destination.
func prepare(fd int, is6 bool, tos uint8) error {
	// The port is chosen with the destination, so that destinations share ports.
	// A kernel without it chooses at once: fewer connections, no error.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	if tos == 0 {
		return nil
	}
	level, option := unix.IPPROTO_IP, unix.IP_TOS
	if is6 {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
	}
	if err := unix.SetsockoptInt(fd, level, option, int(tos)); err != nil {
		return fmt.Errorf("set the socket's traffic class: %w", err)
	}
	return nil
}

// Dial opens a connection ("tcp" or "udp") for the house's own needs, such as
// DNS, to dst over d. The source is the domain's; for a link-local destination,
// with or without its zone, it is the link's. Safe for concurrent use.
func (s *Set) Dial(ctx context.Context, d *pvd.Domain, network string, dst netip.AddrPort) (conn net.Conn, err error) {
	addr := dst.Addr().Unmap()
	from := netip.AddrPort{}
	if addr.Is6() && addr.IsLinkLocalUnicast() {
		// The device says which link; package net remembers the indices of zones
		// for a minute, also of an interface that is another one by now.
		addr = addr.WithZone("")
		if !s.alive(d) {
			err = errGone
		}
	} else {
		src := source(d, addr)
		from = netip.AddrPortFrom(src, 0)
		err = s.admit(d, src, addr)
	}
	if err == nil {
		dialer := net.Dialer{KeepAlive: -1, Control: control(d, addr.Is6(), 0)}
		dialer.SetMultipathTCP(false)
		conn, err = dial(ctx, dialer, network, from, netip.AddrPortFrom(addr, dst.Port()))
	}
	if err != nil {
		return nil, fmt.Errorf("connect to %s over %s: %w", dst, d.Name, err)
	}
	return conn, nil
}

// dial is DialContext with addresses; a zero from leaves the source to the
// kernel.
func dial(ctx context.Context, dialer net.Dialer, network string, from, to netip.AddrPort) (net.Conn, error) {
	switch {
	case network == "udp" && from.IsValid():
		dialer.LocalAddr = net.UDPAddrFromAddrPort(from)
	case from.IsValid():
		dialer.LocalAddr = net.TCPAddrFromAddrPort(from)
	}
	return dialer.DialContext(ctx, network, to.String())
}

// source returns the address of d for the house's own traffic to dst: one that
// has dst on its link before others, fresh before deprecated, zero if there is
// none of the family.
func source(d *pvd.Domain, dst netip.Addr) netip.Addr {
	var best netip.Addr
	rank, out := -1, d.ExitTo(dst)
	for i := range d.Addresses {
		a := &d.Addresses[i]
		if a.Prefix.Addr().Is6() != dst.Is6() {
			continue
		}
		r := out.Suits(a) << 1 // at most 14
		if !a.Deprecated {
			r += 32
		}
		if a.Prefix.Contains(dst) {
			r += 16
		}
		if a.Temporary != d.PreferPublic { // the house says no more of the host than it must (RFC 8801 4.1)
			r++
		}
		if r > rank {
			best, rank = a.Prefix.Addr(), r
		}
	}
	return best
}

// OpenUDP opens an unconnected UDP socket on d with source src and a random
// port and returns its descriptor, which does not block. The caller closes it.
// Safe for concurrent use.
func (s *Set) OpenUDP(d *pvd.Domain, src netip.Addr) (int, error) {
	return s.open(d, src, unix.SOCK_DGRAM, 0)
}

// OpenICMP opens a raw ICMP or ICMPv6 socket, by the family of src, on d; the
// rest is as with OpenUDP.
func (s *Set) OpenICMP(d *pvd.Domain, src netip.Addr) (int, error) {
	proto := unix.IPPROTO_ICMP
	if src.Is6() {
		proto = unix.IPPROTO_ICMPV6
	}
	return s.open(d, src, unix.SOCK_RAW, proto)
}

// OpenRaw opens a socket that sends whole IP packets over d, which must be from
// src; the rest is as with OpenUDP.
func (s *Set) OpenRaw(d *pvd.Domain, src netip.Addr) (int, error) {
	return s.open(d, src, unix.SOCK_RAW, unix.IPPROTO_RAW)
}

// open makes one socket of a domain.
func (s *Set) open(d *pvd.Domain, src netip.Addr, typ, proto int) (int, error) {
	if err := s.admit(d, src, netip.Addr{}); err != nil {
		return -1, fmt.Errorf("open a socket on %s: %w", d.Name, err)
	}
	family := unix.AF_INET
	if src.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
	if err != nil {
		return -1, fmt.Errorf("open a socket on %s: %w", d.Name, err)
	}
	if err = bind(fd, d); err == nil {
		err = unix.Bind(fd, sockaddr(netip.AddrPortFrom(src, 0), d))
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("bind a socket to %s on %s: %w", src, d.Name, err)
	}
	return fd, nil
}
