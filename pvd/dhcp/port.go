package dhcp

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	socket "github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"mifvif/packet"
)

// maxFrame is the longest frame that is heard, in bytes.
const maxFrame = 4096

// Frame is one datagram between a client and servers.
type Frame struct {
	Src, Dst netip.Addr
	Peer     [6]byte // hardware address of who sent it, or is to have it
	Payload  []byte
}

// Port is a client's port on one link for the time of one exchange. It stands
// beside the host's own sockets and takes nothing away from them: whoever else
// is a client there goes on hearing its answers. Of one goroutine.
type Port struct {
	Hardware [6]byte           // address of the link's interface
	Frames   chan Frame        // what servers sent; what is not taken in time is dropped
	Send     func(Frame) error // Src may be zero: the client's address
	Close    func()
}

// Open opens a client's port on an Ethernet link of the calling thread's network
// namespace. Of an address that is specified nothing is heard but what is for it.
func Open(link *net.Interface, client netip.AddrPort, server uint16) (*Port, error) {
	conn, err := Listen(link, etherType(client.Addr()), hears(client))
	if err != nil {
		return nil, fmt.Errorf("open the DHCP port on %s: %w", link.Name, err)
	}
	p := &Port{Hardware: [6]byte(link.HardwareAddr), Frames: make(chan Frame, 16)}
	p.Send = func(f Frame) error {
		_, err := conn.WriteTo(datagram(f, client, server), &socket.Addr{HardwareAddr: f.Peer[:]})
		return err
	}
	closed := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() { p.read(conn, closed, client.Addr(), server) })
	p.Close = func() {
		close(closed)
		conn.Close()
		reading.Wait()
	}
	return p, nil
}

// Listen opens a packet socket of one protocol of a link, which hears what a program
// takes from its first packet on. What it reads and writes has no link-layer header.
func Listen(link *net.Interface, etherType int, program []bpf.Instruction) (*socket.Conn, error) {
	filter, err := bpf.Assemble(program)
	if err != nil {
		return nil, err
	}
	return socket.Listen(link, socket.Datagram, etherType, &socket.Config{Filter: filter})
}

// read hands on what servers send to own until the port is closed. UDP checksums
// are not looked at: between virtual interfaces they are not there yet.
func (p *Port) read(conn *socket.Conn, closed <-chan struct{}, own netip.Addr, server uint16) {
	buf := make([]byte, maxFrame)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			select {
			case <-closed:
				return
			case <-time.After(10 * time.Millisecond): // the link is down; its end is told by Watch
			}
			continue
		}
		info, err := packet.Parse(buf[:n])
		if err != nil || info.Proto != unix.IPPROTO_UDP || info.SrcPort != server || !own.IsUnspecified() && info.Dst != own {
			continue
		}
		f := Frame{Src: info.Src, Dst: info.Dst, Payload: slices.Clone(info.Payload(buf[:n]))}
		copy(f.Peer[:], from.(*socket.Addr).HardwareAddr)
		select {
		case p.Frames <- f:
		default:
		}
	}
}

// Ask sends a question and drops what came before it.
func (p *Port) Ask(f Frame) error {
	for {
		select {
		case <-p.Frames:
		default:
			return p.Send(f)
		}
	}
}

// datagram puts a message to servers into UDP and IP.
func datagram(f Frame, client netip.AddrPort, server uint16) []byte {
	i := packet.Info{Src: f.Src, Dst: f.Dst, SrcPort: client.Port(), DstPort: server, TTL: 64}
	if !i.Src.IsValid() {
		i.Src = client.Addr()
	}
	if i.Dst.IsMulticast() {
		i.TTL = 1 // for the link alone (RFC 1112 6.1)
	}
	b := append(packet.AppendUDP(nil, i, len(f.Payload)), f.Payload...)
	packet.FinishUDP(b, len(b)-len(f.Payload)-packet.UDPHeaderLen)
	return b
}
