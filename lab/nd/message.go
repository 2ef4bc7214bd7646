// Package nd writes the router advertisements of the lab's routers, byte by byte
// and with nothing checked: a network that lies must be able to say anything. It
// shares no code with what reads them.
package nd

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"time"
)

// Forever is the lifetime that does not end (RFC 4861 4.6.2).
const Forever = time.Duration(math.MaxUint32) * time.Second

// The router preferences of RFC 4191 2.1 as they stand in two bits.
const (
	Medium   = 0
	High     = 1
	Reserved = 2
	Low      = 3
)

// RA is a router advertisement (RFC 4861 4.2). The zero RA is the one of a
// router that is no default router and says nothing else.
type RA struct {
	Code       uint8 // 0 in every valid one
	HopLimit   uint8 // that hosts should use; 0 says nothing
	Managed    bool  // M: addresses by DHCPv6
	Other      bool  // O: other configuration by DHCPv6
	Preference uint8 // two bits: Medium, High, Low or Reserved
	Lifetime   time.Duration
	Options    [][]byte
}

// Bytes returns the ICMPv6 message; its checksum is left zero.
func (a RA) Bytes() []byte {
	b := append(a.header(), slices.Concat(a.Options...)...)
	return b
}

// header returns the sixteen octets before the options, which a PvD option may
// hold a second time.
func (a RA) header() []byte {
	b := []byte{134, a.Code, 0, 0, a.HopLimit, a.Preference << 3 & 0x18}
	if a.Managed {
		b[5] |= 0x80
	}
	if a.Other {
		b[5] |= 0x40
	}
	b = binary.BigEndian.AppendUint16(b, uint16(min(a.Lifetime/time.Second, math.MaxUint16)))
	return append(b, 0, 0, 0, 0, 0, 0, 0, 0) // reachable time, retransmission timer: unspecified
}

// With returns a copy of the advertisement with more options behind its own.
func (a RA) With(options ...[]byte) RA {
	a.Options = append(slices.Clip(a.Options), options...)
	return a
}

// Checksum returns the ICMPv6 checksum of a message whose own is zero (RFC 4443
// 2.3).
func Checksum(src, dst netip.Addr, message []byte) uint16 {
	pseudo := slices.Concat(src.AsSlice(), dst.AsSlice(), binary.BigEndian.AppendUint32(nil, uint32(len(message))), []byte{0, 0, 0, 58}, message)
	if len(pseudo)%2 != 0 {
		pseudo = append(pseudo, 0)
	}
	var sum uint32
	for i := 0; i < len(pseudo); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(pseudo[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
