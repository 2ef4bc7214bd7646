package uplinks_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/lab"
	"mifvif/lab/serve"
	"mifvif/pvd"
)

// seen reads what the server greets with: the source it saw and whose it is.
func seen(t *testing.T, conn interface {
	io.Reader
	SetDeadline(deadline time.Time) error
},
) (netip.Addr, string) {
	t.Helper()
	must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	line, err := bufio.NewReader(conn).ReadString('\n')
	must(t, err)
	src, network, ok := serve.ParseSeen(line)
	if !ok {
		t.Fatalf("the server said %q", line)
	}
	return src.Addr(), network
}

func TestDialTCPLeavesByItsDomain(t *testing.T) {
	b := newBench(t, lab.TwoNetworks())
	for _, link := range []string{"e1", "e2", "all"} { // strict reverse path filters do not hurt
		must(t, b.Host.SetSysctl("net/ipv4/conf/"+link+"/rp_filter", "1"))
	}
	b.apply()
	for link, network := range map[string]string{"e1": "n1", "e2": "n2"} {
		for _, dst := range []netip.Addr{lab.Public4(), lab.Public6()} {
			capture, err := b.Host.Capture(link, func(r lab.Record) bool { return r.Out && r.Dst == dst && r.DstPort == lab.PortEcho })
			must(t, err)
			conn, err := b.dial(b.domain(link), netip.AddrPortFrom(dst, lab.PortEcho), 0xb8)
			must(t, err)
			src, got := seen(t, conn)
			conn.Close()
			if got != network || !b.domain(link).Owns(src) {
				t.Errorf("over %s the server saw %s of %s", link, src, got)
			}
			records := capture.Records() // while it is open: a closed one may have missed the last
			must(t, capture.Close())
			for i, r := range records {
				if r.TOS != 0xb8 {
					t.Errorf("packet %d: %s", i, r)
				}
			}
			if len(records) == 0 {
				t.Errorf("nothing to %s was seen on %s", dst, link)
			}
		}
	}
}

func TestDialTCPTellsTheTruth(t *testing.T) {
	b := newBench(t, lab.WithTunnel())
	b.apply()
	cases := []struct {
		link string
		dst  netip.AddrPort
		want error
	}{
		{"e2", netip.AddrPortFrom(lab.Public4(), lab.PortClosed), unix.ECONNREFUSED},
		{"e2", netip.AddrPortFrom(lab.Public6(), lab.PortClosed), unix.ECONNREFUSED},
		{"e2", netip.AddrPortFrom(lab.Unreachable4(), 80), unix.EHOSTUNREACH},
		{"e2", netip.AddrPortFrom(lab.Unreachable6(), 80), unix.ENETUNREACH},
		{"e2", netip.AddrPortFrom(lab.Prohibited4(), 80), unix.EHOSTUNREACH},
		{"e2", netip.AddrPortFrom(lab.Prohibited6(), 80), unix.EACCES},
		{"e4", netip.AddrPortFrom(lab.Public4(), lab.PortEcho), unix.ENETUNREACH},
		{"e4", netip.AddrPortFrom(lab.Public6(), lab.PortEcho), unix.ENETUNREACH},
	}
	for _, c := range cases {
		conn, err := b.dial(b.domain(c.link), c.dst, 0)
		if !errors.Is(err, c.want) {
			t.Errorf("%s over %s: %v, want %v", c.dst, c.link, err, c.want)
		}
		if err == nil {
			conn.Close()
		}
	}
	for _, dst := range []netip.Addr{lab.Silent4(), lab.Silent6()} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		err := b.Host.Do(func() error {
			d := b.domain("e2")
			_, err := b.set.DialTCP(ctx, d, sourceOf(t, d, dst.Is6()), netip.AddrPortFrom(dst, 80), 0)
			return err
		})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v, want the context's end", dst, err)
		}
	}
}

func TestDialTCPRefusesAForeignSource(t *testing.T) {
	b := newBench(t, lab.TwoNetworks())
	b.apply()
	dst := netip.AddrPortFrom(lab.Public4(), lab.PortEcho)
	for _, src := range []string{"10.2.0.2", "198.18.0.1", "0.0.0.0"} {
		err := b.Host.Do(func() error {
			_, err := b.set.DialTCP(t.Context(), b.domain("e1"), addr(src), dst, 0)
			return err
		})
		if err == nil {
			t.Errorf("source %s was let out on e1", src)
		}
	}
	if err := b.Host.Do(func() error {
		_, err := b.set.DialTCP(t.Context(), b.domain("e1"), netip.Addr{}, dst, 0)
		return err
	}); err == nil {
		t.Error("no source at all was let out")
	}
}

// TestNothingLeavesElsewhere: sockets of a domain that dies send nothing
// anywhere, and new ones are refused.
func TestNothingLeavesElsewhere(t *testing.T) {
	deaths := map[string]func(b *bench) error{
		"address gone": func(b *bench) error {
			return b.Host.DeleteAddress("e2", prefix("10.2.0.2/24"), prefix("2001:db8:2::2/64"))
		},
		"link down": func(b *bench) error { return b.Host.LinkDown("e2") },
		"link gone": func(b *bench) error { return b.Host.DeleteLink("e2") },
		"no carrier": func(b *bench) error {
			return b.Node("n2").LinkDown("lan")
		},
		"next hops gone": func(b *bench) error {
			return b.Host.DeleteRoute(
				lab.Route{To: prefix("0.0.0.0/0"), Via: addr("10.2.0.1"), Dev: "e2", Metric: 200, Protocol: unix.RTPROT_DHCP},
				lab.Route{To: prefix("::/0"), Via: addr("fe80::2"), Dev: "e2", Metric: 200, Protocol: unix.RTPROT_RA})
		},
	}
	for what, die := range deaths {
		t.Run(what, func(t *testing.T) {
			b := newBench(t, lab.TwoNetworks())
			b.apply()
			d := b.domain("e2")
			files := make(map[netip.Addr]*os.File)
			for _, dst := range []netip.Addr{lab.Public4(), lab.Public6()} {
				must(t, b.Host.Do(func() (err error) {
					files[dst], err = asFile(b.set.OpenUDP(d, sourceOf(t, d, dst.Is6())))
					return err
				}))
				defer files[dst].Close()
			}
			toCore := func(r lab.Record) bool {
				return r.Out && slices.Contains([]netip.Addr{lab.Public4(), lab.Public6()}, r.Dst)
			}
			e1, err := b.Host.Capture("e1", toCore)
			must(t, err)
			lan, err := b.Host.Capture("lan0", toCore)
			must(t, err)

			must(t, die(b))
			eventually(t, "the domain is seen dead", func() bool {
				b.apply()
				return b.domain("e2").State == pvd.Offline
			})
			for dst, file := range files {
				for range 5 {
					_ = send(file, netip.AddrPortFrom(dst, lab.PortEcho))
				}
				if _, err := b.dial(d, netip.AddrPortFrom(dst, lab.PortEcho), 0); !errors.Is(err, unix.ENETUNREACH) {
					t.Errorf("a dead domain's dial: %v, want ENETUNREACH", err)
				}
				if err := b.Host.Do(func() error {
					_, err := b.set.OpenUDP(d, sourceOf(t, d, dst.Is6()))
					return err
				}); !errors.Is(err, unix.ENETUNREACH) {
					t.Errorf("a dead domain's socket: %v, want ENETUNREACH", err)
				}
			}
			// The captures work: a packet that may pass is seen after all others.
			conn, err := b.dial(b.domain("e1"), netip.AddrPortFrom(lab.Public4(), lab.PortEcho), 0)
			must(t, err)
			seen(t, conn)
			conn.Close()
			for _, capture := range []*lab.Capture{e1, lan} {
				for _, r := range capture.Records() {
					if r.Proto == unix.IPPROTO_UDP {
						t.Errorf("left elsewhere: %s", r)
					}
				}
				must(t, capture.Close())
			}
		})
	}
}

// asFile has the runtime poll a socket, which fails for one that blocks.
func asFile(fd int, err error) (*os.File, error) {
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "socket"), nil
}

// send sends one datagram from a file that OpenUDP gave.
func send(file *os.File, dst netip.AddrPort) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var sa unix.Sockaddr = &unix.SockaddrInet6{Addr: dst.Addr().As16(), Port: int(dst.Port())}
	if dst.Addr().Is4() {
		sa = &unix.SockaddrInet4{Addr: dst.Addr().As4(), Port: int(dst.Port())}
	}
	var serr error
	if err := raw.Control(func(fd uintptr) { serr = unix.Sendto(int(fd), []byte("x\n"), 0, sa) }); err != nil {
		return err
	}
	return serr
}

func TestOpenUDPReachesByItsDomainAndDoesNotBlock(t *testing.T) {
	b := newBench(t, lab.TwoNetworks())
	b.apply()
	for link, network := range map[string]string{"e1": "n1", "e2": "n2"} {
		for _, dst := range []netip.Addr{lab.Public4(), lab.Public6()} {
			d := b.domain(link)
			var file *os.File
			must(t, b.Host.Do(func() (err error) {
				file, err = asFile(b.set.OpenUDP(d, sourceOf(t, d, dst.Is6())))
				return err
			}))
			must(t, file.SetDeadline(time.Now().Add(20*time.Second))) // fails for files that block
			must(t, send(file, netip.AddrPortFrom(dst, lab.PortEcho)))
			buf := make([]byte, 1500)
			n, err := file.Read(buf)
			must(t, err)
			if src, got, ok := serve.ParseSeen(string(buf[:n])); !ok || got != network || !d.Owns(src.Addr()) {
				t.Errorf("over %s the server saw %q", link, buf[:n])
			}
			file.Close()
		}
	}
}

func TestOpenICMPReachesByItsDomain(t *testing.T) {
	b := newBench(t, lab.TwoNetworks())
	b.apply()
	for _, link := range []string{"e1", "e2"} {
		for _, dst := range []netip.Addr{lab.Public4(), lab.Public6()} {
			d := b.domain(link)
			capture, err := b.Host.Capture(link, func(r lab.Record) bool {
				return (r.Proto == unix.IPPROTO_ICMP || r.Proto == unix.IPPROTO_ICMPV6) && (r.Dst == dst || r.Src == dst)
			})
			must(t, err)
			var file *os.File
			must(t, b.Host.Do(func() (err error) {
				file, err = asFile(b.set.OpenICMP(d, sourceOf(t, d, dst.Is6())))
				return err
			}))
			must(t, file.SetDeadline(time.Now().Add(20*time.Second)))
			must(t, ping(file, dst))
			eventually(t, "request and reply are on "+link, func() bool { return len(capture.Records()) >= 2 })
			if _, err := file.Read(make([]byte, 1500)); err != nil {
				t.Errorf("read the reply: %v", err)
			}
			file.Close()
			must(t, capture.Close())
		}
	}
}

// ping sends an echo request; the kernel adds ICMPv6's checksum.
func ping(file *os.File, dst netip.Addr) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	request := []byte{8, 0, 0xf7, 0xfd, 0, 1, 0, 1}
	var sa unix.Sockaddr = &unix.SockaddrInet4{}
	if dst.Is6() {
		request[0] = 128
		sa = &unix.SockaddrInet6{Addr: dst.As16()}
	} else {
		sa = &unix.SockaddrInet4{Addr: dst.As4()}
	}
	var serr error
	if err := raw.Control(func(fd uintptr) { serr = unix.Sendto(int(fd), request, 0, sa) }); err != nil {
		return err
	}
	return serr
}

func TestDialReachesTheDomainsResolvers(t *testing.T) {
	b := newBench(t, lab.WithTunnel())
	b.apply()
	const port = 5300
	name := map[string]string{"e1": "n1", "e2": "n2", "e4": "vpn"}
	for link, network := range name {
		router := b.Node(network)
		n := b.Network(network)
		self := func(netip.Addr) string { return network }
		lan, err := router.LinkIndex("lan")
		must(t, err)
		must(t, b.ServeUDP(router, netip.AddrPortFrom(n.Gateway6().WithZone(strconv.Itoa(lan)), port), self))
		for _, dst := range []netip.AddrPort{
			netip.AddrPortFrom(n.Resolver4(), 53), netip.AddrPortFrom(n.Resolver6(), 53), netip.AddrPortFrom(n.Gateway6(), port),
		} {
			var conn net.Conn
			must(t, b.Host.Do(func() (err error) {
				conn, err = b.set.Dial(t.Context(), b.domain(link), "udp", dst)
				return err
			}))
			from := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
			if own := b.domain(link).Owns(from.Unmap()); !own && !from.IsLinkLocalUnicast() {
				t.Errorf("%s is asked from %s", dst, from)
			}
			if dst.Port() == port {
				_, err := conn.Write([]byte("x\n"))
				must(t, err)
				if _, got := seen(t, conn); got != network {
					t.Errorf("%s over %s is %s", dst, link, got)
				}
			}
			conn.Close()
		}
		must(t, b.Host.Do(func() error {
			conn, err := b.set.Dial(t.Context(), b.domain(link), "tcp", netip.AddrPortFrom(n.Resolver4(), 53))
			if err == nil {
				conn.Close()
			}
			return err
		}))
	}
}

// TestManyConnectionsShareThePorts: with the port chosen at connect, destinations
// do not compete for ports.
func TestManyConnectionsShareThePorts(t *testing.T) {
	layout := lab.TwoNetworks()
	layout.PortRange = "20000 20063"
	b := newBench(t, layout)
	b.apply()
	var conns []io.Closer
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for i := range 4 * 32 { // 64 ports, half of which the kernel keeps for others at first
		dst := netip.AddrPortFrom(lab.Public4(), lab.PortEchoFirst+uint16(i%4))
		conn, err := b.dial(b.domain("e1"), dst, 0)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		conns = append(conns, conn)
	}
}

// TestInboundConnectionsAreAnsweredWhereTheyCame: e1 has the better default
// route, and strict filters are on everywhere.
func TestInboundConnectionsAreAnsweredWhereTheyCame(t *testing.T) {
	b := newBench(t, lab.TwoNetworks())
	must(t, b.Host.SetSysctl("net/ipv4/conf/all/rp_filter", "1"))
	b.apply()
	l, err := b.Host.ListenTCP(netip.AddrPortFrom(netip.IPv6Unspecified(), 0))
	must(t, err)
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	for _, dst := range []string{"10.2.0.2", "2001:db8:2::2", "10.1.0.2", "2001:db8:1::2"} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		conn, err := b.Core.DialTCP(ctx, netip.AddrPortFrom(addr(dst), port), lab.SocketOptions{})
		cancel()
		if err != nil {
			t.Errorf("from the core to %s: %v", dst, err)
			continue
		}
		conn.Close()
	}
	conn, err := b.lan.DialTCP(t.Context(), netip.AddrPortFrom(addr("10.2.0.2"), port), lab.SocketOptions{})
	if err != nil {
		t.Fatalf("from the LAN to an uplink's address: %v", err)
	}
	conn.Close()
}
