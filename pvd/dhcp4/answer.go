package dhcp4

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"mifvif/pvd/wire"
)

// Option codes (RFC 2132, 3397, 3442, 3925, 6731, 8910, 8925, 9463).
const (
	optMask          = 1
	optRouters       = 3
	optServers       = 6
	optDomain        = 15
	optMTU           = 26
	optStaticRoutes  = 33
	optNTP           = 42
	optRequested     = 50
	optLease         = 51
	optOverload      = 52
	optServer        = 54
	optParameters    = 55
	optMaxSize       = 57
	optT1            = 58
	optT2            = 59
	optClient        = 61
	optV6Only        = 108
	optPortal        = 114
	optSearch        = 119
	optRoutes        = 121
	optSelection     = 146
	optEncrypted     = 162
	maxMessage       = 4096 // octets
	hardwareEthernet = 1
)

// ErrMessage says that a packet is no answer of a DHCPv4 server.
var ErrMessage = errors.New("no answer of a DHCPv4 server")

// Answer is one message of a server. Its options are joined, whatever part of
// the message each piece stood in (RFC 3396).
type Answer struct {
	Kind     dhcpv4.MessageType
	Transmit uint32     // xid
	Client   netip.Addr // ciaddr, zero address if none
	Yours    netip.Addr // yiaddr, zero address if none
	Hardware [6]byte    // chaddr
	Server   netip.Addr // option 54

	options dhcpv4.Options
}

// Parse reads a message. Options are not looked into, but for the message type
// and the server's identifier.
func Parse(b []byte) (*Answer, error) {
	if len(b) > maxMessage {
		return nil, ErrMessage
	}
	m, err := dhcpv4.FromBytes(b)
	if err != nil || m.OpCode != dhcpv4.OpcodeBootReply || m.HWType != hardwareEthernet || len(m.ClientHWAddr) != 6 {
		return nil, ErrMessage
	}
	if err := overload(m.Options, b); err != nil {
		return nil, err
	}
	a := &Answer{
		Transmit: binary.BigEndian.Uint32(m.TransactionID[:]), Client: addr(m.ClientIPAddr), Yours: addr(m.YourIPAddr),
		Hardware: [6]byte(m.ClientHWAddr), options: m.Options,
	}
	kind, server := m.Options[dhcpv4.OptionDHCPMessageType.Code()], m.Options[optServer]
	if len(kind) != 1 || len(server) != 4 {
		return nil, ErrMessage
	}
	a.Kind, a.Server = dhcpv4.MessageType(kind[0]), netip.AddrFrom4([4]byte(server))
	if !wire.Server(a.Server) {
		return nil, ErrMessage
	}
	return a, nil
}

// overload joins the options that stand in the fields of the boot file and the
// server's name, in that order (RFC 2132 9.3, RFC 3396 5).
func overload(options dhcpv4.Options, b []byte) error {
	value, ok := options[optOverload]
	if !ok {
		return nil
	}
	if len(value) != 1 || value[0] < 1 || value[0] > 3 {
		return ErrMessage
	}
	const name, file, end = 44, 108, 236
	if value[0]&1 != 0 && options.FromBytes(b[file:end]) != nil {
		return ErrMessage
	}
	if value[0]&2 != 0 && options.FromBytes(b[name:file]) != nil {
		return ErrMessage
	}
	return nil
}

func addr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip.To4())
	return a
}

// Forever is the duration of a lease without end.
const Forever = time.Duration(-1)

// seconds reads an option of four octets; ok is false when it is not there or
// has another size.
func (a *Answer) seconds(option uint8) (d time.Duration, ok bool) {
	value := a.options[option]
	if len(value) != 4 {
		return 0, false
	}
	if n := binary.BigEndian.Uint32(value); n != 0xffffffff {
		return time.Duration(n) * time.Second, true
	}
	return Forever, true
}

// minLease is the shortest lease that is taken: one that is over before its
// renewal could be answered is none.
const minLease = 30 * time.Second

// Lease is how long an address is ours, from the moment of the request on.
type Lease struct {
	Prefix        netip.Prefix
	Valid, T1, T2 time.Duration // Forever: T1 and T2 have no meaning
}

// Lease reads address, mask and times of a DHCPOFFER or DHCPACK; ok is false if
// they make no lease (RFC 2131 4.4.5: T1 is a half and T2 seven eighths of it
// where the server does not say otherwise).
func (a *Answer) Lease() (l Lease, ok bool) {
	valid, there := a.seconds(optLease)
	bits, masked := mask(a.options[optMask])
	if !there || !wire.Server(a.Yours) || valid != Forever && valid < minLease || !masked {
		return Lease{}, false
	}
	l = Lease{Prefix: netip.PrefixFrom(a.Yours, bits), Valid: valid, T1: valid / 2, T2: valid / 8 * 7}
	t1, ok1 := a.seconds(optT1)
	t2, ok2 := a.seconds(optT2)
	if ok1 && ok2 && 0 < t1 && t1 < t2 && t2 < valid {
		l.T1, l.T2 = t1, t2
	}
	return l, true
}

// mask reads a subnet mask; without one the address stands alone.
func mask(b []byte) (bits int, ok bool) {
	if len(b) == 0 {
		return 32, true
	}
	if len(b) != 4 {
		return 0, false
	}
	ones, size := net.IPMask(b).Size()
	return ones, size == 32 && ones >= 8
}

// minV6Only is the least time for which a host does without IPv4 (RFC 8925
// 3.4).
const minV6Only = 300 * time.Second

// V6Only returns for how long the network wants the host to do without IPv4; ok
// is false if it does not.
func (a *Answer) V6Only() (d time.Duration, ok bool) {
	value := a.options[optV6Only]
	if len(value) != 4 {
		return 0, false
	}
	return max(time.Duration(binary.BigEndian.Uint32(value))*time.Second, minV6Only), true
}
