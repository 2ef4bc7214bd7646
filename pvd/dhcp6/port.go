package dhcp6

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"mifvif/packet"
)

const (
	clientPort = 546
	serverPort = 547
)

// ErrLink says that a link cannot be asked on.
var ErrLink = errors.New("the link has no Ethernet address or no link-local address")

// frame is one datagram to the client's port as it came from the link.
type frame struct {
	src     netip.Addr
	payload []byte
}

// port is the client's port on one link for the time of one exchange. It stands
// beside the host's own sockets and takes nothing away from them.
type port struct {
	hardware [6]byte
	frames   chan frame // what is not taken in time is dropped
	send     func(payload []byte) error
	close    func()
}

// drain drops what came before a question.
func (p *port) drain() {
	for {
		select {
		case <-p.frames:
		default:
			return
		}
	}
}

// servers is the group of all servers and relays of a link.
func servers() netip.Addr { return netip.MustParseAddr("ff02::1:2") }

// openPort opens a packet socket on a link of the calling thread's network
// namespace.
func openPort(link Link) (*port, error) {
	i, err := net.InterfaceByIndex(link.Index)
	if err != nil {
		return nil, fmt.Errorf("open the DHCPv6 port on %s: %w", link.Name, err)
	}
	own, err := linkLocal(i)
	if err != nil || len(i.HardwareAddr) != 6 {
		return nil, errors.Join(ErrLink, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open the DHCPv6 port on %s: %w", link.Name, err)
	}
	if err := listen(fd, link.Index); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open the DHCPv6 port on %s: %w", link.Name, err)
	}
	file := os.NewFile(uintptr(fd), "dhcp6")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("open the DHCPv6 port on %s: %w", link.Name, err)
	}
	p := &port{hardware: [6]byte(i.HardwareAddr), frames: make(chan frame, 16)}
	p.send = func(payload []byte) error {
		at := &unix.SockaddrLinklayer{Ifindex: link.Index, Protocol: network(unix.ETH_P_IPV6), Halen: 6, Addr: [8]byte{0x33, 0x33, 0, 1, 0, 2}}
		var failed error
		if err := raw.Write(func(fd uintptr) bool {
			failed = unix.Sendto(int(fd), datagram(payload, own), 0, at)
			return !errors.Is(failed, unix.EAGAIN)
		}); err != nil {
			return err
		}
		return failed
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		buf := make([]byte, 4096)
		for p.receive(raw, buf, own) {
		}
	})
	p.close = func() {
		file.Close()
		reading.Wait()
	}
	return p, nil
}

// linkLocal returns the link-local address of an interface.
func linkLocal(i *net.Interface) (netip.Addr, error) {
	all, err := i.Addrs()
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			if addr, _ := netip.AddrFromSlice(n.IP); addr.Is6() && addr.IsLinkLocalUnicast() {
				return addr, nil
			}
		}
	}
	return netip.Addr{}, errors.Join(ErrLink, err)
}

// listen has the socket hear what is for the client's port, from before its
// first packet on. Replies have no extension headers.
func listen(fd, ifindex int) error {
	program, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_UDP, SkipTrue: 3},
		bpf.LoadAbsolute{Off: packet.IPv6HeaderLen + 2, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: clientPort, SkipTrue: 1},
		bpf.RetConstant{Val: 0xffff},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(program))
	for i, in := range program {
		filter[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}); err != nil {
		return err
	}
	return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: ifindex, Protocol: network(unix.ETH_P_IPV6)})
}

// rawConn is what receive needs of syscall.RawConn.
type rawConn interface {
	Read(func(fd uintptr) bool) error
}

// receive hands on one datagram to own; it returns false when the port is closed.
// UDP checksums are not looked at: between virtual interfaces they are not there
// yet.
func (p *port) receive(raw rawConn, buf []byte, own netip.Addr) bool {
	var n int
	var from unix.Sockaddr
	var failed error
	err := raw.Read(func(fd uintptr) bool {
		n, from, failed = unix.Recvfrom(int(fd), buf, 0)
		return !errors.Is(failed, unix.EAGAIN)
	})
	if err != nil {
		return false
	}
	if failed != nil {
		time.Sleep(10 * time.Millisecond) // the link is down; its end is told by Watch
		return true
	}
	at, ok := from.(*unix.SockaddrLinklayer)
	info, err := packet.Parse(buf[:n])
	if err != nil || !ok || at.Pkttype == unix.PACKET_OUTGOING || info.Proto != unix.IPPROTO_UDP || info.SrcPort != serverPort || info.Dst != own {
		return true
	}
	select {
	case p.frames <- frame{info.Src, slices.Clone(info.Payload(buf[:n]))}:
	default:
	}
	return true
}

// datagram puts a message to all servers into UDP and IPv6.
func datagram(payload []byte, src netip.Addr) []byte {
	b := packet.AppendUDP(nil, packet.Info{Src: src, Dst: servers(), SrcPort: clientPort, DstPort: serverPort, TTL: 1}, len(payload))
	b = append(b, payload...)
	packet.FinishUDP(b, packet.IPv6HeaderLen)
	return b
}

// network restates a number in the byte order of the network.
func network(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}
