package tun

import (
	"encoding/binary"
	"errors"
)

// HeaderLen is the size in bytes of the virtio-net header before every packet.
const HeaderLen = 10

// Segmentation types of a Header (virtio 1.2, 5.1.6).
const (
	GSONone  = 0
	GSOTCPv4 = 1
	GSOUDPL4 = 5
	GSOTCPv6 = 4
	gsoECN   = 0x80

	flagNeedsChecksum = 1
	flagDataValid     = 2
)

// Header is the virtio-net header of one packet: what the kernel left undone.
// The zero Header says "whole packet, checksums complete".
type Header struct {
	// NeedsChecksum: the transport checksum field holds only the (un-inverted)
	// pseudo-header sum; the sum from ChecksumStart goes to
	// ChecksumStart+ChecksumOffset.
	NeedsChecksum bool
	// ChecksumValid: the kernel has verified the transport checksum.
	ChecksumValid  bool
	GSOType        uint8  // GSONone, GSOTCPv4, GSOTCPv6 or GSOUDPL4
	HeaderLen      uint16 // bytes of IP and transport headers, when GSOType is set
	GSOSize        uint16 // payload bytes per segment, when GSOType is set
	ChecksumStart  uint16 // from the start of the IP header
	ChecksumOffset uint16
}

var errShortHeader = errors.New("virtio header is cut short")

// ParseHeader decodes the first HeaderLen bytes of b. It checks nothing beyond
// length: whether the numbers fit the packet is for its reader to say.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderLen {
		return Header{}, errShortHeader
	}
	return Header{
		NeedsChecksum:  b[0]&flagNeedsChecksum != 0,
		ChecksumValid:  b[0]&flagDataValid != 0,
		GSOType:        b[1] &^ gsoECN,
		HeaderLen:      binary.NativeEndian.Uint16(b[2:]),
		GSOSize:        binary.NativeEndian.Uint16(b[4:]),
		ChecksumStart:  binary.NativeEndian.Uint16(b[6:]),
		ChecksumOffset: binary.NativeEndian.Uint16(b[8:]),
	}, nil
}

// Put encodes h into the first HeaderLen bytes of b, which must be that long.
func (h Header) Put(b []byte) {
	_ = b[HeaderLen-1]
	b[0] = 0
	if h.NeedsChecksum {
		b[0] |= flagNeedsChecksum
	}
	if h.ChecksumValid {
		b[0] |= flagDataValid
	}
	b[1] = h.GSOType
	binary.NativeEndian.PutUint16(b[2:], h.HeaderLen)
	binary.NativeEndian.PutUint16(b[4:], h.GSOSize)
	binary.NativeEndian.PutUint16(b[6:], h.ChecksumStart)
	binary.NativeEndian.PutUint16(b[8:], h.ChecksumOffset)
}
