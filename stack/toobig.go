package stack

import (
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"mifvif/packet"
)

// The least path MTU that is believed: what nobody needs, and would only make
// every byte of a connection dearer, is a lie (RFC 1191 7.4; RFC 8201 4, and the
// kernel's net.ipv4.route.min_pmtu).
const (
	leastMTU4 = 552
	leastMTU6 = header.IPv6MinimumMTU
)

// TooBig takes an ICMP error of a router between mif0 and an app that says that a
// segment of a connection was too big (RFC 1191, RFC 8201): its next ones are
// smaller. It returns false for what is none, is about no TCP, or says less than
// can be.
func (s *Stack) TooBig(data []byte) bool {
	mtu, about, is6 := packet.TooBig(data)
	proto, least := header.IPv4ProtocolNumber, leastMTU4
	if is6 {
		proto, least = header.IPv6ProtocolNumber, leastMTU6
	}
	d := s.link.attached()
	if about != uint8(header.TCPProtocolNumber) || mtu < least || d == nil {
		return false
	}
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: views(data, len(data))})
	d.DeliverNetworkPacket(proto, p)
	p.DecRef()
	return true
}
