package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// SocketOptions are what an app may ask of its socket. The zero value asks for
// nothing.
type SocketOptions struct {
	Source netip.AddrPort // bind; a zero port lets the kernel choose
	Device string         // SO_BINDTODEVICE
	TOS    uint8          // IP_TOS / IPV6_TCLASS: DSCP in the upper six bits
	TTL    uint8          // 0: the kernel's default
	// Multipath asks for Multipath TCP (RFC 8684), as mptcpize does for an app.
	Multipath bool
	// Broadcast lets it send to every host of a link.
	Broadcast bool
}

// set applies o to a socket.
func (o SocketOptions) set(fd int, is6 bool) error {
	if o.Device != "" {
		if err := unix.BindToDevice(fd, o.Device); err != nil {
			return fmt.Errorf("bind to %s: %w", o.Device, err)
		}
	}
	if o.Broadcast {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
			return fmt.Errorf("allow broadcasts: %w", err)
		}
	}
	level, tos, ttl := unix.IPPROTO_IP, unix.IP_TOS, unix.IP_TTL
	if is6 {
		level, tos, ttl = unix.IPPROTO_IPV6, unix.IPV6_TCLASS, unix.IPV6_UNICAST_HOPS
	}
	if o.TOS != 0 {
		if err := unix.SetsockoptInt(fd, level, tos, int(o.TOS)); err != nil {
			return fmt.Errorf("set TOS: %w", err)
		}
	}
	if o.TTL != 0 {
		if err := unix.SetsockoptInt(fd, level, ttl, int(o.TTL)); err != nil {
			return fmt.Errorf("set TTL: %w", err)
		}
	}
	return nil
}

// control is set in the form that package net wants.
func (o SocketOptions) control(is6 bool) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = o.set(int(fd), is6) }); e != nil {
			return e
		}
		return err
	}
}

// ListenTCP opens a listener of plain TCP in the node.
func (n *Node) ListenTCP(addr netip.AddrPort) (*net.TCPListener, error) {
	return n.listen(addr, false)
}

// ListenMultipath opens one that speaks Multipath TCP with those who ask for it.
func (n *Node) ListenMultipath(addr netip.AddrPort) (*net.TCPListener, error) {
	return n.listen(addr, true)
}

func (n *Node) listen(addr netip.AddrPort, multipath bool) (*net.TCPListener, error) {
	var config net.ListenConfig
	config.SetMultipathTCP(multipath) // package net's own choice is to have it
	var l net.Listener
	err := n.Do(func() (err error) {
		l, err = config.Listen(context.Background(), "tcp", addr.String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen in %s: %w", n.Name, err)
	}
	return l.(*net.TCPListener), nil
}

// ListenUDP opens a UDP socket in the node, bound to opt.Source; a zero source
// binds both families' wildcard and no port in particular.
func (n *Node) ListenUDP(opt SocketOptions) (*net.UDPConn, error) {
	config := net.ListenConfig{Control: opt.control(opt.Source.Addr().Is6())}
	addr := ":0"
	if opt.Source.Addr().IsValid() {
		addr = opt.Source.String()
	}
	var c net.PacketConn
	err := n.Do(func() (err error) {
		c, err = config.ListenPacket(context.Background(), "udp", addr)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open a UDP socket in %s: %w", n.Name, err)
	}
	return c.(*net.UDPConn), nil
}

// DialUDP opens a connected UDP socket in the node.
func (n *Node) DialUDP(dst netip.AddrPort, opt SocketOptions) (*net.UDPConn, error) {
	dialer := net.Dialer{Control: opt.control(dst.Addr().Is6())}
	if opt.Source.Addr().IsValid() {
		dialer.LocalAddr = net.UDPAddrFromAddrPort(opt.Source)
	}
	var c net.Conn
	err := n.Do(func() (err error) {
		c, err = dialer.Dial("udp", dst.String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open a UDP socket in %s: %w", n.Name, err)
	}
	return c.(*net.UDPConn), nil
}

// DialICMP opens a raw ICMP socket in the node, connected to dst.
func (n *Node) DialICMP(dst netip.Addr) (*net.IPConn, error) {
	network := "ip4:icmp"
	if dst.Is6() {
		network = "ip6:ipv6-icmp"
	}
	var c net.Conn
	err := n.Do(func() (err error) {
		c, err = net.Dial(network, dst.String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open an ICMP socket in %s: %w", n.Name, err)
	}
	return c.(*net.IPConn), nil
}

// DialTCP connects from the node to dst. The error keeps the errno
// (ECONNREFUSED, EHOSTUNREACH, EACCES, ETIMEDOUT) for errors.Is; when ctx ends
// first it is os.ErrDeadlineExceeded. Only the opening of the socket occupies
// the node's thread, so thousands may wait for an answer at the same time.
func (n *Node) DialTCP(ctx context.Context, dst netip.AddrPort, opt SocketOptions) (*net.TCPConn, error) {
	fd, err := n.beginTCP(dst, opt)
	if err != nil {
		return nil, fmt.Errorf("connect %s to %v: %w", n.Name, dst, err)
	}
	file := os.NewFile(uintptr(fd), "tcp")
	defer file.Close()
	if err := awaitConnect(ctx, file); err != nil {
		return nil, fmt.Errorf("connect %s to %v: %w", n.Name, dst, err)
	}
	c, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("connect %s to %v: %w", n.Name, dst, err)
	}
	return c.(*net.TCPConn), nil
}

// beginTCP opens a socket in the node and sends the SYN.
func (n *Node) beginTCP(dst netip.AddrPort, opt SocketOptions) (fd int, err error) {
	is6 := dst.Addr().Is6()
	family := unix.AF_INET
	if is6 {
		family = unix.AF_INET6
	}
	proto := 0
	if opt.Multipath {
		proto = unix.IPPROTO_MPTCP
	}
	err = n.Do(func() error {
		fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
		if err != nil {
			return err
		}
		if err = connect(fd, dst, opt, is6); err != nil {
			unix.Close(fd)
		}
		return err
	})
	return fd, err
}

func connect(fd int, dst netip.AddrPort, opt SocketOptions, is6 bool) error {
	if err := opt.set(fd, is6); err != nil {
		return err
	}
	if opt.Source.Addr().IsValid() {
		if err := unix.Bind(fd, sockaddr(opt.Source)); err != nil {
			return fmt.Errorf("bind to %v: %w", opt.Source, err)
		}
	}
	if err := unix.Connect(fd, sockaddr(dst)); err != nil && err != unix.EINPROGRESS {
		return err
	}
	return nil
}

// awaitConnect waits until the handshake has ended one way or the other.
func awaitConnect(ctx context.Context, file *os.File) error {
	stop := context.AfterFunc(ctx, func() { _ = file.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		var done bool
		done, failed = connected(int(fd))
		return done
	})
	if err != nil {
		return err
	}
	return failed
}

// connected reports whether the connect has been decided, and how.
func connected(fd int) (done bool, failed error) {
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return true, err
	}
	if errno != 0 {
		return true, unix.Errno(errno)
	}
	_, err = unix.Getpeername(fd)
	return err == nil, nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}
