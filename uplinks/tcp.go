package uplinks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"mifvif/pvd"
)

// TCP is one connection in a domain. It is a file of the runtime's poller and
// no more: package net wraps the same in deeper calls and a dozen questions to
// the kernel, a quarter of what a short connection costs. Safe for concurrent
// use.
type TCP struct {
	*os.File
	raw syscall.RawConn
}

// DialTCP opens a connection to dst that leaves by d with source src; tos is
// the whole octet (RFC 2474 code point shifted by two). The errno of a failure
// can be reached with errors.Is: ECONNREFUSED, ENETUNREACH, EHOSTUNREACH (also
// what an IPv4 router reports as prohibited, ICMP 3/13), EACCES (prohibited, by
// a local route or ICMPv6 1/1), ETIMEDOUT; ctx's end is context's error. Nagle's
// algorithm is off, keepalive is the caller's. Safe for concurrent use.
func (s *Set) DialTCP(ctx context.Context, d *pvd.Domain, src netip.Addr, dst netip.AddrPort, tos uint8) (*TCP, error) {
	err := s.admit(d, src, dst.Addr())
	if err == nil {
		var c *TCP
		if c, err = connect(ctx, d, src, dst, tos, unix.IPPROTO_TCP); err == nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("connect to %s over %s: %w", dst, d.Name, err)
}

// connect makes the socket, of TCP or Multipath TCP, and waits for the answer.
func connect(ctx context.Context, d *pvd.Domain, src netip.Addr, dst netip.AddrPort, tos uint8, proto int) (*TCP, error) {
	if err := ctx.Err(); err != nil {
		return nil, err //nolint:wrapcheck // wrapped by DialTCP
	}
	family := unix.AF_INET
	if src.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
	if err != nil {
		return nil, fmt.Errorf("open a socket: %w", err)
	}
	begun := false
	if proto == unix.IPPROTO_TCP {
		err = bind(fd, d)
	} else {
		err = markSubflows(fd)
	}
	if err == nil {
		err = prepare(fd, src.Is6(), tos)
	}
	if err == nil {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // never fails on TCP
		if err = unix.Bind(fd, sockaddr(netip.AddrPortFrom(src, 0), d)); err == nil {
			err = unix.Connect(fd, sockaddr(dst, d))
			begun = errors.Is(err, unix.EINPROGRESS) || errors.Is(err, unix.EINTR)
		}
	}
	if err != nil && !begun {
		unix.Close(fd)
		return nil, err //nolint:wrapcheck // wrapped by DialTCP
	}
	c := &TCP{File: os.NewFile(uintptr(fd), "tcp")}
	if c.raw, err = c.File.SyscallConn(); err == nil && begun {
		err = c.await(ctx)
	}
	if err != nil {
		c.Close()
		return nil, err //nolint:wrapcheck // wrapped by DialTCP
	}
	return c, nil
}

// await returns when the handshake is over or ctx is. On a short path it is over
// at once, so the machinery of waiting is set up only when it is not.
func (c *TCP) await(ctx context.Context) error {
	var over bool
	var failure error
	look := func(fd uintptr) bool {
		over, failure = established(int(fd))
		return over
	}
	if err := c.raw.Control(func(fd uintptr) { look(fd) }); err != nil || over {
		return errors.Join(err, failure)
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetWriteDeadline(deadline) // fails on a closed file only
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetWriteDeadline(time.Unix(1, 0)) })
	err := c.raw.Write(look)
	if !stop() || errors.Is(err, os.ErrDeadlineExceeded) {
		if err := ctx.Err(); err != nil {
			return err //nolint:wrapcheck // wrapped by DialTCP
		}
		return context.DeadlineExceeded // the file's timer was faster than the context's
	}
	return errors.Join(err, failure, c.SetWriteDeadline(time.Time{}))
}

// established reports whether a handshake is over, and how it failed.
func established(fd int) (over bool, failure error) {
	if hasPeer(fd) {
		return true, nil
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		return true, fmt.Errorf("ask for the handshake's end: %w", err)
	case errno != 0:
		return true, unix.Errno(errno)
	}
	return hasPeer(fd), nil // it may have ended well in between
}

// hasPeer reports whether a socket is connected. Unlike package unix's it asks
// the kernel nothing else.
func hasPeer(fd int) bool {
	var peer unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	_, _, errno := unix.RawSyscall(unix.SYS_GETPEERNAME, uintptr(fd), uintptr(unsafe.Pointer(&peer)), uintptr(unsafe.Pointer(&size)))
	return errno == 0
}

// sockaddr restates an address for a socket of d: link-local addresses are on
// its interface.
func sockaddr(a netip.AddrPort, d *pvd.Domain) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	sa := &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
	if a.Addr().IsLinkLocalUnicast() {
		sa.ZoneId = uint32(d.Ifindex)
	}
	return sa
}

// SyscallConn returns the connection for raw reads and writes.
func (c *TCP) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }

// LocalAddr returns the uplink's address and port, nil after Close.
func (c *TCP) LocalAddr() net.Addr {
	var sa unix.Sockaddr
	_ = c.raw.Control(func(fd uintptr) { sa, _ = unix.Getsockname(int(fd)) }) // nil says it failed
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	case *unix.SockaddrInet6:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	}
	return nil
}

// CloseWrite sends FIN; reading goes on.
func (c *TCP) CloseWrite() error {
	return c.control("send FIN", func(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) })
}

// SetLinger says what Close does with bytes that are not sent yet: with 0 it
// drops them and sends RST, with less than 0 it sends them in the background.
func (c *TCP) SetLinger(seconds int) error {
	l := unix.Linger{Linger: int32(max(seconds, 0))}
	if seconds >= 0 {
		l.Onoff = 1
	}
	return c.control("set linger", func(fd int) error { return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &l) })
}

// SetKeepAliveConfig sets all of keepalive; durations are whole seconds.
func (c *TCP) SetKeepAliveConfig(k net.KeepAliveConfig) error {
	return c.control("set keepalive", func(fd int) error {
		if !k.Enable {
			return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0)
		}
		return errors.Join(
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(k.Idle/time.Second)),
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(k.Interval/time.Second)),
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, k.Count),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1),
		)
	})
}

// control runs f on the descriptor.
func (c *TCP) control(what string, f func(fd int) error) error {
	var err error
	if cerr := c.raw.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
