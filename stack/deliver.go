package stack

import (
	"net/netip"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"mifvif/packet"
	"mifvif/tun"
)

// drops counts what Deliver and the handshakes did not carry.
type drops struct {
	malformed, checksum, pending atomic.Uint64
}

// Stats returns how many packets or connection attempts were dropped, by reason.
func (s *Stack) Stats() map[string]uint64 {
	return map[string]uint64{
		"tcp_malformed": s.drops.malformed.Load(),
		"tcp_checksum":  s.drops.checksum.Load(),
		"tcp_pending":   s.drops.pending.Load(),
	}
}

// segment is what Deliver has to know of a packet.
type segment struct {
	proto    tcpip.NetworkProtocolNumber
	src, dst tcpip.Address
	tcp      header.TCP
}

// parse finds the TCP header of a whole packet (no fragment, no IPv6 extension
// headers before TCP: nothing sends them, and gVisor would look again).
func parse(data []byte) (segment, bool) {
	switch header.IPVersion(data) {
	case header.IPv4Version:
		ip := header.IPv4(data)
		if !ip.IsValid(len(data)) || ip.TransportProtocol() != header.TCPProtocolNumber || ip.More() || ip.FragmentOffset() != 0 {
			return segment{}, false
		}
		return segment{header.IPv4ProtocolNumber, ip.SourceAddress(), ip.DestinationAddress(), ip.Payload()}.checked()
	case header.IPv6Version:
		ip := header.IPv6(data)
		if !ip.IsValid(len(data)) || ip.NextHeader() != uint8(header.TCPProtocolNumber) {
			return segment{}, false
		}
		return segment{header.IPv6ProtocolNumber, ip.SourceAddress(), ip.DestinationAddress(), ip.Payload()}.checked()
	}
	return segment{}, false
}

// checked returns the segment if its TCP header lies inside the packet.
func (g segment) checked() (segment, bool) {
	if len(g.tcp) < header.TCPMinimumSize {
		return g, false
	}
	offset := int(g.tcp.DataOffset())
	return g, offset >= header.TCPMinimumSize && offset <= len(g.tcp)
}

// sound reports whether the transport checksum holds: the kernel vouched for
// it, has not computed it yet, or it is checked here.
func (g segment) sound(h tun.Header) bool {
	if h.NeedsChecksum || h.ChecksumValid {
		return true
	}
	payload := g.tcp[g.tcp.DataOffset():]
	return g.tcp.IsChecksumValid(g.src, g.dst, checksum.Checksum(payload, 0), uint16(len(payload)))
}

// Deliver takes one TCP packet from mif0; it copies what it keeps. Packets that
// are no sound TCP are dropped and counted.
func (s *Stack) Deliver(h tun.Header, data []byte) {
	g, ok := parse(data)
	if !ok {
		s.drops.malformed.Add(1)
		return
	}
	if !g.sound(h) {
		s.drops.checksum.Add(1)
		return
	}
	if g.tcp.Flags()&(header.TCPFlagSyn|header.TCPFlagAck) == header.TCPFlagSyn {
		s.reopen(g)
	}
	d := s.link.attached()
	if d == nil {
		s.late(g)
		return
	}
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: views(data, len(data)-g.payload())})
	d.DeliverNetworkPacket(g.proto, p)
	p.DecRef()
}

// late answers a SYN that comes when the stack has ended and mif0 is still there: see
// Refuse.
func (s *Stack) late(g segment) {
	if g.tcp.Flags()&(header.TCPFlagSyn|header.TCPFlagAck) != header.TCPFlagSyn {
		return
	}
	to := netip.AddrPortFrom(addr(g.src), g.tcp.SourcePort())
	from := netip.AddrPortFrom(addr(g.dst), g.tcp.DestinationPort())
	_ = s.link.out.Write(tun.Header{}, packet.AppendReset(nil, from, to, 0, g.tcp.SequenceNumber()+1)) // best effort
}

// payload returns the length of the segment's data.
func (g segment) payload() int { return len(g.tcp) - int(g.tcp.DataOffset()) }

// views copies a packet into gVisor's memory, headers apart from the rest:
// gVisor copies the whole of a view that it looks into while somebody else holds
// it, and it looks into the headers only.
func views(data []byte, headers int) buffer.Buffer {
	if headers == len(data) {
		return buffer.MakeWithView(buffer.NewViewWithData(data))
	}
	b := buffer.MakeWithView(buffer.NewViewWithData(data[headers:]))
	_ = b.Prepend(buffer.NewViewWithData(data[:headers])) // Append would fill up the headers' view with data
	return b
}

// reopen makes way for a new SYN on a four-tuple whose last connection is in
// TIME_WAIT (RFC 1122 4.2.2.13): a client that uses its ports again must not
// wait for ours.
func (s *Stack) reopen(g segment) {
	id := stack.TransportEndpointID{
		LocalPort: g.tcp.DestinationPort(), LocalAddress: g.dst,
		RemotePort: g.tcp.SourcePort(), RemoteAddress: g.src,
	}
	ep := s.net.FindTransportEndpoint(g.proto, tcp.ProtocolNumber, id, nic)
	if old, ok := ep.(*tcp.Endpoint); ok && old.EndpointState() == tcp.StateTimeWait {
		old.Abort()
	}
}
