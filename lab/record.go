package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// A Record is what a capture keeps of one packet.
type Record struct {
	Time             time.Time
	Out              bool // sent by the node; else received
	SrcMAC, DstMAC   [6]byte
	EtherType        uint16
	Proto            uint8 // of IP; 0 when it is not IP
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16 // of TCP and UDP; ICMP: type and code in SrcPort
	TOS, TTL         uint8
	Size             int // of the packet without link layer, in bytes
}

// String returns one line that reads like tcpdump's.
func (r Record) String() string {
	way := "in "
	if r.Out {
		way = "out"
	}
	if r.Proto == 0 {
		return fmt.Sprintf("%s type %#04x %v > %v, %d bytes", way, r.EtherType, net.HardwareAddr(r.SrcMAC[:]), net.HardwareAddr(r.DstMAC[:]), r.Size)
	}
	return fmt.Sprintf("%s proto %d %v > %v tos %#02x ttl %d, %d bytes", way, r.Proto,
		netip.AddrPortFrom(r.Src, r.SrcPort), netip.AddrPortFrom(r.Dst, r.DstPort), r.TOS, r.TTL, r.Size)
}

const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86dd
)

// fillEthernet fills in the link layer and returns what follows.
func (r *Record) fillEthernet(b []byte) []byte {
	if len(b) < 14 {
		return nil
	}
	copy(r.DstMAC[:], b)
	copy(r.SrcMAC[:], b[6:])
	return b[14:]
}

// fill reads an IP packet, or an ARP packet's addresses. It is the lab's own
// on purpose: what mifvif reads wrongly must be seen here. Unknown and short
// packets keep what was read so far.
func (r *Record) fill(b []byte) {
	switch {
	case r.EtherType == etherIPv4 && len(b) >= 20:
		r.TOS, r.TTL, r.Proto = b[1], b[8], b[9]
		r.Src, r.Dst = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
		first := binary.BigEndian.Uint16(b[6:])&0x1fff == 0
		if header := int(b[0]&15) * 4; first && header <= len(b) {
			r.fillPorts(b[header:])
		}
	case r.EtherType == etherIPv6 && len(b) >= 40:
		r.TOS, r.Proto, r.TTL = b[0]<<4|b[1]>>4, b[6], b[7]
		r.Src, r.Dst = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
		r.fillPorts(b[40:])
	case r.EtherType == etherARP && len(b) >= 28:
		r.Src, r.Dst = netip.AddrFrom4([4]byte(b[14:])), netip.AddrFrom4([4]byte(b[24:]))
	}
}

func (r *Record) fillPorts(b []byte) {
	if len(b) < 4 {
		return
	}
	switch r.Proto {
	case 6, 17:
		r.SrcPort, r.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	case 1, 58:
		r.SrcPort = binary.BigEndian.Uint16(b)
	}
}
