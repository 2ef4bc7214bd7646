package dhcp4

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// request is one message to servers, as far as its fields differ.
type request struct {
	kind      dhcpv4.MessageType
	client    netip.Addr // ciaddr: an address that is on the interface
	requested netip.Addr // option 50
	server    netip.Addr // option 54
}

// message makes the packet of a request. Nothing in it names the host but the
// interface's hardware address.
func (w *worker) message(q request, transmit uint32, hardware [6]byte) []byte {
	m := &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootRequest, HWType: hardwareEthernet, ClientHWAddr: net.HardwareAddr(hardware[:]),
		ClientIPAddr: net.IPv4zero, YourIPAddr: net.IPv4zero, ServerIPAddr: net.IPv4zero, GatewayIPAddr: net.IPv4zero,
		Options: dhcpv4.Options{},
	}
	binary.BigEndian.PutUint32(m.TransactionID[:], transmit)
	if q.client.IsValid() {
		m.ClientIPAddr = q.client.AsSlice()
	}
	put := func(code uint8, value ...byte) { m.Options[code] = value }
	put(dhcpv4.OptionDHCPMessageType.Code(), byte(q.kind))
	put(optClient, append([]byte{hardwareEthernet}, hardware[:]...)...)
	if q.requested.IsValid() {
		put(optRequested, q.requested.AsSlice()...)
	}
	if q.server.IsValid() {
		put(optServer, q.server.AsSlice()...)
	}
	if q.kind != dhcpv4.MessageTypeRelease && q.kind != dhcpv4.MessageTypeDecline {
		put(optParameters, w.link.parameters()...)
		put(optMaxSize, binary.BigEndian.AppendUint16(nil, uint16(w.link.size()))...)
	}
	return m.ToBytes()
}

// parameters is what is asked for, option 121 before 3 and 33 (RFC 3442). What a
// lease needs is asked by the client alone, and IPv6-only by a client whose host
// can do without IPv4 (RFC 8925 3.2).
func (l Link) parameters() []byte {
	list := []byte{optMask, optRoutes, optRouters, optStaticRoutes, optServers, optDomain, optSearch, optMTU, optNTP, optPortal, optEncrypted}
	if l.Trusted {
		list = append(list, optSelection)
	}
	if l.Mode != Client {
		return list
	}
	list = append(list, optLease, optT1, optT2)
	if l.V6Only {
		list = append(list, optV6Only)
	}
	return list
}

// size is the longest message the client takes: what one packet of the link
// holds, so that long lists of routes fit (RFC 3442).
func (l Link) size() int { return min(max(l.MTU, 576), 1500) }
