package dhcp4

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
	serverPort = 67
	clientPort = 68
)

// ErrLink says that a link cannot carry DHCPv4.
var ErrLink = errors.New("the link has no Ethernet address")

// frame is one datagram to the client's port as it came from the link.
type frame struct {
	src     netip.Addr
	from    [6]byte // hardware address
	payload []byte
}

// port is the client's port on one link for the time of one exchange. It stands
// beside the host's own sockets and takes nothing away from them: whoever else
// is a DHCP client there goes on hearing its answers.
type port struct {
	hardware [6]byte
	frames   chan frame // what is not taken in time is dropped
	send     func(payload []byte, src, dst netip.Addr, to [6]byte) error
	close    func()
}

// everybody is the hardware address of all hosts of a link.
func everybody() [6]byte { return [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// openPort opens a packet socket on a link of the calling thread's network
// namespace.
func openPort(link Link) (*port, error) {
	i, err := net.InterfaceByIndex(link.Index)
	if err != nil {
		return nil, fmt.Errorf("open the DHCP port on %s: %w", link.Name, err)
	}
	if len(i.HardwareAddr) != 6 || i.Flags&net.FlagPointToPoint != 0 {
		return nil, ErrLink
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open the DHCP port on %s: %w", link.Name, err)
	}
	if err := listen(fd, link.Index); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open the DHCP port on %s: %w", link.Name, err)
	}
	file := os.NewFile(uintptr(fd), "dhcp4")
	p := &port{hardware: [6]byte(i.HardwareAddr), frames: make(chan frame, 16)}
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("open the DHCP port on %s: %w", link.Name, err)
	}
	p.send = func(payload []byte, src, dst netip.Addr, to [6]byte) error {
		at := &unix.SockaddrLinklayer{Ifindex: link.Index, Protocol: network(unix.ETH_P_IP), Halen: 6}
		copy(at.Addr[:], to[:])
		var failed error
		if err := raw.Write(func(fd uintptr) bool {
			failed = unix.Sendto(int(fd), datagram(payload, src, dst), 0, at)
			return !errors.Is(failed, unix.EAGAIN)
		}); err != nil {
			return err
		}
		return failed
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		buf := make([]byte, 2048)
		for p.receive(raw, buf) {
		}
	})
	p.close = func() {
		file.Close()
		reading.Wait()
	}
	return p, nil
}

// listen has the socket hear what is for the client's port, from before its
// first packet on.
func listen(fd, ifindex int) error {
	err := filter(fd, []bpf.Instruction{
		bpf.LoadAbsolute{Off: 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_UDP, SkipTrue: 6},
		bpf.LoadAbsolute{Off: 6, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x3fff, SkipTrue: 4}, // a fragment
		bpf.LoadMemShift{Off: 0},
		bpf.LoadIndirect{Off: 2, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: clientPort, SkipTrue: 1},
		bpf.RetConstant{Val: 0xffff},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return err
	}
	return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: ifindex, Protocol: network(unix.ETH_P_IP)})
}

// filter has a socket hear nothing but what a program takes.
func filter(fd int, program []bpf.Instruction) error {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	code := make([]unix.SockFilter, len(raw))
	for i, in := range raw {
		code[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]})
}

// receive hands on one datagram; it returns false when the port is closed. UDP
// checksums are not looked at: between virtual interfaces they are not there
// yet.
func (p *port) receive(raw rawConn, buf []byte) bool {
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
	if err != nil || !ok || at.Pkttype == unix.PACKET_OUTGOING || info.Proto != unix.IPPROTO_UDP || info.SrcPort != serverPort {
		return true
	}
	f := frame{src: info.Src, payload: slices.Clone(info.Payload(buf[:n]))}
	copy(f.from[:], at.Addr[:])
	select {
	case p.frames <- f:
	default:
	}
	return true
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

// rawConn is what receive needs of syscall.RawConn.
type rawConn interface {
	Read(func(fd uintptr) bool) error
}

// datagram puts a message to servers into UDP and IPv4.
func datagram(payload []byte, src, dst netip.Addr) []byte {
	if !src.IsValid() {
		src = netip.IPv4Unspecified()
	}
	b := packet.AppendUDP(nil, packet.Info{Src: src, Dst: dst, SrcPort: clientPort, DstPort: serverPort, TTL: 64}, len(payload))
	b = append(b, payload...)
	packet.FinishUDP(b, packet.IPv4HeaderLen)
	return b
}

// network restates a number in the byte order of the network.
func network(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}
