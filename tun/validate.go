package tun

import "errors"

// Errors of Validate; each is one way in which a virtio header can lie.
var (
	errEmpty        = errors.New("no packet behind the virtio header")
	errChecksumSpot = errors.New("checksum offset beyond the packet")
	errGSOSize      = errors.New("segment size of 0")
	errGSOHeader    = errors.New("segmented packet shorter than its headers")
	errGSOType      = errors.New("unknown segmentation type")
)

// Validate reports whether h can be true of packet: the checksum field lies in
// it, and a segmented packet has headers, payload and a segment size. The
// numbers come from whoever writes to the device, so nothing reads them before.
func (h Header) Validate(packet []byte) error {
	if len(packet) == 0 {
		return errEmpty
	}
	if h.NeedsChecksum && int(h.ChecksumStart)+int(h.ChecksumOffset)+2 > len(packet) {
		return errChecksumSpot
	}
	switch h.GSOType {
	case GSONone:
		return nil
	case GSOTCPv4, GSOTCPv6, GSOUDPL4:
	default:
		return errGSOType
	}
	if h.GSOSize == 0 {
		return errGSOSize
	}
	if int(h.HeaderLen) > len(packet) {
		return errGSOHeader
	}
	return nil
}
