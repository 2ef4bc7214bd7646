package uplinks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"mifvif/pvd"
)

// errNoSource says that a domain has no address to send from.
var errNoSource = errors.New("the domain has no source address of this family")

// bind puts a socket on a domain: mark, device, and then its source address
// with a port chosen late, so that ports are shared between destinations.
func bind(fd int, d *pvd.Domain) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(d.Mark())); err != nil {
		return fmt.Errorf("mark the socket: %w", err)
	}
	if err := unix.BindToDevice(fd, d.Interface); err != nil {
		return fmt.Errorf("bind the socket to %s: %w", d.Interface, err)
	}
	return nil
}

// control returns the hook that binds a net.Dialer's socket to d.
func control(d *pvd.Domain, tos uint8) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		cerr := c.Control(func(fd uintptr) {
			if err = bind(int(fd), d); err != nil {
				return
			}
			// A kernel without it binds the port at once: fewer connections, no error.
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
			if tos != 0 {
				_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, int(tos))
				_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_TCLASS, int(tos))
			}
		})
		return errors.Join(cerr, err)
	}
}

// DialTCP opens a connection to dst that leaves by d with source src; tos is
// the whole octet (RFC 2474 code point shifted by two). The errno of a failure
// can be reached with errors.Is. Keepalive is the caller's. Safe for concurrent
// use.
func (s *Set) DialTCP(ctx context.Context, d *pvd.Domain, src netip.Addr, dst netip.AddrPort, tos uint8) (*net.TCPConn, error) {
	dialer := net.Dialer{
		LocalAddr: &net.TCPAddr{IP: src.AsSlice(), Zone: src.Zone()},
		KeepAlive: -1,
		Control:   control(d, tos),
	}
	dialer.SetMultipathTCP(false)
	conn, err := dialer.DialContext(ctx, "tcp", dst.String())
	if err != nil {
		return nil, fmt.Errorf("connect to %s over %s: %w", dst, d.Name, err)
	}
	return conn.(*net.TCPConn), nil
}

// Dial opens a connection ("tcp" or "udp") for the house's own needs, such as
// DNS, to dst over d; the source is the domain's first preferred address.
func (s *Set) Dial(ctx context.Context, d *pvd.Domain, network string, dst netip.AddrPort) (net.Conn, error) {
	dialer := net.Dialer{Control: control(d, 0), KeepAlive: -1}
	if dst.Addr().IsLinkLocalUnicast() {
		dst = netip.AddrPortFrom(dst.Addr().WithZone(d.Interface), dst.Port())
	} else {
		src := preferred(d, dst.Addr().Is6())
		if !src.IsValid() {
			return nil, fmt.Errorf("connect to %s over %s: %w", dst, d.Name, errNoSource)
		}
		if network == "tcp" {
			dialer.LocalAddr = &net.TCPAddr{IP: src.AsSlice()}
		} else {
			dialer.LocalAddr = &net.UDPAddr{IP: src.AsSlice()}
		}
	}
	conn, err := dialer.DialContext(ctx, network, dst.String())
	if err != nil {
		return nil, fmt.Errorf("connect to %s over %s: %w", dst, d.Name, err)
	}
	return conn, nil
}

// OpenUDP opens an unconnected UDP socket on d with source src and a random
// port, non-blocking and ready for the runtime's poller. The caller closes it.
func (s *Set) OpenUDP(d *pvd.Domain, src netip.Addr) (*os.File, error) {
	return open(d, src, unix.SOCK_DGRAM, 0)
}

// OpenICMP opens a raw ICMP or ICMPv6 socket, by the family of src, on d.
func (s *Set) OpenICMP(d *pvd.Domain, src netip.Addr) (*os.File, error) {
	proto := unix.IPPROTO_ICMP
	if src.Is6() {
		proto = unix.IPPROTO_ICMPV6
	}
	return open(d, src, unix.SOCK_RAW, proto)
}

// open makes one socket of a domain.
func open(d *pvd.Domain, src netip.Addr, typ, proto int) (*os.File, error) {
	family, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{})
	if src.Is6() {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Addr: src.As16()}
	} else {
		sa = &unix.SockaddrInet4{Addr: src.As4()}
	}
	fd, err := unix.Socket(family, typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
	if err != nil {
		return nil, fmt.Errorf("open a socket on %s: %w", d.Name, err)
	}
	if err = bind(fd, d); err == nil {
		err = unix.Bind(fd, sa)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind a socket to %s on %s: %w", src, d.Name, err)
	}
	return os.NewFile(uintptr(fd), "socket"), nil
}
